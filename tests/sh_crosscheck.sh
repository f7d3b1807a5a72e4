#!/bin/sh
# usage: sh_crosscheck.sh BUILD/weft
# weft crosscheck as a user calls it: tables, files, exit codes; a model; without oneDNN one clear line.
. "$(dirname "$0")/support/program.sh"

if ! "$weft" info --json | grep -q '"backends".*"onednn"'; then
    expect 1 'libdnnl-dev' "$weft" crosscheck --quick
    expect 0 'libdnnl-dev' "$weft" info
    exit $failed
fi
expect 0 'onednn (oneDNN ' "$weft" info

expect 0 ' 0 failed' "$weft" crosscheck --quick --ops layernorm,xent,random --threads 1 \
    --json a.json --html a.html
[ "$(grep -c ' pass$' out)" -gt 20 ] || { echo "FAILED: few lines in the table"; failed=1; }
grep -q '^layernorm .* bwd layernorm_bwd.3 .* dgamma ' out || { echo "FAILED: no dgamma"; failed=1; }
python3 - <<'EOF' || failed=1
import json
d = json.load(open("a.json"))
assert d["failed"] == 0 and d["onednn"][0] in "23", d["onednn"]
for c in d["checks"]:
    assert c["dtype"] == "f32" and c["verdict"] == "pass" and c["shape"] and c["output"]
    assert c["direction"] in ("forward", "backward")
    assert 0 <= c["err_weft"] <= c["bound"]
    assert (c["err_onednn"] is None) == c["op"].startswith("random")
    assert len(c["weft"]["worst"]["index"]) == 2 and c["weft"]["max_ulp"] >= 0
both = {(c["op"], c["direction"]) for c in d["checks"]}
assert {("layernorm", "forward"), ("layernorm", "backward"), ("softmax_xent", "backward")} <= both
assert any("onednn_packed" not in c["hot_ms"] and c["hot_ms"].get("onednn", 0) > 0 for c in d["checks"])
EOF
[ "$(grep -c '<svg class="plot"' a.html)" = 3 ] || { echo "FAILED: not three charts"; failed=1; }

expect 0 '50 of 50 steps on both' "$weft" crosscheck --model mlp-tiny --json m.json --html m.html
python3 - <<'EOF' || failed=1
import json
d = json.load(open("m.json"))
assert d["model"] == "mlp-tiny" and d["first_outside"] is None
a, b = d["losses"]["weft"], d["losses"]["onednn"]
assert len(a) == len(b) == 50 and a[-1] < 0.8 * a[0] and a != b and d["divergence"] < 1e-4
EOF

expect 2 "nothing is called 'qqq'" "$weft" crosscheck --ops gelu,qqq
expect 2 '--ops chooses nothing' "$weft" crosscheck --quick --ops ""
expect 2 '--model' "$weft" crosscheck --model gpt5
expect 2 'exclude' "$weft" crosscheck --model mlp-tiny --ops gelu
expect 1 'no/such' "$weft" crosscheck --quick --ops random --json no/such/file
exit $failed
