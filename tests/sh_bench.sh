#!/bin/sh
# usage: sh_bench.sh BUILD/weft
# weft bench: profiles of steps in every format, a Chrome trace, weft-bench with its JSON, the report.
. "$(dirname "$0")/support/program.sh"
has() { grep -qF -- "$2" "$1" || fail "$1 lacks '$2': $(head -3 "$1")"; }

step="$weft bench step mlp-20-16-4 -b 8 -r 3 --threads 2"
for format in table csv md json; do
    # shellcheck disable=SC2086  # a list of words
    $step -o $format >$format 2>err || fail "step -o $format: $(cat err)"
    has $format mlp-20-16-4
done
has csv "mlp-20-16-4,8,1,"
has md "| --- |"
python3 - <<'PY' || failed=1
import json
step = json.load(open("json"))
assert step["batch"] == 8 and step["ops"] and step["blocks"] and step["median_ms"] > 0, step
assert abs(sum(o["ms"] for o in step["ops"]) - sum(b["ms"] for b in step["blocks"])) < 1e-3
PY
"$weft" bench explain mlp-20-16-4 --batch 8 -r 3 --trace trace >explain 2>err || fail "explain: $(cat err)"
for words in linear_dw optimizer "block 1" unexplained verdict; do has explain "$words"; done
python3 - <<'PY' || failed=1
import json
events = json.load(open("trace"))["traceEvents"]
assert len(events) >= 8 and all(e["ph"] == "X" and e["dur"] >= 0 for e in events), events[:2]
assert {"linear", "optimizer"} <= {e["cat"] for e in events}
PY
"$weft" bench step mlp-wide >out 2>err && fail "a wrong model is taken"
has err "weft: there is no model 'mlp-wide'"
"$weft" bench explode >out 2>err
[ $? -eq 2 ] || fail "'bench explode' is no usage error"

if [ -x "${weft%/*}/weft-bench" ]; then
    "$weft" bench --benchmark_list_tests >list || fail "the list"
    [ "$(grep -c . list)" -gt 100 ] || fail "the list is short"
    "$weft" bench --threads=1 --benchmark_filter='nn/.*:63/|step/mlp-13|rows:1024/.*hot' \
        --benchmark_repetitions=2 --benchmark_min_time=0.001 --again --benchmark_out=b.json >table 2>err ||
        fail "weft-bench: $(cat err)"
    for words in "of the limit" "gemm_nn/f32/" "step/mlp-13" "noise: "; do has table "$words"; done
    "$weft" bench report b.json json --out b.html >out 2>err || fail "the report: $(cat err)"
    for words in "<svg" "Roofline" "One step of mlp-20-16-4"; do has b.html "$words"; done
    "$weft" bench --no-such-option >out 2>err && fail "weft-bench takes any option"
fi
printf '{"half": ' >broken.json
"$weft" bench report broken.json >out 2>err && fail "a broken file is taken"
has err "broken.json"
exit $failed
