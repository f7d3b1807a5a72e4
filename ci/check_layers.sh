#!/bin/sh
# usage: ci/check_layers.sh    (in the root of the sources)
# The include rules of the tree: an arrow only ever points down. Folder, ERE of the project headers
# its files may include, ERE of the system headers they may not.
set -u
found=$(mktemp)
trap 'rm -f "$found"' EXIT
hosted='stdio|stdlib|omp|pthread|errno|unistd|time|signal'

report() { # what is wrong; the offending lines come on stdin
    lines=$(cat)
    [ -z "$lines" ] || printf '%s:\n%s\n' "$1" "$lines" >>"$found"
}

sources() { find "$@" -name '*.[ch]' -o -name '*.def' 2>/dev/null | sort; }

arrow() { # folder, allowed, forbidden system headers
    [ -d "$1" ] || return
    # shellcheck disable=SC2046  # file names have no spaces
    set -- "$1" "$2" "$3" $(sources "$1")
    folder=$1 allowed=$2 system=$3
    shift 3
    [ $# -gt 0 ] || return
    grep -nH '^ *# *include *"' "$@" | grep -vE "\"($allowed)" | report "$folder must not include"
    [ -z "$system" ] && return
    grep -nHE "^ *# *include *<($system)\.h>" "$@" | report "$folder must not include"
}

arrow kernels 'kernels/' "$hosted"
arrow include 'weft/' 'stdio|omp'
arrow runtime 'runtime/|kernels/([a-z]+\.h|isa\.def|base/)|weft/' ''
arrow models 'models/|weft/|runtime/(graph|optim|probe)\.h|kernels/base/bug\.h' 'omp|pthread'
arrow train 'train/|weft/|kernels/base/bug\.h' 'omp'
arrow crosscheck 'crosscheck/|train/|models/|runtime/|kernels/([a-z]+\.h|base/|ref/)|weft/' 'omp|pthread'
arrow topology 'topology/|weft/|kernels/base/bug\.h' 'omp|pthread'
arrow cli 'cli/|topology/|crosscheck/crosscheck\.h|runtime/onednn/onednn\.h|studies/driver\.h|train/|weft/' 'omp'
arrow studies 'studies/|train/|weft/|kernels/base/bug\.h' 'omp'
arrow examples 'weft/' 'omp'

# Things that live in one place.
all=$(sources kernels include runtime models topology train crosscheck studies cli)
# shellcheck disable=SC2086
grep -nHE '#include <([a-z]*intrin|arm_neon)\.h>' $all | grep -v '^kernels/simd/vec_' |
    report 'intrinsics live in kernels/simd/vec_*.h only'
# shellcheck disable=SC2086
grep -nHE '^ *# *pragma +omp|#include <omp\.h>|_Pragma\("omp' $all | grep -v '^runtime/parallel.c:' |
    report 'OpenMP lives in runtime/parallel.c only'
# shellcheck disable=SC2086
grep -nHE '__attribute__|__builtin_' $all |
    grep -vE '^(kernels/base/compiler\.h|kernels/simd/vec_[a-z0-9]+\.h|include/weft/status\.h):' |
    report 'compiler extensions live in kernels/base/compiler.h (public: include/weft/status.h)'
# shellcheck disable=SC2086
grep -nH '"kernels/ref/' $all | grep -vE '^(kernels/ref|crosscheck)/' |
    report 'oracles are for tests, bench and crosscheck only'
# shellcheck disable=SC2086
grep -nHE '#include <(dnnl|oneapi)' $all | grep -v '^runtime/onednn/' |
    report 'oneDNN lives in runtime/onednn only'
# shellcheck disable=SC2086
grep -nHE '#include <hwloc' $all | grep -v '^topology/topology_hwloc.c:' |
    report 'hwloc lives in topology/topology_hwloc.c only'

# shellcheck disable=SC2086
printf '%s\n' $all | sed 's|.*/||' | grep '\.c$' | sort | uniq -d | report 'two sources of one name'
# shellcheck disable=SC2086
awk 'FNR > 500 { print FILENAME; nextfile }' $all | report 'more than 500 lines'

if [ -s "$found" ]; then
    cat "$found"
    exit 1
fi
echo "layers: every include points down"
