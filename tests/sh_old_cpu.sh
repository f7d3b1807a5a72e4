#!/bin/sh
# usage: sh_old_cpu.sh BUILD/weft
# The program runs on CPUs that lack AVX2 or AVX-512 (emulated by qemu-user), chooses what they have,
# and trains to the same bits there as here.
set -u
weft=$1
[ "$(uname -m)" = x86_64 ] && command -v qemu-x86_64 >/dev/null || exit 77 # skipped
. "$(dirname "$0")/support/program.sh"

yes 'the cat sat on the mat' | head -100 >text
train="train gpt2 --data text --layers 1 --heads 2 --width 16 --context 16 --batch 2 --steps 3 --threads 2"

# shellcheck disable=SC2086  # lists of options
"$weft" $train --out here >/dev/null 2>&1 || { echo "FAILED: a run on this CPU"; exit 1; }
for pair in Nehalem:emu Haswell:avx2; do
    cpu=${pair%:*} isa=${pair#*:}
    chosen=$(qemu-x86_64 -cpu "$cpu" "$weft" info --json 2>/dev/null | sed -n 's/.*"isa": *"\([a-z0-9]*\)".*/\1/p')
    # shellcheck disable=SC2086
    if [ "$chosen" != "$isa" ]; then
        echo "FAILED: on a $cpu the ISA is '$chosen', not $isa"
        failed=1
    elif ! qemu-x86_64 -cpu "$cpu" "$weft" $train --out "$cpu" >"$cpu.log" 2>&1; then
        echo "FAILED: a run on a $cpu:"
        tail -n 5 "$cpu.log"
        failed=1
    elif ! cmp here/checkpoints/last/model.safetensors "$cpu"/checkpoints/last/model.safetensors; then
        echo "FAILED: a $cpu trains to other bits"
        failed=1
    fi
done
exit $failed
