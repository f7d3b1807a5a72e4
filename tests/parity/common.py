"""What the parity scripts share: the program, the tool, texts, and how to say that something differs."""
import os
import random
import struct
import subprocess
import sys
import tempfile

BUILD = os.environ.get("WEFT_BUILD", "build/release")
VOCABULARY = os.environ.get("WEFT_GPT2_VOCABULARY", "")  # folder with encoder.json and vocab.bpe
SLOW = os.environ.get("WEFT_PARITY_SLOW", "") == "1"
failures = 0


def check(good, what):
    global failures
    if not good:
        failures += 1
    print(("ok      " if good else "FAILED  ") + what, flush=True)
    return good


def done():
    print(f"{sys.argv[0]}: {failures} failures")
    sys.exit(failures != 0)


def weft(*args, **more):
    """The program's standard output; it must succeed."""
    run = subprocess.run([os.path.join(BUILD, "weft"), *map(str, args)], capture_output=True, **more)
    if run.returncode != 0:
        raise RuntimeError(f"weft {args}: {run.stderr.decode()}")
    return run.stdout


class Tool:
    """tests/parity/parity_tool.c on the other end of a pipe."""

    def __init__(self, *args):
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "tests", "parity_tool"), *map(str, args)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, data, items, out):
        self.process.stdin.write(struct.pack("<I", items) + data)
        self.process.stdin.flush()
        n, = struct.unpack("<I", self.process.stdout.read(4))
        size = struct.calcsize("<" + out)
        return struct.unpack(f"<{n}{out}", self.process.stdout.read(n * size))

    def tokens(self, data):
        return list(self.ask(data, len(data), "H"))

    def logits(self, tokens):
        return self.ask(struct.pack(f"<{len(tokens)}i", *tokens), len(tokens), "f")


def scratch():
    return tempfile.TemporaryDirectory(prefix="weft-parity-")


def english(n, seed=1):
    """Text with the habits of text: words by Zipf, names, numbers, quotes, lines, indented code."""
    rng = random.Random(seed)
    words = ["".join(rng.choice("etaoinshrdlucmfwypvbgkjqxz"[:6 + i % 20]) for _ in range(1 + i % 9))
             for i in range(3000)]
    out, size = [], 0
    while size < n:
        word = words[int(rng.paretovariate(0.9)) % len(words)]
        kind = rng.random()
        word = (word.capitalize() if kind < 0.1 else str(rng.randrange(10 ** rng.randrange(1, 7)))
                if kind < 0.13 else word + rng.choice(["'s", "'t", "'ll", "'re", "'ve", "'m", "'d", "'x"])
                if kind < 0.16 else '"' + word + '"' if kind < 0.18 else word)
        end = rng.choices([" ", ", ", ". ", "\n", "\n\n", "  ", "\n    ", "; ", "!\n", " - "],
                          [60, 8, 6, 4, 2, 1, 2, 1, 1, 1])[0]
        out.append(word + end)
        size += len(out[-1])
    return "".join(out)[:n]


def any_text(n, seed):
    """Characters of all planes and kinds, in runs, as tests of splits want them."""
    rng = random.Random(seed)
    ranges = [(32, 127), (9, 14), (0xa0, 0x250), (0x370, 0x530), (0x590, 0x700), (0x900, 0xe00),
              (0x1680, 0x1681), (0x180e, 0x180f), (0x2000, 0x2070), (0x3000, 0x3100),
              (0x4e00, 0x9fff), (0xac00, 0xd7a3), (0xfe00, 0xfe10), (0xff00, 0xffef),
              (0x1d400, 0x1d800), (0x1f300, 0x1fa00), (0x20000, 0x2a6d0), (0xe0100, 0xe01f0),
              (0, 0xd800), (0xe000, 0x110000)]
    out = []
    while len(out) < n:
        lo, hi = rng.choice(ranges)
        out += [chr(rng.randrange(lo, hi)) for _ in range(rng.randrange(1, 6))]
        if rng.random() < 0.3:
            out.append(rng.choice([" ", "  ", "\n", "'s", "'", " '", "\t", "'ll", "\u00a0"]))
    return "".join(out)
