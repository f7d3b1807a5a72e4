#!/bin/sh
# usage: sh_bad_input.sh BUILD/weft
# Bad input gets one clear line on stderr and exit code 1 (2: usage), never a crash, and loses nothing.
. "$(dirname "$0")/support/program.sh"

yes 'the cat sat on the mat' | head -400 >text
: >empty
printf 'short' >short
printf 'bad \377\376 bytes in a text of characters\n' >invalid
small="--layers 1 --heads 2 --width 16 --context 16 --batch 2 --steps 2 --threads 1"
train="$weft train gpt2 $small"
# shellcheck disable=SC2086  # lists of options
{
    refused 1 "nowhere" $train --data nowhere --out r
    refused 1 "empty" $train --data empty --out r
    refused 1 "short" $train --data short --out r
    refused 1 "invalid" $train --data invalid --tokenizer char --out r
    refused 1 "vocab" $train --data text --vocab 10 --out r
    grep -q __asan_init "$weft" || # which needs terabytes of addresses
        refused 1 "memory" sh -c "ulimit -v 400000; exec $train --data text --width 2048 --heads 16 --out r"
    [ -e r ] && { echo "FAILED: a folder is left of a training that never began"; failed=1; }
    refused 2 "heads" $train --data text --heads 3 --out r
    refused 2 "seq" $train --data text --seq 17 --out r
    refused 2 "threads" $train --data text --threads 0 --out r
    refused 2 "threads" $train --data text --threads 10000 --out r
    refused 2 "bogus" $train --data text --bogus 1 --out r
    refused 2 "warmup" $train --data text --warmup 3 --out r
    refused 2 "beta1 is '1', but must be a number of at least 0 and below 1" \
        $train --data text --beta1 1 --out r
    refused 2 "take more heads" $train --data text --width 512 --out r
    [ -e r ] && { echo "FAILED: a folder is left of a training that never began"; failed=1; }
    refused 2 "precision" $train --data text --precision fp8 --out r
    refused 2 "add that, or leave it out" $train --data text --bf16-weights kahan --out r
    refused 2 "leave out --backend onednn" $train --data text --precision bf16 --backend onednn --out r
    refused 2 "lr" $train --data text --lr fast --out r
    refused 1 "finite" $train --data text --lr 1e6 --clip 0 --optimizer sgd --steps 60 --out nan \
        --loss-limit 0 --grad-limit 0
    refused 1 "is made by node" $train --data text --lr 1e6 --clip 0 --optimizer sgd --steps 60 --out far
    refused 1 "no checkpoint was written yet" $train --data text --grad-limit 1e-3 --out far2
    refused 1 "sse9" env WEFT_ISA=sse9 $train --data text --out r
    printf '{"layerz": 3}' >unknown.json
    refused 2 "layerz" $train --data text --config unknown.json --out r
    printf '{"layers": ' >broken.json
    refused 2 "broken.json" $train --data text --config broken.json --out r
    printf 'a,b,y\n1,2,x\n3,four,z\n' >bad.csv
    refused 1 "line 3" "$weft" train mlp --data bad.csv --label y --out r
    refused 1 "nolabel" "$weft" train mlp --data bad.csv --label nolabel --out r
    mkdir mnist && printf 'not an idx file' >mnist/train-images-idx3-ubyte
    refused 1 "mnist" "$weft" train mlp --data mnist --out r
    mkfifo pipe mnist/t && mv mnist/t mnist/train-images-idx3-ubyte
    refused 1 "pipe: is not a regular file" timeout 9 $train --data pipe --out r
    refused 1 "ubyte: is not a regular file" timeout 9 "$weft" train mlp --data mnist --out r

    refused 2 "histogram-layer" $train --data text --histogram-layer 1 --out r
    # an option that the data has no use for is said so
    head -c 4000 /dev/zero >zeros.bin
    $train --data zeros.bin --tokenizer char --vocab 9 --out zeros >out 2>err
    grep -q "warning: --tokenizer has no effect" err || { echo "FAILED: --tokenizer"; failed=1; }
    printf 'a,y\n1,0\n2,1\n3,0\n4,1\n' >four.csv
    "$weft" train mlp --data four.csv --pixels unit --val-fraction 0 --steps 1 --out four >out 2>err
    grep -q "warning: --pixels has no effect" err && [ "$(wc -l <err)" = 1 ] ||
        { echo "FAILED: --pixels"; failed=1; }

    $train --data text --out good >/dev/null 2>&1 || { echo "FAILED: a good run"; failed=1; }
    refused 1 "resume" $train --data text --out good
    refused 2 "width" "$weft" train gpt2 --resume good --width 32
    last=$(readlink good/checkpoints/last)
    model=good/checkpoints/$last/model.safetensors
    cp "$model" whole
    for at in 0 7 9 60 400 5000; do # a flipped byte: length, header, data
        cp whole "$model"
        printf '\377' | dd of="$model" bs=1 seek=$at conv=notrunc 2>/dev/null
        refused 1 "model.safetensors" "$weft" generate --model good/checkpoints/last --prompt a --tokens 2
    done
    head -c 3000 whole >"$model"
    refused 1 "model.safetensors" "$weft" generate --model good/checkpoints/last --prompt a --tokens 2
    cp whole "$model"
    sed -i 's/"n_head": *2/"n_head": 3/' "good/checkpoints/$last/config.json"
    refused 1 "config.json: its checksum is wrong" "$weft" generate --model good/checkpoints/last --prompt a --tokens 2
    refused 1 "nothing" "$weft" report nothing
    refused 2 "nonsense" "$weft" nonsense
}
exit $failed
