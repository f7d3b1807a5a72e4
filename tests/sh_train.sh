#!/bin/sh
# usage: sh_train.sh BUILD/weft
# A newcomer's first hour: train, look at the folder, generate, evaluate, stop, run out of disk.
. "$(dirname "$0")/support/program.sh"

awk 'BEGIN { srand(1); for (i = 0; i < 1500; i++)
    print "the " (rand() < .5 ? "cat" : "dog") " sat on the " (rand() < .5 ? "mat" : "log") }' >text
small="--layers 2 --heads 2 --width 32 --context 32 --batch 8 --lr 1e-2 --threads 1"
# shellcheck disable=SC2086  # a list of options
expect 0 "best validation loss" "$weft" train gpt2 --data text --tokenizer char $small --steps 120 \
    --eval-every 60 --stats-every 20 --sample-every 120 --out run
for words in "parameters" "bigram model" "memory " "seed 1" "tok/s" "--- sample at step 120"; do
    grep -qF -- "$words" out || fail "the output has no '$words'"
done

# the folder
for file in run.json metrics.jsonl stats.jsonl checkpoints/last/model.safetensors \
    checkpoints/last/state.safetensors checkpoints/last/config.json \
    checkpoints/last/tokenizer.json checkpoints/best/config.json; do
    [ -s "run/$file" ] || fail "run/$file is missing or empty"
done
[ "$(readlink run/checkpoints/last)" = step-000120 ] || fail "last is not step-000120"
[ "$(wc -l <run/metrics.jsonl)" = 120 ] || fail "metrics.jsonl has not a line a step"
for key in step loss lr grad_norm clipped tokens_per_s step_ms; do
    [ "$(grep -c "\"$key\":" run/metrics.jsonl)" = 120 ] || fail "$key is not on every line"
done
[ "$(grep -c '"val_loss":' run/metrics.jsonl)" = 2 ] || fail "val_loss is not on 2 lines"
for what in '"tensor":"q","kind":"std"' '"tensor":"k","kind":"gnorm"' \
    '"tensor":"v","kind":"update_ratio"' '"tensor":"mlp_fc","kind":"std"' \
    '"tensor":"resid","kind":"std"' '"kind":"logit_max"' '"kind":"histogram"'; do
    grep -qF "\"step\":40,\"layer\":0,$what" run/stats.jsonl ||
        grep -F '"step":40,"layer":0,' run/stats.jsonl | grep -qF "$what" ||
        fail "stats.jsonl has no $what at step 40"
done

# use it: state.safetensors is not needed
cp -r run/checkpoints/last/ model && rm model/state.safetensors
expect 0 "the c" "$weft" generate --model model --prompt "the c" --tokens 40 \
    --temperature 9 --threads 1
cp out first
expect 0 "the c" "$weft" generate --model model --prompt "the c" --tokens 40 \
    --temperature 9 --threads 2
cmp -s out first || fail "generated text depends on threads"
[ "$(wc -m <first)" = 46 ] || fail "generate did not write 40 tokens"
expect 0 "the c" "$weft" generate --model model --prompt "the c" --tokens 40 \
    --seed 2 --temperature 9
cmp -s out first && fail "--seed does not change the text"
expect 1 "is not among" "$weft" generate --model model --prompt "Zebra" --tokens 3
expect 0 '"bigram_loss"' "$weft" eval --model run/checkpoints/last --json
# a text so plain is learned at once: clearly below the bigram model, here and on other data
loss=$(sed -n 's/.*"loss": \([0-9.]*\).*/\1/p' out)
bigram=$(sed -n 's/.*"bigram_loss": \([0-9.]*\).*/\1/p' out)
awk "BEGIN { exit !($loss > 0 && $loss < $bigram) }" ||
    fail "loss $loss is not below the bigram model's $bigram"
expect 0 "accuracy" "$weft" eval --model model --data text --val-fraction 0

# a run stands for its last checkpoint; its data is found from anywhere
expect 0 "the c" "$weft" generate --model run --prompt "the c" --tokens 3
(cd / && "$weft" eval --model "$tmp/run" --json) >out 2>err || fail "eval from another folder"
# run.json is not needed where all is given
cp -r run noted && echo "{" >noted/run.json
expect 1 "run.json: line" "$weft" eval --model noted
expect 0 "accuracy" "$weft" eval --model noted --data text --val-fraction 0.1

# --config: a run.json is one; the command line is stronger
expect 0 "20 steps" "$weft" train gpt2 --config run/run.json --steps 20 --out again
grep -q '"width": 32' again/run.json || fail "--config run.json is not obeyed"
# also over what the file worked out: the warmup, and steps by epochs or the other way
expect 0 " 1 steps" "$weft" train gpt2 --config run/run.json --steps 1 --out again1
expect 0 "done" "$weft" train gpt2 --config run/run.json --epochs 0.001 --out again2
grep -q '"steps"' again2/run.json && fail "--epochs does not replace the steps of --config"

# a signal: saved, exit code 0, resumable
# shellcheck disable=SC2086
"$weft" train gpt2 --data text $small --steps 100000 --out stop >out 2>err &
pid=$!
while [ ! -s stop/metrics.jsonl ] && kill -0 $pid 2>/dev/null; do sleep 0.05; done
kill -TERM $pid
wait $pid || fail "SIGTERM did not end in exit code 0"
grep -q "stopped at step .* by a signal" out || fail "nothing is said about the signal"
[ -s stop/checkpoints/last/model.safetensors ] || fail "SIGTERM did not save"
# the terminal is closed, or nobody reads on
# shellcheck disable=SC2086
"$weft" train gpt2 --data text $small --steps 100000 --out hangup >out 2>err &
pid=$!
while [ ! -s hangup/metrics.jsonl ] && kill -0 $pid 2>/dev/null; do sleep 0.05; done
kill -HUP $pid
wait $pid || fail "SIGHUP did not end in exit code 0"
[ -s hangup/checkpoints/last/model.safetensors ] || fail "SIGHUP did not save"
# shellcheck disable=SC2086
"$weft" train gpt2 --data text $small --steps 100000 --out unread 2>err | head -12 >out
[ -s unread/checkpoints/last/model.safetensors ] || fail "SIGPIPE did not save"

# in an evaluation, too: it is done again by --resume, and nothing differs from a run left alone
yes 'it was the best of times, it was the worst of times' | head -4000 >long
long="--data long --layers 1 --heads 2 --width 32 --context 32 --batch 1 --steps 2 --threads 1"
# shellcheck disable=SC2086
"$weft" train gpt2 $long --val-fraction 0.6 --eval-samples 0 --eval-every 1 --out judged >out 2>err
# shellcheck disable=SC2086
"$weft" train gpt2 $long --val-fraction 0.6 --eval-samples 0 --eval-every 1 --out left >left.out 2>err &
pid=$!
while ! grep -qs "^step 1/" left.out && kill -0 $pid 2>/dev/null; do sleep 0.02; done
kill -TERM $pid
wait $pid
grep -q "stopped at step 1 of 2" left.out || fail "SIGTERM is not looked at in an evaluation"
grep -q val_loss left/metrics.jsonl && fail "an unfinished evaluation counts"
expect 0 "done" "$weft" train gpt2 --resume left
expect 0 "same: 2 steps" "$weft" diff judged left

# a mapped file that was cut short: not a silent death
# shellcheck disable=SC2086
"$weft" train gpt2 --data text $small --steps 100000 --out bus >out 2>err &
pid=$!
while [ ! -s bus/metrics.jsonl ] && kill -0 $pid 2>/dev/null; do sleep 0.05; done
kill -BUS $pid
wait $pid
[ $? = 1 ] && grep -q "^weft: a file in use was cut short" err || fail "SIGBUS: no clear line"

# a full disk: one line, exit code 1, the last checkpoint whole
# shellcheck disable=SC2086
( ulimit -f 300 # blocks of 512 bytes: the third write of a larger file fails
  exec "$weft" train gpt2 --data text $small --width 64 --steps 20 --out full >out 2>err )
[ $? = 1 ] || fail "a file that cannot be written is not exit code 1"
[ "$(wc -l <err)" = 1 ] && grep -q '^weft: .*cannot be written' err || fail "no clear line"
ls full/checkpoints/*.tmp >/dev/null 2>&1 && fail "a half-written checkpoint was left"

# standard files that are closed: no line for the screen ends up in a file of the run
# shellcheck disable=SC2086
"$weft" train gpt2 --data text $small --steps 2 --out closed <&- >&- 2>&- || fail "closed files"
[ "$(grep -c '^{"step":[12],' closed/metrics.jsonl)" = "$(wc -l <closed/metrics.jsonl)" ] ||
    fail "metrics.jsonl has other lines"

# weights that are no numbers are not saved over good ones: 0 / 0 where an input is always 0
awk 'BEGIN { print "a,b,y"; for (i = 0; i < 64; i++) print i % 7 ",5," (i % 7 > 3 ? "p" : "q") }' >zero.csv
expect 1 "layers.0.weight has a NaN or Inf" "$weft" train mlp --data zero.csv --hidden 8 --batch 16 \
    --optimizer adam --eps 0 --steps 20 --save-every 1 --out nan
expect 1 "move away the one it comes from, huge/checkpoints/step-000002" "$weft" train mlp --data zero.csv \
    --hidden 8,8 --batch 16 --lr 1e6 --weight-decay 1000 --clip 0 --warmup 0 --steps 9 --save-every 1 \
    --loss-limit 0 --grad-limit 0 --out huge
[ -e nan/checkpoints/last ] && fail "a checkpoint with NaN weights was kept"
exit $failed
