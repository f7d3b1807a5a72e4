#!/bin/sh
# usage: ci/fuzz.sh [SECONDS [TARGET...]]     (default: 5 seconds, every target)
# Readers of files against bytes that may be anything: builds tests/fuzz/ with clang, AddressSanitizer
# and UBSan, makes seeds, runs each target for so long. What is found stays in build/fuzz/found/.
set -u
cd "$(dirname "$0")/.." || exit 1
seconds=${1:-5}
[ $# -gt 0 ] && shift
build=build/fuzz
cmake --preset fuzz >/dev/null && cmake --build --preset fuzz --target fuzz weft -j "$(nproc)" || exit 1
rm -rf $build/seeds
ASAN_OPTIONS=detect_leaks=0 tests/fuzz/seeds.sh $PWD/$build/weft $build/seeds || exit 1
mkdir -p $build/found $build/corpus
[ $# -gt 0 ] || set -- $(ls tests/fuzz/fuzz_*.c | sed 's|.*/fuzz_\(.*\)\.c|\1|')
failed=''
for target in "$@"; do
    mkdir -p "$build/corpus/$target"
    ASAN_OPTIONS=allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1 \
        "$build/tests/fuzz/fuzz_$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 \
        -malloc_limit_mb=1024 -artifact_prefix="$build/found/$target-" -print_final_stats=1 \
        "$PWD/$build/corpus/$target" "$PWD/$build/seeds/$target" >"$build/$target.log" 2>&1 &&
        echo "fuzz $target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$build/$target.log") runs" || {
        echo "fuzz $target: FAILED"
        tail -n 30 "$build/$target.log"
        failed="$failed $target"
    }
done
[ -z "$failed" ]
