#!/bin/sh
# usage: ci/check_spills.sh [BUILD] [OBJDUMP]    (default build/release, objdump)
# The hot loops of the register tiles (innermost, at least 12 multiply-adds, which are a third of all
# instructions) keep their vectors in registers: none is read from the stack or written to it. AArch64 objects take
# aarch64-linux-gnu-objdump. With LIST=1 each loop is printed with its counts.
set -u
build=${1:-build/release}
objdump=${2:-objdump}
loops=0
bad=0

for object in $(find "$build/CMakeFiles" -name gemm.c.o -o -name gemm_compact.c.o -o -name 'attention_*.c.o' |
    grep -E '/weft_([a-z0-9]*_f32|(avx512|neon)bf16)\.dir/' | grep -v weft_emu); do
    found=$($objdump -d --no-show-raw-insn "$object" | awk -F'\t' '
        function judge(   i, from, j, fma, stack, load, k, inner) {
            for (i = 1; i <= n; i++) {
                if (to[i] == "" || !(to[i] in at)) continue;
                from = at[to[i]];
                if (from > i) continue;
                fma = stack = load = 0; inner = 1;
                for (j = from; j <= i; j++) {
                    if (j < i && to[j] != "" && (to[j] in at) && at[to[j]] >= from && at[to[j]] <= j)
                        inner = 0;
                    if (text[j] ~ /^(fmla|bfdot|vfmadd|vdpbf16)/) fma++;
                    if (text[j] ~ /[qdsv][0-9].*\[sp|\(%rsp.*%[xyz]mm|%[xyz]mm.*\(%rsp/) stack++;
                    if (text[j] ~ /^(ld|vmov[ud]|vp?broadcast)/) load++;
                }
                if (!inner || fma < 12 || 3 * fma < i - from + 1) continue;
                print (stack ? "SPILLS" : "ok"), name, "at", to[i] ":", i - from + 1, \
                    "instructions,", fma, "multiply-adds,", load, "loads,", stack, "on the stack";
            }
            n = 0; delete at; delete to; delete text;
        }
        /^[0-9a-f]+ </ { judge(); name = $0; sub(/^[0-9a-f]+ </, "", name); sub(/>:.*/, "", name); next }
        NF > 1 {
            a = $1; gsub(/[ :]/, "", a);
            n++; at[a] = n; text[n] = $2; for (f = 3; f <= NF; f++) text[n] = text[n] " " $f;
            to[n] = "";
            if ($2 ~ /^(b\.|cbn?z|tbn?z|j)/ && match(text[n], /[0-9a-f]+ </)) {
                to[n] = substr(text[n], RSTART, RLENGTH - 2);
            }
        }
        END { judge() }')
    [ -n "$found" ] || continue
    loops=$((loops + $(printf '%s\n' "$found" | wc -l)))
    [ -n "${LIST:-}" ] && printf '%s\n' "$found" | sed "s|^|$(basename "$object"): |"
    hits=$(printf '%s\n' "$found" | grep '^SPILLS') || continue
    bad=$((bad + $(printf '%s\n' "$hits" | wc -l)))
    echo "$object:"
    printf '%s\n' "$hits"
done
if [ "$loops" -eq 0 ]; then
    echo "check_spills: no hot loops in $build" >&2
    exit 1
fi
echo "spills: $loops hot loops, $bad with spills"
[ "$bad" -eq 0 ]
