#!/usr/bin/env python3
"""GPT-2 124M training steps of llm.c's CPU trainer, timed by itself.

--llmc DIR is your copy of https://github.com/karpathy/llm.c with train_gpt2 built as its Makefile
does (make train_gpt2). Weights (a random checkpoint of version 3) and tokens are written into a
temporary folder: they do not change the time of a step. B=4, T=64 and 40 steps are built in there;
it is stopped after --steps. Prints {"step_ms": [...], "loss": ..., "mib": ..., "version": ...}.
"""
import argparse
import json
import os
import random
import re
import struct
import subprocess
import tempfile

VOCAB, PADDED, LAYERS, HEADS, WIDTH, CONTEXT = 50257, 50304, 12, 12, 768, 1024


def write_checkpoint(path):
    rng = random.Random(1)
    noise = struct.pack("<65536f", *(rng.gauss(0, 0.02) for _ in range(65536)))
    one, zero = struct.pack("<f", 1.0), struct.pack("<f", 0.0)
    c, layers = WIDTH, LAYERS
    tensors = ((PADDED * c, noise), (CONTEXT * c, noise), (layers * c, one), (layers * c, zero),
               (layers * 3 * c * c, noise), (layers * 3 * c, zero), (layers * c * c, noise),
               (layers * c, zero), (layers * c, one), (layers * c, zero),
               (layers * 4 * c * c, noise), (layers * 4 * c, zero), (layers * c * 4 * c, noise),
               (layers * c, zero), (c, one), (c, zero))
    with open(path, "wb") as out:
        header = struct.pack("<8i", 20240326, 3, CONTEXT, VOCAB, LAYERS, HEADS, WIDTH, PADDED)
        out.write(header.ljust(1024, b"\0"))
        for count, fill in tensors:
            block = fill * 65536 if len(fill) == 4 else fill
            for _ in range(count // 65536):
                out.write(block)
            out.write(block[:4 * (count % 65536)])


def write_tokens(path, count=100_000):
    rng = random.Random(1)
    with open(path, "wb") as out:
        out.write(struct.pack("<3i", 20240520, 1, count).ljust(1024, b"\0"))
        out.write(struct.pack(f"<{count}H", *(rng.randrange(VOCAB) for _ in range(count))))


def run(program, folder, steps):
    """Step times in ms, the last loss, and peak MiB."""
    process = subprocess.Popen([program], cwd=folder, stdout=subprocess.PIPE, text=True)
    times, loss, peak = [], None, 0
    for line in process.stdout:
        found = re.match(r"step \d+: train loss (\S+) \(took (\S+) ms\)", line)
        if not found:
            continue
        loss = float(found[1])
        times.append(float(found[2]))
        with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
            peak = int(re.search(r"VmHWM:\s*(\d+)", status.read())[1]) / 1024
        if len(times) >= steps:
            break
    process.kill()
    process.wait()
    if not times:
        raise SystemExit(f"llmc_gpt2.py: {program} printed no step")
    return times, loss, peak


def main():
    args = argparse.ArgumentParser(description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--llmc", required=True, metavar="DIR")
    args.add_argument("--steps", type=int, default=5)
    args.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    a = args.parse_args()
    program = os.path.join(os.path.abspath(a.llmc), "train_gpt2")
    if not os.access(program, os.X_OK):
        raise SystemExit(f"llmc_gpt2.py: {program} is not there: run `make train_gpt2` in {a.llmc}")
    os.environ["OMP_NUM_THREADS"] = str(a.threads)
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "dev", "data", "tinyshakespeare")
        os.makedirs(data)
        write_checkpoint(os.path.join(folder, "gpt2_124M.bin"))
        for part in ("train", "val"):
            write_tokens(os.path.join(data, f"tiny_shakespeare_{part}.bin"))
        times, loss, peak = run(program, folder, a.steps)
    print(json.dumps({"step_ms": times, "loss": loss, "mib": peak, "version": "llm.c"}))


if __name__ == "__main__":
    main()
