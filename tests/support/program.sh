# What tests of the program share: sourced with the program as $1. A folder of the test's own is the
# current one, and removed at the end; `exit $failed` ends the test.
set -u
weft=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp" || exit 1
failed=0

fail() { # what is wrong; the last output is shown
    echo "FAILED: $*"
    tail -n 5 out err 2>/dev/null
    failed=1
}

# expect CODE WORDS COMMAND...: the exit code, and WORDS in what it printed ("": whatever that is)
expect() {
    code=$1 words=$2
    shift 2
    "$@" >out 2>err
    got=$?
    { [ "$got" = "$code" ] && { [ -z "$words" ] || cat out err | grep -qF -- "$words"; }; } ||
        fail "$* -> $got, expected $code and '$words'"
}

# refused CODE WORDS COMMAND...: the exit code; the error is one line that starts with "weft: " and
# holds WORDS
refused() {
    code=$1 words=$2
    shift 2
    "$@" >out 2>err
    got=$?
    { [ "$got" = "$code" ] && [ "$(wc -l <err)" = 1 ] && grep '^weft: ' err | grep -qF -- "$words"; } ||
        fail "$* -> $got, expected $code and '$words'"
}
