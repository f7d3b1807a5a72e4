#!/bin/sh
# usage: ci/crosscheck.sh [BUILD]    (default build/release)
# weft against oneDNN, quickly: with the oneDNN of BUILD; with 3.2, where its wheels can be had; and
# with a planted bug, which must be named. Says what is left out, and why.
set -u
cd "$(dirname "$0")/.." || exit 1
weft=${1:-build/release}/weft
other=build/sabotage/weft # built by the second compiler, with planted bugs
log=build/ci/crosscheck
mkdir -p build/ci
export OMP_WAIT_POLICY=passive # where CPUs are shared, spinning threads are in the way
bad=0

fail() {
    echo "FAILED: $*"
    bad=1
}

# run NAME WEFT ARGUMENTS...: must pass; its last lines are shown.
run() {
    name=$1 program=$2
    shift 2
    if "$program" crosscheck "$@" --json "$log-$name.json" >"$log-$name.txt" 2>&1; then
        tail -n 2 "$log-$name.txt"
    else
        fail "$program crosscheck $*"
        grep -E '^FAIL|^weft:' "$log-$name.txt" | head -n 10
    fi
}

# Every op of the table is among the nodes of a run.
covered() {
    for op in $(sed -n 's/^WEFT_OP(\(.*\))/\1/p' runtime/ops.def); do
        case $op in
        matmul_pack) continue ;;    # part of "matmul packed"
        narrow | widen) continue ;; # of programs in bf16
        esac
        grep -qE "\"node\": \"(h[0-9]+\.)?$op(\.[0-9]+)?\"" "$log-$1.json" || fail "no case has the op $op"
    done
}

if ! "$weft" info --json | grep -q '"backends".*"onednn"'; then
    echo "skipped: $weft is built without oneDNN (ci/deps.sh, then configure again)"
    exit 0
fi
run quick "$weft" --quick
covered quick
run gpt2 "$weft" --model gpt2-tiny
run mlp "$weft" --model mlp-tiny

root=
if ci/onednn3.sh build/onednn-3 >"$log-fetch.txt" 2>&1; then
    root=$PWD/build/onednn-3
else
    echo "skipped: oneDNN 3.x: $(tail -n 1 "$log-fetch.txt")"
fi

if ci/sabotage.sh --build "-DWEFT_ONEDNN_ROOT=$root" >"$log-build.txt" 2>&1; then
    # eps is added outside of the square root
    export WEFT_SABOTAGE=1
    $other crosscheck --quick --ops layernorm >"$log-bug.txt" 2>&1
    [ $? = 1 ] && grep -q '^FAIL layernorm.*kernels: layernorm_fwd' "$log-bug.txt" ||
        fail "a planted bug of layernorm_fwd is not named"
    $other crosscheck --model gpt2-tiny >"$log-bug.txt" 2>&1
    [ $? = 1 ] && grep -q '^the first node outside of its bound is h0.layernorm.1' "$log-bug.txt" ||
        fail "a planted bug of layernorm_fwd is not named in gpt2-tiny"
    unset WEFT_SABOTAGE
    if [ -n "$root" ]; then
        $other info | grep -q 'oneDNN 3\.' || fail "$other is not built with oneDNN 3.x"
        run quick3 $other --quick
        run gpt2-3 $other --model gpt2-tiny
    fi
    cmake -S . -B build/sabotage -DWEFT_ONEDNN_ROOT= >/dev/null
else
    fail "the build: $(tail -n 3 "$log-build.txt")"
fi
[ $bad = 0 ] && echo "crosscheck: green, and a planted bug is named"
exit $bad
