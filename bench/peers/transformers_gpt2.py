#!/usr/bin/env python3
"""GPT-2 in Hugging Face's transformers on the CPU, of a model's folder: milliseconds a token after a prompt
of 64, means over 16 tokens, or milliseconds of a prompt of which the logits of the last token are wanted.
Prints one JSON object: {"step_ms": [...], "version": ...}."""
import argparse
import json
import time

import torch
import transformers
from transformers import AutoModelForCausalLM


def prompt_of(n):
    return torch.tensor([[(i * 7919 + 11) % 50000 for i in range(n)]])


def decode(model, steps):
    times = []
    for step in range(steps):
        state = model(prompt_of(64), use_cache=True, logits_to_keep=1)
        start = time.perf_counter()
        for i in range(16):
            state = model(torch.tensor([[(step * 16 + i) * 31 % 50000]]), use_cache=True,
                          past_key_values=state.past_key_values)
        times.append((time.perf_counter() - start) * 1000 / 16)
    return times


def prefill(model, steps, tokens):
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        model(prompt_of(tokens), use_cache=True, logits_to_keep=1)
        times.append((time.perf_counter() - start) * 1000)
    return times


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("what", choices=["decode", "prefill"])
    args.add_argument("--model", required=True, metavar="DIR")
    args.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    args.add_argument("--tokens", type=int, default=1024, help="of the prompt of prefill")
    args.add_argument("--steps", type=int, default=6)
    args.add_argument("--threads", type=int, default=2)
    a = args.parse_args()
    torch.set_num_threads(a.threads)
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[a.dtype]
    model = AutoModelForCausalLM.from_pretrained(a.model, dtype=dtype).eval()
    with torch.inference_mode():
        times = decode(model, a.steps) if a.what == "decode" else prefill(model, a.steps, a.tokens)
    print(json.dumps({"step_ms": times, "version": f"{transformers.__version__}, torch {torch.__version__}"}))


if __name__ == "__main__":
    main()
