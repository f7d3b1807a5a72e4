#!/bin/sh
# Install what is missing, and nothing else, with apt (Debian 12, or any Debian or Ubuntu with
# CMake >= 3.25). Safe to repeat.
#   ci/deps.sh [build|quickstart|study|test|bench|all]   (default: build and bench)
#   ci/deps.sh --list [GROUP]                      the packages of a group, one a line
# Without root, sudo or apt the missing packages are named. Exit: 0 all there, 3 something missing.
set -u

# group|package|what shows that it is there without dpkg (command, or pkg-config name)|why
table='build|cmake|cmake|the build (3.25 or newer)
build|make|make|the build
build|gcc|cc|the C compiler, with OpenMP
build|libc6-dev|cc|headers of the C library
build|pkg-config|pkg-config|finds the libraries below
build|libjansson-dev|pc:jansson|JSON: configurations, run directories, checkpoints
build|zlib1g-dev|pc:zlib|reads .gz data
build|libxxhash-dev|pc:libxxhash|checksums of tensors
build|libpcre2-dev|pc:libpcre2-8|splits text into words for GPT-2 tokens
build|libhwloc-dev|pc:hwloc|binds threads to cores; without it they are not bound
quickstart|bible-kjv|bible|4.4 MB of real English to train on
study|libgsl-dev|pc:gsl|statistics of studies; without it there is no weft study
study|gnuplot-nox|gnuplot|pictures of studies
test|libcmocka-dev|pc:cmocka|unit tests
test|clang|clang|the second compiler
test|libomp-dev|pc:none|its OpenMP runtime
test|libclang-rt-14-dev|pc:none|its sanitizers and libFuzzer
test|python3|python3|checks of JSON and safetensors files
test|python3-pip|pip3|fetches a newer oneDNN (ci/onednn3.sh)
test|curl|curl|fetches MNIST for the tests of studies
test|ca-certificates|pc:none|likewise
test|python3-venv|pc:none|where tokens are compared with other programs (ci/parity.sh)
test|binutils|objdump|looks into the objects
test|gcc-aarch64-linux-gnu|aarch64-linux-gnu-gcc|cross-compiles for AArch64
test|libc6-dev-arm64-cross|aarch64-linux-gnu-gcc|C library of the cross build
test|qemu-user|qemu-aarch64|runs the AArch64 tests
bench|g++|c++|the C++ compiler of the benchmarks
bench|libbenchmark-dev|pc:benchmark|Google Benchmark
bench|libdnnl-dev|pc:none|oneDNN, to be compared with: times, and results (weft crosscheck)
bench|libopenblas0-openmp|pc:none|OpenBLAS, likewise
bench|libblis4-openmp|pc:none|BLIS, likewise'

list=false
[ "${1:-}" = --list ] && { list=true; shift; }
group=${1:-bench}
case $group in
build) groups='build' ;;
quickstart | study | bench) groups="build|$group" ;;
test) groups='build|bench|study|test' ;;
all) groups='build|quickstart|study|test|bench' ;;
*)
    echo "usage: ci/deps.sh [--list] [build|quickstart|study|test|bench|all]" >&2
    exit 2
    ;;
esac
wanted=$(printf '%s\n' "$table" | grep -E "^($groups)\|")
if $list; then
    printf '%s\n' "$wanted" | cut -d'|' -f2
    exit 0
fi

have() { # package, probe
    dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed' && return 0
    case $2 in
    pc:*) pkg-config --exists "${2#pc:}" 2>/dev/null ;;
    *) command -v "$2" >/dev/null 2>&1 ;;
    esac
}

find_missing() {
    missing=''
    while IFS='|' read -r _ package probe why; do
        have "$package" "$probe" && continue
        echo "missing: $package ($why)"
        missing="$missing $package"
    done <<EOF
$wanted
EOF
}

check_cmake() {
    version=$(cmake --version 2>/dev/null | sed -n 's/^cmake version \([0-9.]*\).*/\1/p')
    oldest=$(printf '3.25\n%s\n' "$version" | sort -V | head -n 1)
    [ "$oldest" = 3.25 ] && return
    echo "deps.sh: cmake ${version:-(none)} is too old: 3.25 or newer is needed (Debian 12 has it)" >&2
    exit 3
}

find_missing
if [ -z "$missing" ]; then
    check_cmake
    exit 0
fi

if [ "$(id -u)" = 0 ]; then
    root=''
elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
    root=sudo
else
    root=none
fi
if [ "$root" != none ] && command -v apt-get >/dev/null; then
    echo "installing:$missing"
    quiet='-qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300'
    # shellcheck disable=SC2086  # lists of words
    $root apt-get $quiet update || echo "deps.sh: apt-get update failed; trying what is cached" >&2
    # shellcheck disable=SC2086
    $root env DEBIAN_FRONTEND=noninteractive apt-get $quiet install -y --no-install-recommends \
        $missing >/dev/null
    find_missing >/dev/null
fi
if [ -n "$missing" ]; then
    echo "deps.sh: not installed:$missing" >&2
    echo "deps.sh: as root: apt-get install$missing" >&2
    exit 3
fi
check_cmake
