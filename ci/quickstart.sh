#!/bin/sh
# usage: ci/quickstart.sh [FILE]
# From a bare Debian (or any Debian or Ubuntu with CMake >= 3.25) to a trained GPT-2 and its report:
# installs what is missing, builds, makes kjv.txt (or takes your FILE: any text of 100 kB or more),
# trains 12 layers for about five minutes on two cores, prints a sample of text, the spread of the
# Q, K and V weights layer by layer, and writes runs/quickstart/report.html.
# Interrupted? Call it again: it goes on from the last checkpoint.
set -eu
file=${1:-}
case $file in
-h | --help)
    sed -n '2,8s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
'') ;;
*)
    [ -r "$file" ] || { echo "quickstart.sh: $file cannot be read" >&2; exit 1; }
    file=$(realpath "$file")
    ;;
esac
cd "$(dirname "$0")/.."
begin=$(date +%s)
say() { printf '\n== %s (%d s)\n' "$*" $(($(date +%s) - begin)); }

# The model and the steps. Steps are fixed, so that everybody gets the same bits; a machine that
# would need more than eight minutes for them takes fewer. (WEFT_QUICKSTART_STEPS: for a quick look.)
steps=${WEFT_QUICKSTART_STEPS:-1300}
model='--layers 12 --heads 6 --width 192 --context 128'
batch='--batch 8'
optimizer='--lr 2e-3 --weight-decay 0.1 --clip 1'

say "packages"
ci/deps.sh quickstart || echo "quickstart.sh: going on with what is there"

say "build"
cmake --preset release >build.log 2>&1 &&
    cmake --build --preset release --target weft --parallel "$(nproc)" >>build.log 2>&1 || {
    tail -n 20 build.log >&2
    echo "quickstart.sh: the build failed; all of its output is in build.log" >&2
    exit 1
}
rm -f build.log
weft=build/release/weft
$weft info

if [ -z "$file" ]; then
    ci/data.sh kjv
    file=data/kjv.txt
fi
say "data"
$weft data "$file"

run=runs/quickstart
resume=
if [ -f $run/run.json ]; then
    if grep -qF "\"$file\"" $run/run.json; then
        resume="--resume $run"
        steps=$(sed -n 's/.*"steps": *\([0-9]*\).*/\1/p' $run/run.json | head -n 1)
    else
        old=$run-$(date +%Y%m%d-%H%M%S)
        mv $run "$old"
        echo "an earlier run on other data is now $old"
    fi
fi

if [ -z "$resume" ]; then
    # Ten steps tell how long the whole will take.
    probe=$(mktemp -d)
    trap 'rm -rf "$probe"' EXIT
    # shellcheck disable=SC2086  # lists of words
    $weft train gpt2 --data "$file" $model $batch --steps 12 --eval-samples 1 --stats-every 0 \
        --out "$probe/run" >"$probe/log" 2>&1 || { cat "$probe/log" >&2; exit 1; }
    steps=$(sed -n 's/.*"step_ms": *\([0-9.]*\).*/\1/p' "$probe/run/metrics.jsonl" | sort -n |
        awk -v steps=$steps '{ ms[NR] = $1 } END {
            at = ms[int((NR + 1) / 2)]; most = int(480000 / at)
            print most < steps ? (most < 100 ? 100 : most) : steps }')
    rm -rf "$probe"
    trap - EXIT
fi

say "training, $steps steps"
# shellcheck disable=SC2086
$weft train gpt2 --data "$file" $model $batch $optimizer --steps "$steps" \
    --warmup $((steps / 20)) --seed 1 \
    --stats-every 10 --eval-every 100 --eval-samples 128 --sample-every 300 --save-every 100 \
    --log-every 20 $resume --out $run

say "a sample"
$weft generate --model $run/checkpoints/last --prompt "
" --tokens 500 --temperature 0.8 --seed 1
say "how far Q, K and V have moved"
$weft report --table $run
say "validation loss, beside a bigram model of the same tokens"
$weft eval --model $run/checkpoints/last --data "$file"
say "done"
echo "the pictures: $($weft report $run)"
