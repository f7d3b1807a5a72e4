#!/bin/sh
# usage: sh_install.sh BUILD/weft
# Installs the build into a scratch prefix and compiles tests/install against it, as a user would: by
# pkg-config (shared), and by find_package (shared and static). All must learn, to the same loss.
set -eu
build=$(dirname "$1")
source=${WEFT_SOURCE:?}/tests/install
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

cmake --install "$build" --prefix "$tmp/prefix" >/dev/null
pc=$(find "$tmp/prefix" -name weft.pc)
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
libdir=$(pkg-config --variable=libdir weft)

# shellcheck disable=SC2046  # flags are words
${CC:-cc} -std=c11 -Wall -Wextra -Werror "$source/main.c" -o "$tmp/with_pc" \
    $(pkg-config --cflags --libs weft) -Wl,-rpath,"$libdir"
cmake -S "$source" -B "$tmp/build" -DCMAKE_PREFIX_PATH="$tmp/prefix" >/dev/null
cmake --build "$tmp/build" >/dev/null

"$tmp/with_pc" | tee "$tmp/pc.txt"
for kind in with_shared with_static; do
    "$tmp/build/$kind" >"$tmp/$kind.txt"
    diff "$tmp/pc.txt" "$tmp/$kind.txt"
done

# The library shows weft_ names only, the header is C++ too, and the program runs from the prefix.
shown=$(nm -D --defined-only "$libdir/libweft.so" | awk '{ print $3 }' | grep -v '^weft_' || true)
[ -z "$shown" ] || { echo "libweft.so exports: $shown"; exit 1; }
if command -v c++ >/dev/null; then
    echo '#include <weft/weft.h>' |
        c++ -std=c++17 -Wall -Wextra -Werror -fsyntax-only -x c++ $(pkg-config --cflags weft) -
fi
"$tmp/prefix/bin/weft" info >/dev/null
echo "install: pkg-config, shared and static agree"
