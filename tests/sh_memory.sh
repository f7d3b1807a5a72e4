#!/bin/sh
# usage: sh_memory.sh BUILD/weft
# What plan and train say a training takes is what it takes, data and baseline included.
set -u
weft=$1
grep -q -e __asan_init -e __tsan_init "$weft" && exit 77 # sanitizers take memory of their own
. "$(dirname "$0")/support/program.sh"
python3 - <<'END' || exit 1
import os, random, struct
random.seed(1)
os.mkdir("mnist")
for name, n in ("train", 30000), ("t10k", 5000):
    with open(f"mnist/{name}-images-idx3-ubyte", "wb") as f:
        f.write(struct.pack(">IIII", 0x803, n, 28, 28) + os.urandom(784 * n))
    with open(f"mnist/{name}-labels-idx1-ubyte", "wb") as f:
        f.write(struct.pack(">II", 0x801, n) + bytes(i % 10 for i in range(n)))
with open("table.csv", "w") as f:
    row = ",".join("%.9f" % random.random() for _ in range(100))
    f.write("".join(f"{row},{i % 3}\n" for i in range(8000)))
with open("many.bin", "wb") as f: # so many different pairs that a table of all would be 256 MiB
    f.write(b"".join(struct.pack("<H", random.randrange(8192)) for _ in range(300000)))
with open("few.txt", "wb") as f:
    f.write(b"few bytes " * 1000)

END
cat >check.py <<'END' # a small process: its own peak passes to its children
import json, resource, subprocess, sys

weft, MIB = sys.argv[1], 1 << 20

def run(*args):
    return subprocess.run([weft, *args], check=True, capture_output=True, text=True).stdout

small = ["--layers", "1", "--width", "64", "--batch", "2", "--threads", "1"]
cases = (["gpt2", "--data", "few.txt", *small], ["gpt2", "--data", "many.bin", *small],
         ["mlp", "--data", "table.csv", "--hidden", "8", "--threads", "1"],
         ["mlp", "--data", "mnist", "--hidden", "8", "--threads", "1"])
for case in cases: # from small to large: the largest peak so far is known, not that of each
    plan = json.loads(run("plan", *case, "--json"))["memory"]["total"] / MIB
    said = run("train", *case, "--steps", "1", "--eval-samples", "8", "--out", "run-" + case[2])
    said = float(said.split("memory ")[1].split()[0])
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / MIB
    print(case[0], case[2], "planned %.1f, said %.1f, peak %.1f MiB" % (plan, said, peak))
    assert abs(said - plan) < 0.1
    assert peak < 1.05 * plan + 16, "the plan is too low"
    if case[0] == "mlp":
        assert peak > 0.95 * plan, "the plan is too high"
END
python3 check.py "$weft" # no exec: children of this shell would count
