#!/bin/sh
# usage: sh_readme.sh BUILD/weft
# The C example of README.md compiles as it stands there, against the build, and learns.
set -eu
build=$(dirname "$1")
source=${WEFT_SOURCE:?}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

sed -n '/^```c$/,/^```$/p' "$source/README.md" | grep -v '^```' >"$tmp/example.c"
lines=$(wc -l <"$tmp/example.c")
[ "$lines" -gt 10 ] && [ "$lines" -le 30 ] || { echo "README: $lines lines of C" >&2; exit 1; }
${CC:-cc} -std=c11 -Wall -Wextra -Werror -I "$source/include" "$tmp/example.c" \
    -o "$tmp/example" "$build/libweft.a" -fopenmp -lm
"$tmp/example" | tee "$tmp/out.txt"
grep -q '4 of 4 right' "$tmp/out.txt"
