#!/usr/bin/env python3
"""weft beside its peers, on the same machine, in turns.

  bench/compare.py gpt2 --batch 4 --seq 64 [--peers torch,torch-compile,llmc] [--precision bf16]
  bench/compare.py mlp --shape 784,256,128,10 --batch 128
  bench/compare.py stats --batch 4 --seq 64          (weft with statistics at every step or never)
  bench/compare.py threads --shape 784,46,10 --batch 64   (weft with 1 thread and with all)
  bench/compare.py study --study std-sweep|gpt2-variance  (a quick study, and the same one in PyTorch eager;
                                                           a step is the whole study)
  bench/compare.py ops                               (single ops beside PyTorch's, hot)
  bench/compare.py decode --weights f32|bf16|int8 --peers llamacpp,transformers   (a token of one text)
  bench/compare.py prefill --weights f32|bf16|int8 --peers llamacpp,transformers  (a prompt of 1024 tokens)

Each round runs every contestant once, in its own process, with the same number of threads, in an
order that turns from round to round; the first steps of a process are warm-up. The machine's speed
drifts, so what counts are the ratios: the best step of all rounds, and the median over rounds of
each round's median. Prints a table; --json FILE keeps every number.

Peers: torch and torch-compile need PyTorch in this Python; llmc needs --llmc DIR, your built copy of
llm.c (B=4 T=64 is built in there); llamacpp (f32, bf16, q8_0, with its flash attention in prefill),
llamacpp-f16 and transformers need llama-cpp-python and transformers. A peer that cannot run is named and left out.
"""
import argparse
import json
import os
import platform
import random
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)


def run(command, **options):
    """Run a command: its output and its peak memory in MiB. RuntimeError when it fails."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               **options)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{output[-2000:]}")
    return output, usage.ru_maxrss / 1024


# ---- data that every contestant could read: random, of the right shape ---------------------------
def write_tokens(path, vocab, count):
    """An llm.c shard: 256 words of header, then 16-bit tokens."""
    rng = random.Random(1)
    with open(path, "wb") as out:
        out.write(struct.pack("<3i", 20240520, 1, count).ljust(1024, b"\0"))
        out.write(struct.pack(f"<{count}H", *(rng.randrange(vocab) for _ in range(count))))


def write_idx(folder, classes, rows=8192):
    """MNIST's four files with noise for pictures."""
    rng = random.Random(1)
    for name, n in (("train", rows), ("t10k", 256)):
        with open(os.path.join(folder, f"{name}-images-idx3-ubyte"), "wb") as out:
            out.write(struct.pack(">4i", 0x803, n, 28, 28) + rng.randbytes(n * 784))
        with open(os.path.join(folder, f"{name}-labels-idx1-ubyte"), "wb") as out:
            out.write(struct.pack(">2i", 0x801, n) + bytes(i % classes for i in range(n)))


def write_csv(path, inputs, classes, rows=2048):
    rng = random.Random(1)
    with open(path, "w", encoding="ascii") as out:
        for i in range(rows):
            row = [f"{rng.gauss(0, 1):.6f}" for _ in range(inputs)]
            out.write(",".join(row + [str(i % classes)]) + "\n")


# ---- contestants: each gives (step times in ms, peak memory in MiB) ------------------------------
def weft(a, work, arguments, threads, warm):
    out = tempfile.mkdtemp(dir=work)
    command = [a.weft, "train", *arguments, "--threads", str(threads), "--steps", str(a.steps),
               "--schedule", "constant", "--eval-every", "0", "--save-every", "0",
               "--log-every", "1000000", "--out", os.path.join(out, "run")]
    try:
        _, memory = run(command)
        with open(os.path.join(out, "run", "metrics.jsonl"), encoding="utf-8") as lines:
            times = [json.loads(line)["step_ms"] for line in lines]
    finally:
        shutil.rmtree(out)
    return times[warm:], memory


def torch(script, a, arguments, warm):
    command = [sys.executable, os.path.join(HERE, "peers", script), "--steps", str(a.steps), "--threads",
               str(a.threads), *arguments]
    output, memory = run(command, env={**os.environ, "OMP_NUM_THREADS": str(a.threads)})
    return json.loads(output.strip().splitlines()[-1])["step_ms"][warm:], memory


def llmc(a, warm):
    if not a.llmc:
        raise RuntimeError("--llmc DIR says where your copy of it is")
    output, _ = run([sys.executable, os.path.join(HERE, "peers", "llmc_gpt2.py"), "--llmc", a.llmc,
                     "--steps", str(a.steps), "--threads", str(a.threads)])
    found = json.loads(output.strip().splitlines()[-1])
    return found["step_ms"][warm:], found["mib"]


def gpt2_arguments(a, work, statistics_every):
    data = os.path.join(work, "tokens.bin")
    if not os.path.exists(data):
        write_tokens(data, 50257, max(200_000, 2 * a.batch * (a.seq + 1)))
    return ["gpt2", "--preset", "gpt2-124m", "--data", data, "--vocab", "50257", "--val-fraction",
            "0", "--batch", str(a.batch), "--seq", str(a.seq), "--lr", "3e-4", "--warmup", "0",
            "--stats-every", str(statistics_every), "--precision", a.precision]


def mlp_arguments(a, work):
    shape = a.shape.split(",")
    if shape[0] == "784":
        data = work
        if not os.path.exists(os.path.join(work, "train-images-idx3-ubyte")):
            write_idx(work, int(shape[-1]))
    else:
        data = os.path.join(work, "rows.csv")
        if not os.path.exists(data):
            write_csv(data, int(shape[0]), int(shape[-1]))
    return ["mlp", "--data", data, "--hidden", ",".join(shape[1:-1]), "--batch", str(a.batch),
            "--optimizer", "momentum", "--momentum", "0.9", "--lr", "0.01", "--warmup", "0",
            "--weight-decay", "0", "--clip", "0", "--stats-every", "0"]


def weft_study(a, work):
    out = tempfile.mkdtemp(dir=work)
    try:
        start = time.perf_counter()
        _, memory = run([a.weft, "study", a.study, "--quick", "--data", a.data, "--out",
                         os.path.join(out, "study"), "--yes"])
        return [1000 * (time.perf_counter() - start)], memory
    finally:
        shutil.rmtree(out)


def torch_study(a):
    output, memory = run([sys.executable, os.path.join(HERE, "peers", "torch_studies.py"), a.study,
                          "--data", a.data, "--jobs", str(a.threads)],
                         env={**os.environ, "OMP_NUM_THREADS": "1"})
    return [1000 * json.loads(output.strip().splitlines()[-1])["seconds"]], memory


# ---- generation: GPT-2 124M of random weights, as weft writes it ---------------------------------
def random_model(a, work):
    run([a.weft, "train", *gpt2_arguments(a, work, 0), "--steps", "1", "--batch", "1", "--seq", "16", "--eval-every", "0",
         "--out", os.path.join(work, "run")])
    return os.path.join(work, "run", "checkpoints", "last")


def weft_bench(a, work, cases):
    """Names of weft-bench's cases -> milliseconds of each repetition; and its peak memory."""
    out = os.path.join(work, "bench.json")
    _, memory = run([os.path.join(os.path.dirname(a.weft), "weft-bench"), f"--threads={a.threads}",
                     f"--benchmark_filter={cases}", f"--benchmark_out={out}", "--benchmark_out_format=json",
                     f"--benchmark_repetitions={a.steps}"])
    with open(out, encoding="utf-8") as file:
        found = json.load(file)["benchmarks"]
    times = {}
    for b in found:
        if b["run_type"] == "iteration":
            times.setdefault(b["run_name"], []).append(b["real_time"] * {"ns": 1e-6, "us": 1e-3, "ms": 1}[b["time_unit"]])
    return times, memory


def weft_generator(a, work):
    case = {"decode": "decode/gpt2-124m/texts:1/", "prefill": "prefill/"}[a.what]
    kv = "-kv-bf16" if a.kv == "bf16" else ""
    times, memory = weft_bench(a, work, f"^{case}.*/{a.weights}{kv}/")
    return next(iter(times.values())), memory


def generator(a, library, model, *arguments):
    output, memory = run([sys.executable, os.path.join(HERE, "peers", "generate_gpt2.py"), library, a.what,
                          "--model", model, "--steps", str(a.steps), "--threads", str(a.threads), *arguments],
                         env={**os.environ, "HF_HUB_OFFLINE": "1"})
    return json.loads(output.strip().splitlines()[-1])["step_ms"][1:], memory


def llamacpp(a, work, model, dtype):
    file = os.path.join(work, f"{dtype}.gguf")
    if not os.path.exists(file):
        run([a.weft, "convert", model, file, "--dtype", dtype])
    return generator(a, "llamacpp", file)


def generation(a, work):
    model = random_model(a, work)
    own = {"int8": "q8_0"}.get(a.weights, a.weights)
    every = {"llamacpp": lambda: llamacpp(a, work, model, own),
             "llamacpp-f16": lambda: llamacpp(a, work, model, "f16"),
             "transformers": lambda: generator(a, "transformers", model, "--dtype", a.weights)}
    return {"weft": lambda: weft_generator(a, work), **{name: every[name] for name in a.peers.split(",")}}


def contestants(a, work):
    """name -> function; the first is the one that others are compared with."""
    warm = min(a.steps // 2, 3 if a.what in ("gpt2", "stats") else 200)
    if a.what == "gpt2":
        shape = ["--batch", str(a.batch), "--seq", str(a.seq), "--precision", a.precision]
        every = {
            "torch": lambda: torch("torch_gpt2.py", a, shape, warm),
            "torch-compile": lambda: torch("torch_gpt2.py", a, [*shape, "--compile"], warm),
            "llmc": lambda: llmc(a, warm),
            "weft-f32": lambda: weft(a, work, [*plain, "--precision", "f32"], a.threads, warm),
        }
        plain = gpt2_arguments(a, work, 0)
        return {"weft": lambda: weft(a, work, plain, a.threads, warm),
                **{name: every[name] for name in a.peers.split(",") if name}}
    if a.what == "stats":
        with_, without = gpt2_arguments(a, work, 1), gpt2_arguments(a, work, 0)
        return {"every step": lambda: weft(a, work, with_, a.threads, warm),
                "never": lambda: weft(a, work, without, a.threads, warm)}
    if a.what in ("decode", "prefill"):
        return generation(a, work)
    if a.what == "study":
        return {"weft": lambda: weft_study(a, work), "torch": lambda: torch_study(a)}
    plain = mlp_arguments(a, work)
    if a.what == "threads":
        return {f"{a.threads} threads": lambda: weft(a, work, plain, a.threads, warm),
                "1 thread": lambda: weft(a, work, plain, 1, warm)}
    shape = ["--shape", a.shape, "--batch", str(a.batch)]
    return {"weft": lambda: weft(a, work, plain, a.threads, warm),
            "torch": lambda: torch("torch_mlp.py", a, shape, warm)}


def measure(a, runners):
    """name -> list of rounds, each {"step_ms": [...], "mib": ...}."""
    results = {name: [] for name in runners}
    for turn in range(a.rounds):
        names = list(results)
        for name in names[turn % len(names):] + names[:turn % len(names)]:
            try:
                times, memory = runners[name]()
                if not times:
                    raise RuntimeError("no step was timed")
            except (OSError, RuntimeError, ValueError) as error:
                if name == next(iter(runners)):
                    raise
                print(f"compare.py: {name} is left out: {error}", file=sys.stderr)
                del results[name]
                continue
            results[name].append({"step_ms": times, "mib": memory})
            print(f"round {turn + 1}/{a.rounds} {name}: best {min(times):.4g} ms", file=sys.stderr)
    return {name: rounds for name, rounds in results.items() if rounds}


def single_ops(a, work):
    """Ops of weft-bench beside PyTorch's, round by round: prints a table."""
    cases = {"attention_fwd": "heads:12/T:1024", "attention_bwd": "heads:12/T:1024", "gelu_tanh_fwd": "rows:1024",
             "gelu_tanh_bwd": "rows:1024", "layernorm_fwd": "rows:1024", "layernorm_bwd": "rows:1024",
             "xent": "rows:1024", "adamw": "rows:65536"}
    found = {op: ([], []) for op in cases}
    for turn in range(a.rounds):
        times, _ = weft_bench(a, work, "^(" + "|".join(f"{op}/f32/[^/]*/{at}" for op, at in cases.items()) + ")/.*hot")
        output, _ = run([sys.executable, os.path.join(HERE, "peers", "torch_ops.py"), "--steps", str(a.steps),
                         "--threads", str(a.threads)], env={**os.environ, "OMP_NUM_THREADS": str(a.threads)})
        peer = json.loads(output.strip().splitlines()[-1])
        for name, ms in times.items():
            found[name.split("/")[0]][0].append(ms)
        for op in cases:
            found[op][1].append(peer[op])
        print(f"round {turn + 1}/{a.rounds}", file=sys.stderr)
    print(f"{'':15} {'weft, best ms':>14} {'PyTorch':>10}  PyTorch / weft: best, median")
    for op, (own, peer) in found.items():
        best = [min(map(min, x)) for x in (own, peer)]
        median = [statistics.median(map(statistics.median, x)) for x in (own, peer)]
        print(f"{op:15} {best[0]:14.4g} {best[1]:10.4g} {best[1] / best[0]:16.2f}x {median[1] / median[0]:8.2f}x")


def summary(rounds):
    return {"best": min(min(r["step_ms"]) for r in rounds),
            "median": statistics.median(statistics.median(r["step_ms"]) for r in rounds),
            "mib": max(r["mib"] for r in rounds)}


def main():
    args = argparse.ArgumentParser(description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("what", choices=["gpt2", "mlp", "stats", "threads", "study", "decode", "prefill", "ops"])
    args.add_argument("--weights", choices=["f32", "bf16", "int8"], default="f32", help="of decode and prefill")
    args.add_argument("--kv", choices=["f32", "bf16"], default="f32", help="weft's cache in decode and prefill (bf16: "
                      "with weights in bf16); llama.cpp's has f16, transformers' is that of the weights")
    args.add_argument("--study", choices=["std-sweep", "gpt2-variance"], default="std-sweep")
    args.add_argument("--data", default=os.path.join(ROOT, "data"), help="of a study: what ci/data.sh fills")
    args.add_argument("--batch", type=int, default=4)
    args.add_argument("--seq", type=int, default=64)
    args.add_argument("--shape", default="784,256,128,10")
    args.add_argument("--rounds", type=int, default=5)
    args.add_argument("--steps", type=int, help="steps of a process (gpt2: 10, mlp: 3000)")
    args.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    args.add_argument("--precision", choices=["f32", "bf16"], default="f32",
                      help="of gpt2: PyTorch's bf16 is autocast; llm.c has f32 only")
    args.add_argument("--peers", default="torch,torch-compile,llmc",
                      help="names; weft-f32 shows what bf16 gains")
    args.add_argument("--weft", default=os.path.join(ROOT, "build", "release", "weft"))
    args.add_argument("--llmc", metavar="DIR", help="a copy of llm.c with train_gpt2 built")
    args.add_argument("--json")
    a = args.parse_args()
    if a.steps is None:
        a.steps = {"gpt2": 10, "stats": 10, "decode": 8, "prefill": 5, "ops": 5}.get(a.what, 3000)
    if a.what == "study":
        a.steps = 2
    if a.rounds < 1 or a.steps < 2:
        args.error("at least one round and two steps are needed")
    if a.what == "gpt2" and ((a.batch, a.seq) != (4, 64) or a.precision != "f32"):
        a.peers = ",".join(p for p in a.peers.split(",") if p != "llmc")

    info = json.loads(run([a.weft, "info", "--json", "--measure"])[0])
    with tempfile.TemporaryDirectory() as work:
        if a.what == "ops":
            print(f"{info['cpu']}, {info['isa']}, {a.threads} threads, {info['compiler']}")
            single_ops(a, work)
            return
        results = measure(a, contestants(a, work))
    rows = {name: summary(rounds) for name, rounds in results.items()}
    first = next(iter(rows))
    tokens = {"decode": 1, "prefill": 1024}.get(a.what, a.batch * a.seq if a.what in ("gpt2", "stats") else a.batch)
    peak = info["bf16_gflops" if a.precision == "bf16" else "fma_gflops"]
    print(f"{info['cpu']}, {info['isa']}, {a.threads} threads, {info['compiler']}; measured peak "
          f"{peak:.0f} GFLOP/s, triad {info['triad_gbs']:.0f} GB/s")
    print(f"{' '.join(sys.argv[1:])}: {a.rounds} rounds of "
          f"{'one study' if a.what == 'study' else f'{a.steps} steps'}\n")
    unit = "tokens/s" if a.what in ("gpt2", "stats", "decode", "prefill") else "samples/s"
    if a.what == "study":
        tokens, unit = {"std-sweep": 100, "gpt2-variance": 9}[a.study], "cells/s"
    print(f"{'':15} {'best ms':>10} {'median ms':>10} {unit:>10} {'MiB':>7}  best / {first}  median")
    for name, row in rows.items():
        print(f"{name:15} {row['best']:10.4g} {row['median']:10.4g} "
              f"{1000 * tokens / row['best']:10.4g} {row['mib']:7.0f}"
              f"  {row['best'] / rows[first]['best']:6.3f}x"
              f" {row['median'] / rows[first]['median']:12.3f}x")
    if a.json:
        with open(a.json, "w", encoding="utf-8") as out:
            json.dump({"what": vars(a), "machine": {**info, "kernel": platform.release()},
                       "summary": rows, "rounds": results}, out, indent=1)


if __name__ == "__main__":
    main()
