#!/bin/sh
# usage: ci/onednn3.sh [DIR]    (default build/onednn-3)
# Puts oneDNN 3.2 (headers and library, from PyPI's wheels) into DIR, for
#   cmake --preset release -DWEFT_ONEDNN_ROOT=DIR
# Debian 12 itself has 2.6 (libdnnl-dev). Exit: 0 it is there, 3 it could not be had.
set -u
version=2023.2.0 # of oneAPI: oneDNN 3.2.0
case ${1:-} in
-h | --help)
    sed -n '2,6s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
esac
dir=${1:-build/onednn-3}

[ -e "$dir/lib/libdnnl.so" ] && [ -e "$dir/include/dnnl.h" ] && { echo "$dir: oneDNN is there"; exit 0; }
if [ "$(uname -m)" != x86_64 ]; then
    echo "onednn3.sh: the wheels are for x86-64 only: build oneDNN from source, and give its prefix to" \
        "-DWEFT_ONEDNN_ROOT" >&2
    exit 3
fi
mkdir -p "$dir" || exit 3
tmp=$(mktemp -d "$dir/.fetch.XXXXXX") || exit 3
trap 'rm -rf "$tmp"' EXIT
if ! python3 -m pip download --quiet --no-deps --only-binary=:all: --dest "$tmp" \
    "onednn-devel-cpu-gomp==$version" "onednn-cpu-gomp==$version" >"$tmp/log" 2>&1; then
    echo "onednn3.sh: the wheels could not be had: $(tail -n 1 "$tmp/log"); check the network and" \
        "python3-pip" >&2
    exit 3
fi
for wheel in "$tmp"/*.whl; do
    python3 -m zipfile --extract "$wheel" "$tmp/wheels" || exit 3
done
# A wheel holds the library three times instead of links: one copy is enough.
mkdir -p "$dir/lib"
cp -R "$tmp"/wheels/onednn_devel_*.data/data/include "$dir/" || exit 3
mv "$tmp"/wheels/onednn_cpu_*.data/data/lib/libdnnl.so.3.2 "$dir/lib/" || exit 3
ln -sf libdnnl.so.3.2 "$dir/lib/libdnnl.so.3"
ln -sf libdnnl.so.3 "$dir/lib/libdnnl.so"
echo "$dir: oneDNN 3.2; now: cmake --preset release -DWEFT_ONEDNN_ROOT=$dir"
