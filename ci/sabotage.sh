#!/bin/sh
# usage: ci/sabotage.sh [N...]    (none = all of tests/sabotage.txt)
#        ci/sabotage.sh --build [CMAKE ARGUMENTS...]
# The test of the tests: builds with all planted bugs (with clang, where it is there: the second
# compiler), lets one after the other run, and the one test that must see it. That test has to pass
# without the bug and to fail with it, and its output has to name the culprit.
set -u
cd "$(dirname "$0")/.." || exit 1
dir=build/sabotage
list=tests/sabotage.txt
export WEFT_SOURCE="$PWD" WEFT_CHECK=quick OMP_WAIT_POLICY=passive

build() { # [cmake arguments]
    compiler=''
    command -v clang++ >/dev/null && compiler='-DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++'
    # shellcheck disable=SC2086  # a list of words
    cmake -S . -B $dir $compiler -DCMAKE_BUILD_TYPE=Release -DWEFT_SABOTAGE=ON "$@" &&
        cmake --build $dir -j "$(nproc)"
}

# run N TEST LOG: the test with bug N (0: none) at work.
run() {
    case $2 in
    study:*) set -- "$1" "$3" $dir/weft study "${2#study:}" --smoke --out "$3.study" ;;
    *) set -- "$1" "$3" "$dir/tests/$2" ;;
    esac
    n=$1 log=$2
    shift 2
    rm -rf "$log.study"
    WEFT_SABOTAGE=$n timeout 300 "$@" >"$log" 2>&1
}

has_data() { # test
    case $1 in study:*) [ -f data/kjv.txt ] && [ -f data/wine_data.csv ] && [ -f data/train-images-idx3-ubyte ] ;; esac
}

# one LINE of the list: a line about it, that begins with FAILED unless the bug is caught.
one() {
    read -r n source test name what <<EOF
$1
EOF
    log=$dir/bugs/$n
    if ! has_data "$test"; then
        echo "left out: $n: fill data/ with ci/data.sh"
    elif run "$n" "$test" "$log"; then
        echo "FAILED: $n: NOT CAUGHT by $test: $what ($source)"
    elif ! grep -qE "(FAIL|FAILED).*$name|: $name fail" "$log"; then
        echo "FAILED: $n: $test did not name $name: $what ($source)"
        tail -n 5 "$log"
    else
        echo "caught: $n: by $test: $what"
    fi
}

# sound TEST: passes without a bug.
sound() {
    log=$dir/bugs/without-$(echo "$1" | tr : -)
    if ! has_data "$1"; then
        echo "left out: $1: fill data/ with ci/data.sh"
    elif run 0 "$1" "$log"; then
        echo "passes without a bug: $1"
    else
        echo "FAILED: $1: fails without a bug"
        tail -n 5 "$log"
    fi
}

case ${1:-} in
--build)
    shift
    build "$@"
    exit
    ;;
--one | --sound)
    what=${1#--}
    $what "$2"
    exit
    ;;
esac

build >$dir.log 2>&1 || {
    tail -n 20 $dir.log
    exit 1
}
mkdir -p $dir/bugs
bugs=$(grep -E '^[0-9]' $list)
[ $# -gt 0 ] && bugs=$(for n in "$@"; do grep -E "^$n " $list; done)
tests=$(echo "$bugs" | cut -d' ' -f3 | sort -u)
{
    echo "$tests" | xargs -d '\n' -n 1 -P "$(nproc)" ci/sabotage.sh --sound
    echo "$bugs" | xargs -d '\n' -n 1 -P "$(nproc)" ci/sabotage.sh --one
} | tee $dir.log
failed=$(grep -c '^FAILED' $dir.log)
caught=$(grep -c '^caught' $dir.log)
said=$(grep -cE '^(caught|FAILED|left out|passes without a bug): ' $dir.log)
planned=$(printf '%s\n%s\n' "$tests" "$bugs" | wc -l)
echo "sabotage: $caught bugs caught, $failed failures, $((planned - said)) of $planned runs lost"
[ "$failed" -eq 0 ] && [ "$caught" -gt 0 ] && [ "$said" -eq "$planned" ]
