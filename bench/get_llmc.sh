#!/bin/sh
# usage: bench/get_llmc.sh [DIR]         (default: build/llm.c)
# Fetches karpathy/llm.c and builds its CPU trainer train_gpt2 as its Makefile does (-Ofast, OpenMP,
# -march=native), to be timed by bench/compare.py. The weights and tokens it wants are written here
# with random contents: they do not change the time of a step. Needs git, a network, 0.6 GB of disk.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
dir=${1:-$root/build/llm.c}
if [ ! -d "$dir/.git" ]; then
    git clone --quiet --depth 1 https://github.com/karpathy/llm.c "$dir"
fi
cd "$dir"
make train_gpt2 >build.log 2>&1 || { tail build.log >&2; exit 1; }
grep -q 'OpenMP found' build.log || echo "get_llmc.sh: was OpenMP found? see $dir/build.log" >&2
python3 - <<'PY'
import os, random, struct
V, VP, L, H, C, T = 50257, 50304, 12, 12, 768, 1024
rng = random.Random(1)
if not os.path.exists("gpt2_124M.bin"):
    noise = struct.pack("<65536f", *(rng.gauss(0, 0.02) for _ in range(65536)))
    ones = struct.pack("<f", 1.0)
    with open("part", "wb") as out:
        out.write(struct.pack("<8i", 20240326, 3, T, V, L, H, C, VP).ljust(1024, b"\0"))
        def put(count, fill):
            while count:
                n = min(count, 65536)
                out.write(fill * n if len(fill) == 4 else fill[:4 * n])
                count -= n
        zero = b"\0" * 4
        for count, fill in (
                (VP * C, noise), (T * C, noise), (L * C, ones), (L * C, zero),
                (L * 3 * C * C, noise), (L * 3 * C, zero), (L * C * C, noise), (L * C, zero),
                (L * C, ones), (L * C, zero), (L * 4 * C * C, noise), (L * 4 * C, zero),
                (L * C * 4 * C, noise), (L * C, zero), (C, ones), (C, zero)):
            put(count, fill)
    os.rename("part", "gpt2_124M.bin")
os.makedirs("dev/data/tinyshakespeare", exist_ok=True)
for name in ("train", "val"):
    n = 100_000
    with open(f"dev/data/tinyshakespeare/tiny_shakespeare_{name}.bin", "wb") as out:
        out.write(struct.pack("<3i", 20240520, 1, n).ljust(1024, b"\0"))
        out.write(struct.pack(f"<{n}H", *(rng.randrange(V) for _ in range(n))))
PY
echo "$dir is ready"
