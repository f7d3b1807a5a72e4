#!/bin/sh
# usage: sh_generate.sh BUILD/weft
# From a text to tokens, a model, other programs' files and back, and texts from all of them: what
# comes out is the same whichever file a model is in and whatever it is generated beside.
. "$(dirname "$0")/support/program.sh"
source=${WEFT_SOURCE:?}
build=$(dirname "$weft")

same() { cmp -s "$1" "$2" || fail "$1 and $2 differ: $3"; }

awk 'BEGIN { srand(1); for (i = 0; i < 1200; i++)
    print "the " (rand() < .5 ? "cat" : "dog") " sat on the " (rand() < .5 ? "m\303\244t" : "log") }' >text

# a vocabulary, tokens and back
expect 0 "270 tokens, 13 of them merges" "$weft" data train-bpe text --vocab 270 --out bpe
head -2 bpe/merges.txt | grep -qx '#version: 0.2' || fail "merges.txt has no version"
expect 0 "validation tokens of 270" "$weft" data tokenize text --tokenizer bpe --out llmc --val-fraction 0.2
expect 0 "validation tokens of 270" "$weft" data tokenize llmc --tokenizer llmc --out nano --token-format nanogpt
[ "$(ls nano/*.bin llmc/*.bin | wc -l)" = 4 ] || fail "not two files each"
tail -c +1025 llmc/weft_val_000000.bin >val
same val nano/val.bin "tokens of the two formats"
expect 0 "" "$weft" data detokenize nano --tokenizer bpe/tokenizer.json --out back
same text back "text and tokens"
expect 0 "of 270" "$weft" data tokenize text --tokenizer bpe --out many --shard-tokens 900
[ "$(ls many/*_train_*.bin | wc -l)" -gt 2 ] || fail "no shards"
cat many/weft_train_*.bin >all; cat many/weft_val_*.bin >>all
[ "$(wc -c <all)" -gt 1000 ] || fail "empty shards"
mv bpe/tokenizer.json whole.json # the other two files say the same
expect 0 "of 270" "$weft" data tokenize text --tokenizer bpe --out again --val-fraction 0.2
same llmc/weft_val_000000.bin again/weft_val_000000.bin "tokens by vocab.json and merges.txt"
same whole.json again/tokenizer.json "tokenizer.json"
expect 1 "--tokenizer" "$weft" data detokenize nano --out back

# a model of these tokens; the same model in all files
expect 0 "done: 150 steps" "$weft" train gpt2 --data llmc --tokenizer whole.json --layers 2 --heads 2 \
    --width 32 --context 48 --batch 8 --steps 150 --lr 1e-2 --threads 1 --out run
m=run/checkpoints/last
for file in config tokenizer tokenizer_config vocab; do [ -s "$m/$file.json" ] || fail "no $file.json"; done
write="--prompt the --tokens 60 --threads 1"
# shellcheck disable=SC2086  # lists of options
{
    expect 0 "sat on the" "$weft" generate --model $m $write --temperature 0
    cp out first
    expect 0 "f32" "$weft" convert $m folder --shard-mib 0
    expect 0 "f32" "$weft" convert $m model.bin
    expect 0 "bf16" "$weft" convert $m half.bin --dtype bf16
    expect 0 "f32" "$weft" convert model.bin folder2 --tokenizer bpe
    expect 0 "q8_0" "$weft" convert $m model.gguf --dtype q8_0
    [ "$(head -c 4 model.gguf)" = GGUF ] || fail "no GGUF"
    same $m/model.safetensors folder/model.safetensors "weights through convert"
    same folder/model.safetensors folder2/model.safetensors "weights through llm.c's file"
    for model in folder "model.bin --tokenizer bpe" "folder2"; do
        expect 0 "" "$weft" generate --model $model $write --temperature 0
        same out first "the text of $model"
    done
    expect 0 "sat on" "$weft" generate --model half.bin --tokenizer whole.json $write --temperature 0
    expect 1 "llm.c has no f16" "$weft" convert $m other.bin --dtype f16
    "$weft" data train-bpe text --vocab 262 --out less >/dev/null || fail "a smaller vocabulary"
    expect 0 "" "$weft" generate --model model.bin --tokenizer less $write
    "$weft" data train-bpe "$source/README.md" --vocab 271 --out more >/dev/null || fail "a larger one"
    expect 1 "271 tokens, but the model" "$weft" generate --model model.bin --tokenizer more $write

    # stop strings, the end of a text, streams of valid UTF-8
    expect 0 "" "$weft" generate --model $m $write --temperature 0 --stop " sat"
    [ "$(cat out)" = "$(sed '1s/ sat.*//;2,$d' first)" ] || fail "--stop"
    expect 0 "" "$weft" generate --model $m $write --temperature 0 --stop '["zzz", "on", " sat"]'
    [ "$(cat out)" = "$(sed '1s/ sat.*//;2,$d' first)" ] || fail "--stop with a list"
    expect 0 "" "$weft" generate --model $m --prompt "the" --tokens 300 --temperature 100 --threads 1
    iconv -f UTF-8 -t UTF-8 out >/dev/null || fail "text that is not UTF-8"
    expect 0 "first token after" "$weft" generate --model $m $write --timing
    expect 2 "--prompts" "$weft" generate --model $m $write --out x

    # many prompts: in order, the same as alone
    printf '%s\n' '{"prompt": "the cat", "id": 7}' '' '{"prompt": "the dog sat", "tokens": 5}' \
        '{"prompt": "", "seed": 3, "stop": ["\n", "x"]}' '{"prompt": "the", "temperature": 0, "tokens": 60}' \
        '{"prompt": "on the m\u00e4t", "top_k": 5, "min_p": 0.1, "repetition_penalty": 1.2}' >prompts
    expect 0 "" "$weft" generate --model $m --prompts prompts --tokens 30 --seed 4 --out one --streams 1
    expect 0 "" "$weft" generate --model $m --prompts - --tokens 30 --seed 4 --streams 3 --threads 2 <prompts
    same out one "texts alone and beside others"
    [ "$(wc -l <one)" = 5 ] || fail "not a line for each prompt"
    python3 - first one <<'END' || fail "the lines of --prompts"
import json, sys
lines = [json.loads(l) for l in open(sys.argv[2])]
assert lines[0]["id"] == 7 and lines[0]["prompt"] == "the cat", lines[0]
assert lines[1]["text_tokens"] == 5 and lines[1]["finish"] == "length", lines[1]
assert lines[2]["finish"] in ("stop", "length", "end") and "\n" not in lines[2]["text"], lines[2]
assert lines[3]["prompt"] + lines[3]["text"] + "\n" == open(sys.argv[1]).read(), lines[3]
END
    expect 0 "" "$weft" generate --model $m --prompt "the cat" --tokens 30 --seed 4 --threads 1
    [ "$(cat out)" = "$(python3 -c 'import json
l = json.loads(open("one").readline()); print(l["prompt"] + l["text"])')" ] || fail "line 1 is not the text of --prompt"
    echo '{"prompt": 3}' >bad
    expect 1 "bad: line 1: must be an object with a text" "$weft" generate --model $m --prompts bad
    printf '{"prompt": "a"}\n{"prompt"' >bad
    expect 1 "bad: line 2: line 1, column" "$weft" generate --model $m --prompts bad
    echo '{"prompt": "a", "top_p": 2}' >bad
    expect 1 "bad: line 1: top_p must be" "$weft" generate --model $m --prompts bad

    # how good it is, per byte, and at choosing
    expect 0 '"bits_per_byte": ' "$weft" eval --model $m --data text --json
    expect 0 "tokens/s" "$weft" eval --model $m --data text
    printf '%s\n' '{"ctx": "the cat sat on", "endings": ["the log", "qqq zzz", "xx yy", "77"], "label": 0}' \
        '{"ctx": "the dog", "endings": ["www", "sat on the log", "%%"], "label": "1"}' >questions
    expect 0 '"accuracy": 1,' "$weft" eval --model $m --endings questions --json
    grep -q '"accuracy_mean": 1,' out || fail "accuracy_mean"
    echo '{"ctx": "a", "endings": ["b", "c"], "label": 2}' >bad
    expect 1 "bad: line 1: must have" "$weft" eval --model $m --endings bad

    # other formats of weights and cache: a bf16 file loses nothing, alone or beside others
    head -60 text >some
    expect 0 "" "$weft" generate --model half.bin --tokenizer whole.json $write --temperature 0
    cp out half
    expect 0 "" "$weft" generate --model half.bin --tokenizer whole.json $write --temperature 0 --weights bf16
    same out half "text of a bf16 file kept as bf16"
    expect 0 "bf16" "$weft" convert half.bin folder16 --tokenizer whole.json --dtype bf16
    expect 0 "" "$weft" generate --model folder16 $write --temperature 0 --weights bf16
    same out half "text of a bf16 folder kept as bf16"
    for format in bf16 int8 int8-g64 int8-g32 int4; do
        expect 0 "" "$weft" generate --model $m --prompts prompts --tokens 30 --seed 4 --out f1 --streams 1 \
            --weights $format --kv bf16
        expect 0 "" "$weft" generate --model $m --prompts prompts --tokens 30 --seed 4 --out f3 --streams 3 \
            --weights $format --kv bf16 --threads 2
        same f1 f3 "texts in $format alone and beside others"
        expect 0 '"kl": ' "$weft" eval --model $m --data some --json --weights $format
        cp out eval.$format
    done
    expect 0 "weights in int8" "$weft" generate --model $m $write --weights int8 --timing
    expect 0 '"kl": 0,' "$weft" eval --model $m --data some --json --weights f32
    expect 0 "KL divergence" "$weft" eval --model $m --data some --weights int8
    expect 0 '"kv": "bf16"' "$weft" eval --model $m --data some --json --kv bf16
    python3 - <<'END' || fail "what formats cost"
import json
e = {f: json.load(open("eval." + f)) for f in ("bf16", "int8", "int8-g64", "int8-g32", "int4")}
for f, x in e.items():
    assert 0 < x["kl"] < 0.2, (f, x["kl"])
    assert abs(x["loss"] - x["f32"]["loss"]) < 0.3 and x["weights"] == f, x
    assert x["weight_bytes"] < x["f32"]["weight_bytes"] and x["f32"]["bits_per_byte"] > 0, x
assert e["int8"]["kl"] < 1e-3 and e["int4"]["kl"] > 5 * e["int8"]["kl"], e
END
    expect 0 '"accuracy": 1,' "$weft" eval --model $m --endings questions --json --weights int8
    expect 2 "no meaning for --endings" "$weft" eval --model $m --endings questions --kv bf16
    expect 2 "must be one of: f32|bf16|int8" "$weft" generate --model $m $write --weights int7
    expect 2 "must be one of: f32|bf16" "$weft" generate --model $m $write --kv int8
    expect 0 '"weights": "int8"' "$weft" plan gpt2 --preset gpt2-124m --weights int8 --json
    expect 0 "KV cache       36.0 MiB  bf16" "$weft" plan gpt2 --preset gpt2-124m --kv bf16
    expect 2 "weights are f32" "$weft" plan mlp --weights int8
    expect 2 "--weights" "$weft" train gpt2 --data text --weights int8 --out x

    # training goes on from it, and from a file
    expect 0 "done: 2 steps" "$weft" train gpt2 --init-from folder --data text --steps 2 --batch 4 --seq 32 \
        --lr 0 --out next --threads 1
    same next/checkpoints/last/model.safetensors folder/model.safetensors "weights after steps of rate 0"
    expect 0 "sat on" "$weft" generate --model next/checkpoints/last $write --temperature 0
    expect 0 "done: 3 steps" "$weft" train gpt2 --init-from model.bin --data llmc --steps 3 --batch 4 --seq 32 \
        --out third --threads 1
    expect 2 "has 2" "$weft" train gpt2 --init-from folder --data text --layers 3 --out x
}

# the library alone
${CC:-cc} -std=c11 -Wall -Wextra -Werror -I"$source/include" "$source/examples/generate.c" -o example \
    "$build/libweft.a" -fopenmp -lm || fail "the example does not build"
ids=$(python3 -c 'import json, sys
v = json.load(open("bpe/vocab.json")); print(v["the"] if "the" in v else "")')
[ -n "$ids" ] || ids="$(python3 -c 'import json
v = json.load(open("bpe/vocab.json")); print(*(v[c] for c in "the"))')"
# shellcheck disable=SC2086
./example model.bin $ids >tokens || fail "the example"
[ "$(wc -w <tokens)" = 40 ] || fail "the example made $(wc -w <tokens) tokens"
exit $failed
