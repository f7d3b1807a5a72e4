#!/bin/sh
# usage: seeds.sh WEFT FOLDER
# Good input for each fuzz target, made by weft itself: FOLDER/<target>/...
set -eu
weft=$1
out=$2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
for target in safetensors folder tokenizer vocabulary encode llmc tokens questions text_out; do
    mkdir -p "$out/$target"
done

awk 'BEGIN { for (i = 0; i < 60; i++) print "the cat sat on the m\303\244t, it'\''s " i }' >"$tmp/text"
"$weft" data train-bpe "$tmp/text" --vocab 262 --out "$tmp/bpe" >/dev/null
for kind in byte char "$tmp/bpe"; do
    name=$(basename "$kind")
    "$weft" train gpt2 --data "$tmp/text" --tokenizer "$kind" --layers 1 --heads 1 --width 4 --context 4 \
        --batch 1 --steps 1 --eval-samples 1 --threads 1 --out "$tmp/run-$name" >/dev/null
    m=$tmp/run-$name/checkpoints/last
    cp "$m/tokenizer.json" "$out/tokenizer/$name"
    cp "$m/state.safetensors" "$out/safetensors/state-$name"
    cp "$m/model.safetensors" "$out/safetensors/model-$name"
    { cat "$m/config.json"; printf '\0'; cat "$m/model.safetensors"; } >"$out/folder/$name"
    "$weft" convert "$m" "$tmp/m.bin" >/dev/null && cp "$tmp/m.bin" "$out/llmc/$name"
done
"$weft" convert "$m" "$tmp/shards" --shard-mib 1 >/dev/null
"$weft" convert "$m" "$tmp/h.bin" --dtype bf16 >/dev/null && cp "$tmp/h.bin" "$out/llmc/half"
{ cat "$m/config.json"; printf '\0{"weight_map":{"transformer.wte.weight":"model.safetensors"}}'; } >"$out/folder/index"
{ cat "$tmp/bpe/vocab.json"; printf '\0'; cat "$tmp/bpe/merges.txt"; } >"$out/vocabulary/bpe"
for format in llm.c nanogpt; do
    "$weft" data tokenize "$tmp/text" --tokenizer "$tmp/bpe" --token-format $format --out "$tmp/$format" >/dev/null
    i=0
    for file in "$tmp/$format"/*.bin; do
        i=$((i + 1))
        head -c 1400 "$file" >"$out/tokens/$format-$i"
        cp "$file" "$out/tokens/$format-whole-$i"
    done
done
cp "$tmp/text" "$out/encode/text"
printf 'a<|endoftext|>b  c\n\n \377\376 1234 don'\''t' >"$out/encode/odd"
printf '{"ctx": "a b", "endings": ["c", "d e"], "label": 1}\n{"ctx": "x", "endings": ["y", "z"], "label": "0"}\n' \
    >"$out/questions/two"
printf '["a", "b\\n"]' >"$out/questions/stops"
printf '\003caf\303\251 aab aac\n\n \360\237\215\265 \377' >"$out/text_out/one"
