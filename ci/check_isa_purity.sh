#!/bin/sh
# usage: ci/check_isa_purity.sh [BUILD]    (default build/release, an x86-64 build)
# No object holds an instruction its CPUs may lack: code compiled once per ISA must not leak into
# another. Portable objects: nothing beyond SSE2 (so no FMA either). AVX2 objects: no AVX-512.
set -u
build=${1:-build/release}
bad=0
seen=0

# directory of objects, name, ERE of what must not be there (over "mnemonic operands")
scan() {
    for object in $(find "$build/CMakeFiles/$1.dir" -name '*.o' 2>/dev/null); do
        seen=$((seen + 1))
        hits=$(objdump -d --no-show-raw-insn "$object" |
            awk -F'\t' -v re="$3" '/^[0-9a-f]+ </ { f = $0 } NF > 1 && $2 ~ re { print f ": " $2 }')
        [ -z "$hits" ] && continue
        bad=$((bad + 1))
        echo "$object is not pure $2:"
        printf '%s\n' "$hits" | head -n 5
    done
}

beyond_sse2='^v[a-z0-9]+ |%[yz]mm|^(pshufb|ph(add|sub)|pabs|palignr|pmulhrs|pmul(dq|ld)|p(min|max)(s[bd]|u[wd])|pblend|blend|round[ps][sd]|ptest|dpp|popcnt|crc32|f16|xtest)'
beyond_avx2='%zmm|%[xy]mm(1[6-9]|2[0-9]|3[01])|%k[0-7]'
scan weft_emu_f32 portable "$beyond_sse2"
scan weft_emu_bf16 portable "$beyond_sse2"
scan weft_core portable "$beyond_sse2"
scan weft_avx2_f32 AVX2 "$beyond_avx2"
scan weft_avx2_bf16 AVX2 "$beyond_avx2"
if [ "$seen" -eq 0 ]; then
    echo "check_isa_purity: no objects in $build" >&2
    exit 1
fi
echo "ISA purity: $seen objects, $bad impure"
[ "$bad" -eq 0 ]
