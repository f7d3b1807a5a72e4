#!/bin/sh
# usage: sh_options.sh BUILD/weft
# Every option of `weft train` does something: a run with it differs from one without, in its losses,
# its weights, its files, what it prints, or the settings it ran with.
. "$(dirname "$0")/support/program.sh"
tested=''

awk 'BEGIN { srand(1); for (i = 0; i < 400; i++)
    print "the " (rand() < .5 ? "cat" : "dog") " sat on the " (rand() < .5 ? "mat" : "log") }' >text
tr 'a-y' 'b-z' <text >other
awk 'BEGIN { srand(2); print "a,b,c,kind,other"; for (i = 0; i < 90; i++) {
    k = i % 3; print rand() + k "," rand() - k "," rand() "," k "," i % 2 } }' >table.csv
printf '{"lr": 0.003}\n' >config.json
gpt2="--data text --layers 2 --heads 2 --width 16 --context 16 --batch 4 --steps 6 --lr 1e-2 --warmup 1"
gpt2="$gpt2 --threads 1 --eval-every 3 --eval-samples 8 --stats-every 3"
mlp="--data table.csv --label kind --hidden 8 --batch 16 --steps 12 --threads 1"

# All that a run shows, but for times.
signature() { # MODEL OPTIONS...
    rm -rf run
    # shellcheck disable=SC2048,SC2086  # lists of options
    "$weft" train $* --out run >out 2>err || { cat err; return; }
    grep -c . out
    sed 's/"tokens_per_s.*"step_ms":[^,}]*//; s/"samples_per_s.*"step_ms":[^,}]*//' run/metrics.jsonl
    cksum <run/stats.jsonl
    ls run/checkpoints
    cksum <run/checkpoints/last/model.safetensors
    grep -E '"(threads|isa|samples)"' run/run.json
    grep -A1 '"cpus"' run/run.json
}

# differs NAME BASE CHANGED: option NAME; the changed run must succeed and differ.
differs() {
    tested="$tested $1"
    # shellcheck disable=SC2086
    signature $2 >base
    # shellcheck disable=SC2086
    signature $3 >changed
    if ! [ -d run/checkpoints ]; then
        echo "FAILED: --$1: the run with it does not work: $(head -1 changed)"
        failed=1
    elif cmp -s base changed; then
        echo "FAILED: --$1 changes nothing"
        failed=1
    fi
}
language() { differs "$1" "gpt2 $gpt2 ${3:-}" "gpt2 $gpt2 ${3:-} --$1 $2"; }
network() { differs "$1" "mlp $mlp ${3:-}" "mlp $mlp ${3:-} --$1 $2"; }

language data other
language tokenizer char
language vocab 300
language val-fraction 0.3
language layers 3
language heads 1
language width 32
language context 24
language seq 8
language norm post
language norm-eps 0.1
differs untied "gpt2 $gpt2" "gpt2 $gpt2 --untied"
# shellcheck disable=SC2086
"$weft" train gpt2 $gpt2 --seed 9 --out start >/dev/null 2>&1 || failed=1
language init-from start/checkpoints/last
language activation relu
language dropout 0.3
language init normal
language init-std 0.05
language batch 5
language accumulate 2
language grad-groups 2 "--accumulate 2"
language steps 7
language optimizer nadam
language lr 2e-2
language schedule linear
language warmup 4
language min-lr-fraction 0.5
language decay-fraction 0.9 "--schedule wsd"
language weight-decay 0.9
language clip 0.01
language precision bf16
language bf16-weights nearest "--precision bf16"
language momentum 0.1 "--optimizer momentum"
language beta1 0.5
language beta2 0.5
language eps 0.1
language seed 2
language threads 2
language isa emu
if "$weft" info --json | grep -q '"backends".*"onednn"'; then
    language backend onednn
    grep -q '"backend": "onednn"' run/run.json || { echo "FAILED: run.json has no backend"; failed=1; }
else
    echo "built without oneDNN: --backend onednn must say so"
    # shellcheck disable=SC2086
    "$weft" train gpt2 $gpt2 --backend onednn --out none 2>err && failed=1
    grep -q 'without oneDNN' err || { echo "FAILED: nothing is said about oneDNN"; failed=1; }
    tested="$tested backend"
fi
if "$weft" info | grep -q '^topology .* of [2-9][0-9]* cores'; then
    language bind cores
    differs bind-policy "gpt2 $gpt2 --bind cores" "gpt2 $gpt2 --bind cores --bind-policy close"
    "$weft" info --bind cores --threads 1000 2>err && failed=1
    grep -q 'more threads than cores' err || { echo "FAILED: --bind cores on too few"; failed=1; }
else
    echo "built without hwloc, or one core: --bind must say why it does not"
    # shellcheck disable=SC2086
    "$weft" train gpt2 $gpt2 --threads 1000 --bind threads --out none 2>err && failed=1
    grep -qE 'hwloc|more threads' err || { echo "FAILED: nothing is said about --bind"; failed=1; }
    tested="$tested bind bind-policy"
fi
language log-every 1
language stats-every 2
language histogram-layer 1
language hash-every 2
language eval-every 2
language eval-samples 3
language sample-every 3
language save-every 2
language keep 1 "--save-every 1"
differs config "gpt2 --data text --steps 3" "gpt2 --data text --steps 3 --config config.json"
differs preset "gpt2 --data text --steps 1 --layers 1 --width 24 --heads 2 --context 8 --batch 1" \
    "gpt2 --data text --steps 1 --preset gpt2-124m --layers 1 --width 24 --heads 2 --context 8 --batch 1"
# a limit that nothing exceeds changes nothing: what it does is to stop
for limit in "loss-limit 0.5" "grad-limit 1e-6"; do
    # shellcheck disable=SC2086
    expect 1 "above --${limit% *}" "$weft" train gpt2 $gpt2 --${limit% *} ${limit#* } --out limit
    tested="$tested ${limit% *}"
    rm -rf limit
done
network hidden 8,4
network label other
network loss mse "--label c"
differs epochs "mlp --data table.csv --label kind --hidden 8 --batch 16 --epochs 2" \
    "mlp --data table.csv --label kind --hidden 8 --batch 16 --epochs 3"

# No option of the list may be missing above, but those that other tests are about.
for name in $("$weft" train gpt2 --help | sed -n 's/^  --\([a-z0-9-]*\).*/\1/p'; \
    "$weft" train mlp --help | sed -n 's/^  --\([a-z0-9-]*\).*/\1/p'); do
    case "$tested resume out help pixels" in
    *" $name"*) ;;
    *)
        echo "FAILED: --$name is not tested"
        failed=1
        ;;
    esac
done
echo "options tested:$tested"
exit $failed
