#!/bin/sh
# usage: ci/test.sh [--full]
# Installs what is needed, builds with both compilers, and runs every test: sanitizers, AArch64 under
# qemu, planted bugs, and the whole suite in a release build, last. Logs are in build/ci/. --full
# runs eight times the kernel cases everywhere, and ThreadSanitizer; that takes an hour or more.
set -u
cd "$(dirname "$0")/.." || exit 1
full=false
case ${1:-} in
--full) full=true ;;
'') ;;
*)
    echo "usage: ci/test.sh [--full]" >&2
    exit 2
    ;;
esac

jobs=$(nproc)
logs=build/ci
mkdir -p $logs
failed=''
quick=quick
$full && quick=full
begin=$(date +%s)

# stage NAME COMMAND...: runs it, keeps its output, says how long it took.
stage() {
    name=$1
    shift
    start=$(date +%s)
    if "$@" >"$logs/$name.log" 2>&1; then
        result=ok
    else
        result=FAILED
        failed="$failed $name"
        tail -n 60 "$logs/$name.log"
    fi
    printf '%-10s %-6s %4d s   %s\n' "$name" $result $(($(date +%s) - start)) \
        "$(tail -n 1 "$logs/$name.log" | cut -c 1-70)"
}

build() { # preset [cmake arguments]
    preset=$1
    shift
    cmake --preset "$preset" "$@" && cmake --build --preset "$preset" -j "$jobs"
}

run() { # preset, WEFT_CHECK, ctest arguments
    preset=$1
    size=$2
    shift 2
    WEFT_CHECK=$size ctest --preset "$preset" -j "$jobs" --timeout 600 "$@"
}

sanitized() {
    export UBSAN_OPTIONS=print_stacktrace=1 ASAN_OPTIONS=allocator_may_return_null=1
    avx512=ON # slow to compile, and of no use where it does not run
    [ "$(uname -m)" = x86_64 ] && ! grep -q avx512dq /proc/cpuinfo && avx512=OFF
    build asan -DWEFT_AVX512=$avx512 && run asan $quick -R '^(check|grad|unit)_|^sh_bad'
}

threads() { build tsan && TSAN_OPTIONS=halt_on_error=1 run tsan $quick -R '^unit_'; }
# The tokens of tiktoken and tokenizers, which also read what weft writes.
same_tokens() {
    ci/parity.sh tokens
    code=$?
    [ $code -ne 3 ] && return $code
    echo "left out: PyPI or python3-venv is not there"
}
crossed() {
    build aarch64 && ci/check_spills.sh build/aarch64 aarch64-linux-gnu-objdump &&
        run aarch64 $quick -R '^(check|grad)_'
}

stage deps ci/deps.sh test
case $failed in *deps*) echo "ci/test.sh: going on with what is there" >&2 ;; esac
fill_data() { ci/data.sh || echo "without data/ the tests of studies are left out"; }
stage data fill_data
stage layers ci/check_layers.sh
stage build build release
stage symbols ci/check_symbols.sh build/release
[ "$(uname -m)" = x86_64 ] && stage purity ci/check_isa_purity.sh build/release
[ "$(uname -m)" = x86_64 ] && stage spills ci/check_spills.sh build/release
stage clang ci/sabotage.sh --build # with bugs that sleep
stage asan sanitized
$full && stage tsan threads
$full && stage fuzz ci/fuzz.sh 5
$full && stage parity ci/parity.sh
$full || stage tokens same_tokens
[ "$(uname -m)" = aarch64 ] || stage aarch64 crossed
stage sabotage ci/sabotage.sh
stage crosscheck ci/crosscheck.sh

echo "tests of the release build:"
normal=''
$full && normal=full
run release "$normal" || failed="$failed tests"
# Which instruction sets these results are about.
has=$(build/release/weft info --json 2>/dev/null | tr -d ' \n' | sed -n 's/.*"isa_available":\[\([^]]*\)\].*/\1/p')
for isa in avx2 avx512; do
    case $has in
    *\"$isa\"*) ;;
    *) echo "NOT RUN: $isa: compiled only, since this CPU has $(echo "$has" | tr -d '"')" ;;
    esac
done
echo "ci/test.sh took $(($(date +%s) - begin)) s"
if [ -n "$failed" ]; then
    echo "FAILED:$failed (logs in $logs/)"
    exit 1
fi
