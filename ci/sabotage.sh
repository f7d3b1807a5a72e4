#!/bin/sh
# usage: ci/sabotage.sh [N...]    (none = all of tests/sabotage.txt)
# The test of the tests: plants each bug, builds the one test that must see it and runs it. The test
# has to fail, and its output has to name the culprit.
set -u
cd "$(dirname "$0")/.." || exit 1
build=build/sabotage
list=tests/sabotage.txt
log=$build/log
missed=0
count=0

configure() { # bug number; 0: none
    cmake -S . -B $build -G Ninja -DCMAKE_BUILD_TYPE=Release -DWEFT_SABOTAGE="$1" >$log 2>&1
}

export WEFT_SOURCE="$PWD"
mkdir -p $build
bugs=$(grep -E '^[0-9]' $list)
[ $# -gt 0 ] && bugs=$(for n in "$@"; do grep -E "^$n " $list; done)
while read -r n source test name what; do
    count=$((count + 1))
    case $test in
    study:*)
        target=weft run="$build/weft study ${test#study:} --smoke --out $build/study"
        [ -f data/kjv.txt ] && [ -f data/wine_data.csv ] && [ -f data/train-images-idx3-ubyte ] || {
            echo "sabotage $n: left out: fill data/ with ci/data.sh"
            continue
        }
        ;;
    *) target=$test run="$build/tests/$test" ;;
    esac
    rm -rf $build/study
    if ! configure "$n" || ! cmake --build $build --target "$target" >>$log 2>&1; then
        echo "sabotage $n: does not build:"
        tail -n 20 $log
        missed=$((missed + 1))
        continue
    fi
    # shellcheck disable=SC2086  # a command with its arguments
    if timeout 300 $run >$log 2>&1; then
        echo "sabotage $n: NOT CAUGHT by $test: $what ($source)"
        missed=$((missed + 1))
    elif ! grep -qE "(FAIL|FAILED).*$name|: $name fail" $log; then
        echo "sabotage $n: $test failed, but did not name $name: $what ($source)"
        tail -n 5 $log
        missed=$((missed + 1))
    else
        echo "sabotage $n: caught by $test: $what"
    fi
done <<EOF
$bugs
EOF
configure 0
echo "sabotage: $count bugs planted, $missed not caught"
[ "$missed" -eq 0 ] && [ "$count" -gt 0 ]
