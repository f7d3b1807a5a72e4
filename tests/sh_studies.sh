#!/bin/sh
# usage: sh_studies.sh BUILD/weft
# Every study at its smallest: all checks that mathematics demands pass, results are the same for one
# worker and two, a stopped study goes on, and bad input is refused. Needs data/ (ci/data.sh).
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
rm one/report.html
"$weft" study report one >log 2>&1 && [ -s one/report.html ] || fail "study report"
refused 2 "did you mean 'lars'" "$weft" study larz
refused 2 "has no part 'z'" "$weft" study lars --part z --data "$data"
refused 2 'no --paper setting' "$weft" study lars --paper --data "$data"
refused 1 'nowhere' "$weft" study lars --smoke --data nowhere --out three
exit $failed
