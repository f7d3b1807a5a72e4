#!/bin/sh
# usage: sh_eval.sh BUILD/weft
# A model of a table meets other tables: columns by name, figures and classes of its training.
. "$(dirname "$0")/support/program.sh"

eval_on() { expect 0 '"loss"' "$weft" eval --model "$1/checkpoints/last" --data "$2" --json; }

# three classes along x, which has another mean and spread in each
awk 'BEGIN { srand(1); print "x,y,kind"; for (i = 0; i < 150; i++) { k = i % 3
    print 100 * k + 9 * rand() "," rand() "," substr("abc", k + 1, 1) } }' >table.csv
expect 0 "done" "$weft" train mlp --data table.csv --hidden 8 --batch 16 --epochs 30 --lr 0.1 \
    --threads 1 --out run
eval_on run table.csv
grep -q '"split": "validation"' out || fail "the table of the training is not split as then"

# columns in another order, one more: the same numbers
awk -F, '{ print (NR == 1 ? "id" : "r" NR) "," $3 "," $2 "," $1 }' table.csv >swapped.csv
cp table.csv same.csv
eval_on run same.csv
cp out same
eval_on run swapped.csv
cmp -s out same || fail "the order of columns matters"
# two classes of three, whose own mean is another one; one row
grep -v ',a$' table.csv >two.csv
eval_on run two.csv
awk -F'[:,]' '/"accuracy"/ { exit !($2 > 0.98) }' out || fail "classes b and c are taken for others"
sed -n '1p;4p' table.csv >one.csv
eval_on run one.csv
grep -q '"accuracy": 1' out || fail "one row is not recognised"
# no header: by position
sed 1d two.csv >bare.csv
eval_on run bare.csv
awk -F'[:,]' '/"accuracy"/ { exit !($2 > 0.98) }' out || fail "a table without header"
# --label is obeyed
sed 's/kind/sort/' two.csv >renamed.csv
expect 1 "no column 'kind'" "$weft" eval --model run/checkpoints/last --data renamed.csv
expect 0 "accuracy" "$weft" eval --model run/checkpoints/last --data renamed.csv --label sort
sed 's/,c$/,d/' two.csv >unknown.csv
expect 1 "'d' is none of the model's 3 classes" "$weft" eval --model run/checkpoints/last \
    --data unknown.csv
sed 's/^x/z/' two.csv >missing.csv
expect 1 "no column 'x'" "$weft" eval --model run/checkpoints/last --data missing.csv
cut -d, -f1,3 bare.csv >narrow.csv
expect 1 "2 columns" "$weft" eval --model run/checkpoints/last --data narrow.csv

expect 1 "is not a language model: --weights" "$weft" eval --model run/checkpoints/last --weights int8

# hashes step by step: those of the checkpoint where there is one; diff finds the step
expect 0 "done" "$weft" train mlp --data table.csv --hidden 8 --batch 16 --steps 6 --threads 1 \
    --hash-every 1 --save-every 3 --keep 9 --out h1
expect 0 "done" "$weft" train mlp --data table.csv --hidden 8 --batch 16 --steps 6 --threads 1 \
    --hash-every 1 --out h2 --isa emu
expect 0 "same: 6 steps and 1 checkpoints compared, and hashes of 6 steps" "$weft" diff h1 h2
"$weft" hash h1 --json >out
python3 - <<'END' || fail "hashes of steps are not those of checkpoints"
import json
list = json.load(open("out"))
saved, steps = [h for h in list if "path" in h], [h for h in list if "path" not in h]
assert [h["step"] for h in steps] == [1, 2, 3, 4, 5, 6] and len(saved) == 2, list
for h in saved:
    of = steps[h["step"] - 1]
    assert h["total"] == of["total"] and h["tensors"] == of["tensors"] and len(of["tensors"]) > 3
END
sed '/"step":4,/s/"layers.0.weight":"./"layers.0.weight":"-/; /"step":4,/s/"params":"./"params":"-/' \
    h2/metrics.jsonl >changed && mv changed h2/metrics.jsonl
expect 1 "step 4, hashes: layers.0.weight differs" "$weft" diff h1 h2
rm -r h2/checkpoints
expect 0 "total, step 5" "$weft" hash h2

# a model of before: its own table, and no other one
cp -r run old
python3 - <<'END' || fail "no config.json to change"
import json, os
path = "old/checkpoints/" + os.readlink("old/checkpoints/last") + "/config.json"
config = json.load(open(path))
del config["columns"]
config.pop("weft_xxh64", None)
json.dump(config, open(path, "w"))
END
expect 0 "accuracy" "$weft" eval --model old/checkpoints/last
expect 1 "does not say how the table" "$weft" eval --model old/checkpoints/last --data same.csv
expect 0 "is finished" "$weft" train mlp --resume old

# a number to predict: its mean and spread, too
awk 'BEGIN { srand(2); print "x,v"; for (i = 0; i < 99; i++) { x = rand(); print x "," 50 + 9 * x } }' >line.csv
expect 0 "done" "$weft" train mlp --loss mse --data line.csv --hidden 8 --batch 16 --epochs 30 \
    --lr 0.1 --threads 1 --out line
awk -F, 'NR == 1 || $1 > 0.5' line.csv >half.csv
eval_on line half.csv
awk -F'[:,]' '/"loss"/ { exit !($2 < 0.05) }' out || fail "a number is scaled by other figures"
exit $failed
