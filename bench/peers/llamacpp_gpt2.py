#!/usr/bin/env python3
"""GPT-2 in llama.cpp (llama-cpp-python), of a GGUF file: milliseconds a token after a prompt of 64, means over
16 tokens, or milliseconds of a prompt of which the logits of the last token are wanted.
Prints one JSON object: {"step_ms": [...], "version": ...}."""
import argparse
import json
import time

import llama_cpp
from llama_cpp import Llama


def prompt_of(n):
    return [(i * 7919 + 11) % 50000 for i in range(n)]


def decode(llama, steps):
    llama.eval(prompt_of(64))
    times = []
    for step in range(steps):
        start = time.perf_counter()
        for i in range(16):
            llama.eval([(step * 16 + i) * 31 % 50000])
        times.append((time.perf_counter() - start) * 1000 / 16)
        if llama.n_tokens > 128 - 16:
            llama.n_tokens = 64
    return times


def prefill(llama, steps, tokens):
    times = []
    for _ in range(steps):
        llama.reset()
        start = time.perf_counter()
        llama.eval(prompt_of(tokens))
        times.append((time.perf_counter() - start) * 1000)
    return times


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("what", choices=["decode", "prefill"])
    args.add_argument("--model", required=True, metavar="FILE.gguf")
    args.add_argument("--tokens", type=int, default=1024, help="of the prompt of prefill")
    args.add_argument("--steps", type=int, default=6)
    args.add_argument("--threads", type=int, default=2)
    args.add_argument("--flash", action="store_true", help="with its flash attention")
    a = args.parse_args()
    context = 128 if a.what == "decode" else a.tokens
    llama = Llama(a.model, n_ctx=context, n_batch=context, n_threads=a.threads, n_threads_batch=a.threads,
                  flash_attn=a.flash, verbose=False)
    times = decode(llama, a.steps) if a.what == "decode" else prefill(llama, a.steps, a.tokens)
    print(json.dumps({"step_ms": times, "version": llama_cpp.__version__}))


if __name__ == "__main__":
    main()
