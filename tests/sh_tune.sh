#!/bin/sh
# usage: sh_tune.sh BUILD/weft
# What cuts work: found by `weft tune`, kept, used by later commands, overridden, and harmless when
# the file is damaged.
. "$(dirname "$0")/support/program.sh"
unset WEFT_TUNE
export XDG_CACHE_HOME="$tmp/cache"

"$weft" tune --threads 1 >out 2>err || fail "weft tune: $(cat err)"
file=cache/weft/tuning.json
[ "$(grep -c kept out)" = 4 ] && [ -s $file ] || fail "three settings and a file are not kept: $(cat out)"
"$weft" info --threads 1 | grep -q '^tuning .*grain_ns=' || fail "info does not show the tuning"

python3 - $file <<'EOF' || fail "the file is not as it is documented"
import json, sys
kept = json.load(open(sys.argv[1]))
[(key, text)] = kept.items()
assert key.endswith(", 1 thread"), key
kept[key] = "grain_ns=1234"
json.dump(kept, open(sys.argv[1], "w"))
EOF
"$weft" info --threads 1 | grep -q '^tuning .*grain_ns=1234 .*(weft tune)' || fail "what is kept is not used"
WEFT_TUNE=l2=7 "$weft" info --threads 1 | grep -q '^tuning .*grain_ns=4000 .*l2=7 .*(WEFT_TUNE)' ||
    fail "WEFT_TUNE does not override"
WEFT_TUNE=l3=7 "$weft" info >out 2>err && fail "a wrong WEFT_TUNE passes"
grep -q '^weft: tuning "l3=7": must be NAME=NUMBER' err || fail "no clear line: $(cat err)"
sed -i 's/grain_ns/grain/' $file
"$weft" info --threads 1 | grep -q '(defaults)' || fail "a kept tuning that cannot be is not passed over"
echo '{' >$file
"$weft" info --threads 1 | grep -q '(defaults)' || fail "a damaged file is not passed over"
exit $failed
