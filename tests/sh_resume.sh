#!/bin/sh
# usage: sh_resume.sh BUILD/weft
# Kill a run with -9 at random moments, resume it each time: the same parameters, statistics and
# metrics as those of a run left alone, for GPT-2 and for a perceptron.
. "$(dirname "$0")/support/program.sh"
seed=$(date +%N | sed 's/^0*//')
echo "seed $seed"

# pause N: 0 to 0.4 seconds, another for every N
pause() { sleep "$(awk "BEGIN { srand(${seed:-0} + $1); rand(); print rand() * .4 }")"; }
# without the members that time decides
timeless() { sed 's/"tokens_per_s":[^,]*,"step_ms":[^,}]*//' "$1"; }

# undisturbed NAME OPTIONS..., then disturbed: killed four times
compare() {
    name=$1
    shift
    "$weft" train "$@" --out "$name-calm" >/dev/null 2>err || fail "$name: $*"
    n=0
    while [ $n -lt 4 ]; do
        n=$((n + 1))
        "$weft" train "$@" --resume "$name-killed" >out 2>err &
        pid=$!
        pause $n
        kill -KILL $pid 2>/dev/null
        wait $pid 2>/dev/null
    done
    "$weft" train "$@" --resume "$name-killed" >out 2>err || fail "$name: the last resume"
    for file in checkpoints/last/model.safetensors checkpoints/last/state.safetensors stats.jsonl; do
        cmp "$name-calm/$file" "$name-killed/$file" || fail "$name: $file differs"
    done
    timeless "$name-calm/metrics.jsonl" >calm
    timeless "$name-killed/metrics.jsonl" >killed
    cmp calm killed || fail "$name: metrics.jsonl differs"
    # killed between a checkpoint and its link
    ln -sfn nowhere "$name-killed/checkpoints/last"
    mkdir -p "$name-killed/checkpoints/step-000001.tmp"
    "$weft" train "$@" --resume "$name-killed" >out 2>err || fail "$name: the last link is mended"
    [ -s "$name-killed/checkpoints/last/config.json" ] || fail "$name: the last link is not mended"
    ls "$name-killed/checkpoints/" | grep -q tmp && fail "$name: temporary folders are left"
    "$weft" train "$@" --resume "$name-killed" >out 2>err || fail "$name: a finished run: $?"
    grep -q "is finished" out || fail "$name: a finished run is not called so"
    # and nothing of it is touched, though its data is gone
    find "$name-killed" -printf '%p %s %T@ %i\n' | sort >before
    "$weft" train "$1" --resume "$name-killed" --data gone --threads 3 --isa emu --keep 1 >out 2>err
    [ $? = 0 ] && grep -q "is finished" out || fail "$name: a finished run needs its data"
    find "$name-killed" -printf '%p %s %T@ %i\n' | sort >after
    cmp before after || fail "$name: a finished run is changed"
}

awk 'BEGIN { srand(2); for (i = 0; i < 3000; i++) printf "%s ", int(rand() * 1000) }' >text
compare gpt2 gpt2 --data text --layers 2 --heads 2 --width 32 --context 32 --batch 4 --steps 60 \
    --dropout 0.1 --accumulate 2 --save-every 5 --eval-every 20 --eval-samples 16 --stats-every 10
compare bf16 gpt2 --data text --layers 1 --heads 2 --width 32 --context 32 --batch 4 --steps 60 \
    --precision bf16 --bf16-weights kahan --save-every 5 --stats-every 10
expect 2 "--precision is f32, but the run in bf16-calm began with bf16" \
    "$weft" train gpt2 --resume bf16-calm --precision f32
expect 2 "--bf16-weights is master, but the run in bf16-calm began with kahan" \
    "$weft" train gpt2 --resume bf16-calm --bf16-weights master
# Dot products of bf16 have bits of their own: a run does not go on with others unasked.
if "$weft" info | grep -q '^isa  .* avx512bf16'; then
    half="--layers 1 --heads 2 --width 32 --context 32 --batch 4 --precision bf16"
    for isa in avx512bf16 avx512; do
        # shellcheck disable=SC2086
        "$weft" train gpt2 --data text $half --steps 400 --save-every 1 --isa $isa --out dots-$isa >/dev/null 2>err &
        pid=$!
        while kill -0 $pid && ! [ -e dots-$isa/checkpoints/last ]; do sleep 0.02; done
        kill -TERM $pid
        wait $pid
    done
    expect 2 "dots-avx512bf16: the run there has the bits that bf16 has on avx512bf16, not on avx512: give --isa avx512bf16 to keep" \
        env WEFT_ISA=avx512 "$weft" train gpt2 --resume dots-avx512bf16
    expect 2 "dots-avx512: the run there has the bits that bf16 has on avx512, not on avx512bf16: give --isa avx512 to keep" \
        env WEFT_ISA=avx512bf16 "$weft" train gpt2 --resume dots-avx512
    expect 0 "" "$weft" train gpt2 --resume dots-avx512bf16 --isa avx512
fi
awk 'BEGIN { srand(3); print "a,b,c,kind"; for (i = 0; i < 200; i++) { a = rand(); b = rand()
    print a "," b "," rand() "," (a > b) } }' >table.csv
compare mlp mlp --data table.csv --hidden 16 --batch 8 --steps 4000 --save-every 500 \
    --stats-every 1000 --optimizer nesterov
exit $failed
