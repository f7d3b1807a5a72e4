#!/bin/sh
# usage: sh_cli.sh BUILD/weft
# The frame of the program: help of every command, exit codes, where output goes, report, diff.
. "$(dirname "$0")/support/program.sh"
source=${WEFT_SOURCE:?}

# expect CODE WORDS COMMAND...: the exit code, and WORDS on stdout (code 0) or stderr (else), where
# every line begins with "weft: "; and nothing on the other one.
expect() {
    code=$1 words=$2
    shift 2
    "$@" >out 2>err
    got=$?
    from=out other=err
    [ "$code" = 0 ] || { from=err other=out; }
    [ "$got" = "$code" ] && grep -qF -- "$words" $from && [ ! -s $other ] &&
        { [ "$code" = 0 ] || ! grep -qv '^weft: ' err; } && return
    failed=1
    echo "FAILED: $* -> $got, expected $code and '$words'; stdout and stderr:"
    head -5 out err
}

commands=$(sed -n 's/^WEFT_COMMAND(\([a-z]*\),.*/\1/p' "$source/cli/commands.def")
[ "$(echo "$commands" | wc -l)" -ge 4 ] || { echo "no list of commands" >&2; exit 1; }
for command in $commands; do
    expect 0 "usage: weft $command" "$weft" "$command" --help
    expect 0 "  $command " "$weft" --help
    model= # train and plan want one first
    grep -q "^WEFT_COMMAND($command, [^,]*, true" "$source/cli/commands.def" && model=gpt2
    # shellcheck disable=SC2086  # nothing, when there is no model
    expect 2 "unknown option --no-such" "$weft" "$command" $model --no-such
done
expect 0 "usage: weft COMMAND" "$weft" help
expect 0 "weft 0." "$weft" --version
expect 2 "did you mean 'info'" "$weft" inof
expect 2 "unknown command 'qqqqqqqqqqqq'" "$weft" qqqqqqqqqqqq
expect 2 "which command?" "$weft"
expect 0 "usage: weft COMMAND" "$weft" -h
expect 0 "weft 0." "$weft" -v
expect 0 "usage: weft eval" "$weft" eval -h
expect 0 "usage: weft eval" "$weft" help eval
expect 2 "did you mean 'eval'" "$weft" help evel

# info
expect 0 '"isa_available": [' "$weft" info --json
expect 0 '"threads": 1,' "$weft" info --json --threads 9 --threads=1
"$weft" info --json --threads 1000 >out 2>err
grep -q '"threads": 1000,' out && grep -q '^weft: warning: --threads 1000' err ||
    { echo "FAILED: more threads than cores"; failed=1; }
expect 0 '"isa": "emu"' "$weft" info --json --isa emu
# threads are counted before OpenMP binds the first one to a core
cpus=$("$weft" info --json | grep '"cpuset"')
for bind in OMP_PROC_BIND=true OMP_PLACES=cores; do
    expect 0 "$cpus" env "$bind" "$weft" info --json
done
expect 0 '"cpuset": 1,' env OMP_PROC_BIND=true taskset -c "$(taskset -cp $$ | sed 's/.*: //; s/[-,].*//')" \
    "$weft" info --json
expect 0 '"isa": "emu"' env WEFT_ISA=emu "$weft" info --json
expect 0 'fma peak' "$weft" info --measure
expect 1 'sse9' env WEFT_ISA=sse9 "$weft" info
expect 2 "'sse9'" "$weft" info --isa sse9
expect 2 '--threads' "$weft" info --threads 0
expect 2 '--threads' "$weft" info --threads 10000
expect 2 'one argument too many' "$weft" info something
if [ -w /dev/full ]; then
    "$weft" info >/dev/full 2>err
    [ $? = 1 ] && grep -q '^weft: standard output' err || { echo "FAILED: full stdout"; failed=1; }
fi
"$weft" info --json >a
python3 -c 'import json; d = json.load(open("a")); assert d["isa"] in d["isa_available"]' || failed=1

# plan: counted before anything is allocated; the largest batch fits, one more does not
expect 0 '"parameters": 124439808' "$weft" plan gpt2 --preset gpt2-124m --batch 4 --json
expect 0 'largest batch that fits' "$weft" plan gpt2 --layers 2 --heads 2 --width 64
expect 0 '235146 parameters, batch 7' "$weft" plan mlp --hidden 256,128 --batch 7 --lr 3
expect 2 'say which model' "$weft" plan
expect 2 'does not divide' "$weft" plan gpt2 --heads 5
expect 2 'hidden' "$weft" plan mlp --hidden 0
"$weft" plan gpt2 --preset gpt2-124m --json >a
batch=$(sed -n 's/.*"largest_batch": \([0-9]*\).*/\1/p' a)
available=$(sed -n 's/.*"available": \([0-9]*\).*/\1/p' a)
if [ "$batch" -gt 0 ]; then
    for more in 0 1; do
        "$weft" plan gpt2 --preset gpt2-124m --batch $((batch + more)) --json >b
        total=$(sed -n 's/.*"total": \([0-9]*\).*/\1/p' b)
        [ "$total" -le "$available" ] && fits=0 || fits=1
        [ $fits = $more ] || { echo "FAILED: batch $batch + $more: $total of $available"; failed=1; }
    done
fi

# data
for i in 1 2 3 4 5 6 7 8 9 10; do echo "the quick brown fox jumps over the lazy dog $i" ; done >text.txt
cat text.txt text.txt text.txt text.txt text.txt text.txt text.txt text.txt >long.txt
expect 0 'the quick' "$weft" data long.txt
expect 0 '"vocab": 256' "$weft" data long.txt --json
expect 0 '"vocab": 38' "$weft" data long.txt --json --tokenizer char
expect 0 '"val_tokens": 922' "$weft" data long.txt --json --val-fraction 0.25
expect 1 'no-such.txt' "$weft" data no-such.txt
expect 2 'too few' "$weft" data
echo a,b,kind >rows.csv
for i in 1 2 3 4 5 6 7 8; do printf '%s,%s,0\n%s,%s,1\n' $i $((i * i)) $((i + 2)) $i; done >>rows.csv
expect 0 '"classes": 2' "$weft" data rows.csv --json
expect 0 '"classes": 10' "$weft" data rows.csv --json --label a
python3 -c 'import json; json.load(open("out"))' || failed=1
expect 0 "column 3, 'kind'; the first line is a header" "$weft" data rows.csv
# all that train takes
tr , '\t' <rows.csv >rows.tsv
expect 0 '"classes": 2' "$weft" data rows.tsv --json
sed '2,$s/$/.5/' rows.csv >numbers.csv
expect 0 'standard deviation 0.5' "$weft" data numbers.csv
echo "a short text, to be looked at" >short.txt
expect 0 'a training sample' "$weft" data short.txt
mkdir idx
python3 - <<'END' || failed=1
import struct
for name in "train", "t10k":
    open(f"idx/{name}-images.idx3-ubyte", "wb").write(struct.pack(">IIII", 0x803, 9, 2, 2) + bytes(36))
    open(f"idx/{name}-labels.idx1-ubyte", "wb").write(struct.pack(">II", 0x801, 9) + bytes(range(9)))
END
expect 0 'MNIST' "$weft" data idx

# report and diff of runs written by hand
mkdir one two not
for run in one two; do
    for step in 0 1 2 3; do
        echo "{\"step\":$step,\"loss\":$((9 - step)),\"lr\":0.1,\"grad_norm\":1,\"clipped\":false}"
    done >$run/metrics.jsonl
    for layer in 0 1; do
        for tensor in q k v; do
            echo "{\"step\":1,\"layer\":$layer,\"tensor\":\"$tensor\",\"kind\":\"std\",\"value\":0.02}"
            echo "{\"step\":3,\"layer\":$layer,\"tensor\":\"$tensor\",\"kind\":\"std\",\"value\":0.03}"
        done
    done >$run/stats.jsonl
done
expect 0 'one/report.html' "$weft" report one
[ -s one/report.html ] || failed=1
expect 0 'both.html' "$weft" report one two --out both.html
grep -q '>two<' both.html || failed=1
expect 0 '    1  0.02000 0.03000  +50.0%' "$weft" report --table one
expect 1 'not a run directory' "$weft" report not
expect 1 'no such' "$weft" report 'no such'
expect 1 'no/such/place.html' "$weft" report one --out no/such/place.html
expect 2 'too few arguments' "$weft" report
expect 0 'same: 4 steps' "$weft" diff one two
sed -i 's/"step":2,"loss":7/"step":2,"loss":7.5/' two/metrics.jsonl
"$weft" diff one two >out 2>err
[ $? = 1 ] && grep -qF 'step 2, metrics: loss is 7 and 7.5' out && [ ! -s err ] ||
    { echo "FAILED: diff of different runs"; failed=1; }
"$weft" diff --json one two >out
python3 -c 'import json; d = json.load(open("out")); assert not d["same"]; assert d["differences"][0]["step"] == 2' || failed=1
expect 2 'too few' "$weft" diff one
expect 2 'not a run directory' "$weft" diff one not
expect 2 'one argument too many' "$weft" diff one two not
expect 1 'no checkpoints' "$weft" hash one
exit $failed
