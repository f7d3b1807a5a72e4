#!/bin/sh
# usage: sh_studies.sh BUILD/weft
# Every study at its smallest: all checks that mathematics demands pass, results are the same bits for
# one worker and two, one thread and two; a study goes on after a signal, a full disk and a damaged
# cell; missing numbers are no success, and bad input is refused. Needs data/ (ci/data.sh).
set -u
weft=$1
data=$WEFT_SOURCE/data
[ -f "$data/kjv.txt" ] && [ -f "$data/wine_data.csv" ] && [ -f "$data/train-images-idx3-ubyte" ] ||
    { echo "skipped: fill data/ with ci/data.sh"; exit 77; }
"$weft" study list >/dev/null 2>&1 || { echo "skipped: built without studies"; exit 77; }
. "$(dirname "$0")/support/program.sh"

"$weft" study all --smoke --data "$data" --out all >log 2>&1 || { fail "study all"; cat log; }
[ -s all/index.html ] || fail "no index page"
for dir in all/*/; do
    name=$(basename "$dir")
    for file in report.html result.json metrics.jsonl; do
        [ -s "$dir/$file" ] || fail "$name: no $file"
    done
    grep -q '"verdict": "pass"' "$dir/result.json" || fail "$name: no check has passed"
    grep -E '"verdict": "(fail|vacuous)"' "$dir/result.json" && fail "$name: a check has failed"
    grep -E '"class": "(EF|RP)"' "$dir/result.json" && fail "$name: judges effects in --smoke"
done

one="lars --smoke --data $data"
# shellcheck disable=SC2086  # a list of options
{
    "$weft" study $one --jobs 1 --out one >log 2>&1 || fail "--jobs 1"
    "$weft" study $one --jobs 2 --out two >log 2>&1 || fail "--jobs 2"
    cmp one/metrics.jsonl two/metrics.jsonl || fail "the number of workers changes results"
    cp two/metrics.jsonl before
    rm two/cells/a.clip.scaled=1.seed=1.jsonl
    "$weft" study $one --out two >log 2>&1 || fail "going on"
    cmp before two/metrics.jsonl || fail "a cell that is run again is another"
    refused 1 'holds study lars' "$weft" study matrix-products --smoke --data "$data" --out one
    refused 1 'holds the smoke setting' "$weft" study lars --quick --data "$data" --out one
}
# Two threads in every phase, however small, give the bits of one; so does going on after a signal.
WEFT_TUNE=grain_ns=1 "$weft" study rezero --smoke --data "$data" --jobs 1 --threads 2 --out threads \
    >log 2>&1 || fail "--threads 2"
"$weft" study rezero --smoke --data "$data" --jobs 1 --threads 1 --out thread >log 2>&1 ||
    fail "--threads 1"
cmp threads/metrics.jsonl thread/metrics.jsonl || fail "the number of threads changes results"
cmp threads/metrics.jsonl all/rezero/metrics.jsonl || fail "--threads 2 is not what --jobs 2 gives"

"$weft" study xavier-kaiming --smoke --data "$data" --out stopped >log 2>&1 &
study=$!
until ls stopped/cells/*.jsonl >/dev/null 2>&1 || ! kill -0 $study 2>/dev/null; do sleep 0.02; done
kill -TERM $study 2>/dev/null
wait $study && fail "a signal does not end a study"
grep -q 'the same command goes on' log || fail "a stopped study does not say so"
[ -e stopped/metrics.jsonl ] && fail "a stopped study claims to be finished"
"$weft" study xavier-kaiming --smoke --data "$data" --out stopped >log 2>&1 || fail "after a signal"
cmp stopped/metrics.jsonl all/xavier-kaiming/metrics.jsonl || fail "a stopped study ends otherwise"

# A disk that fills up: no file may be larger than a few blocks.
(
    trap '' XFSZ
    ulimit -f 20
    exec "$weft" study lars --smoke --data "$data" --jobs 1 --out full >log 2>err
) && fail "a full disk is no error"
grep -q 'cannot be written' err || fail "a full disk: $(cat err)"
"$weft" study lars --smoke --data "$data" --out full >log 2>&1 || fail "after a full disk"
cmp full/metrics.jsonl all/lars/metrics.jsonl || fail "a study ends otherwise after a full disk"

# Without gnuplot there are data and a report; a damaged cell is run again.
mkdir none
rm full/*.svg
head -c 300 full/cells/a.clip.scaled=1.seed=1.jsonl >cut
mv cut full/cells/a.clip.scaled=1.seed=1.jsonl
PATH=$tmp/none "$weft" study lars --smoke --data "$data" --out full >log 2>&1 ||
    fail "without gnuplot"
[ "$(grep -c 'gnuplot is not installed' log)" = 1 ] || fail "no word about gnuplot"
[ -s full/loss.csv ] && [ -s full/result.json ] && [ -s full/report.html ] || fail "no data without gnuplot"
cmp full/metrics.jsonl all/lars/metrics.jsonl || fail "a damaged cell is not run again"

# Numbers that are missing, as when everything diverged, are named and fail.
for file in full/cells/*; do
    grep -v '"hash"' "$file" >cut
    mv cut "$file"
done
expect 1 'ID1 vacuous' "$weft" study report full

rm one/report.html
"$weft" study report one >log 2>&1 && [ -s one/report.html ] || fail "study report"
echo '{' >one/study.json
refused 1 'is damaged' "$weft" study lars --smoke --data "$data" --out one
refused 1 'is no folder of weft study' "$weft" study report none
mkdir other
cp "$data"/*ubyte other
printf '\377' | dd of=other/train-images-idx3-ubyte bs=1 seek=5000 conv=notrunc 2>/dev/null
refused 1 'was run on other data' "$weft" study lars --smoke --data other --out two
head -c 1000 "$data/train-images-idx3-ubyte" >other/train-images-idx3-ubyte
refused 1 'truncated or damaged' "$weft" study lars --smoke --data other --out three
refused 2 'leaves out part g' "$weft" study gpt2-variance --quick --part g --data "$data"
refused 2 "did you mean 'lars'" "$weft" study larz
refused 2 "has no part 'z'" "$weft" study lars --part z --data "$data"
refused 2 'no --paper setting' "$weft" study lars --paper --data "$data"
refused 1 'nowhere' "$weft" study lars --smoke --data nowhere --out three
exit $failed
