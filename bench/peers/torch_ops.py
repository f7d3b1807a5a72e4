#!/usr/bin/env python3
"""Single ops of PyTorch on the CPU in the shapes of weft-bench: milliseconds of a call, means over as many as
take 50 ms. Backward passes alone, from a graph that is kept. Prints one JSON object: {"op": [...], ...}."""
import argparse
import json
import time

import torch
from torch.nn import functional as F


def timed(work, repeats):
    work(), work()
    start, n = time.perf_counter(), 0
    while time.perf_counter() - start < 0.05:
        work()
        n += 1
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        for _ in range(n):
            work()
        times.append((time.perf_counter() - start) * 1000 / n)
    return times


def pair(name, function, inputs, repeats):
    """Forward without a graph, and backward of a kept one."""
    with torch.no_grad():
        forward = timed(lambda: function(*inputs), repeats)
    y = function(*inputs)
    dy, wanted = torch.randn_like(y), [x for x in inputs if x.requires_grad]
    backward = timed(lambda: torch.autograd.grad(y, wanted, dy, retain_graph=True), repeats)
    return {f"{name}_fwd": forward, f"{name}_bwd": backward}


def leaf(*shape):
    return torch.randn(*shape).requires_grad_()


def loss(repeats):
    logits, targets = leaf(1024, 50257), torch.randint(50257, (1024,))
    return {"xent": timed(lambda: torch.autograd.grad(F.cross_entropy(logits, targets), logits), repeats)}


def adamw(repeats):
    w = torch.nn.Parameter(torch.randn(65536, 256))
    w.grad = torch.randn_like(w)
    optimizer = torch.optim.AdamW([w], lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    return {"adamw": timed(optimizer.step, repeats)}


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--steps", type=int, default=5)
    args.add_argument("--threads", type=int, default=2)
    a = args.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(a.threads)
    heads = [leaf(1, 12, 1024, 64) for _ in range(3)]
    print(json.dumps({
        **pair("attention", lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), heads, a.steps),
        **pair("gelu_tanh", lambda x: F.gelu(x, approximate="tanh"), [leaf(1024, 3072)], a.steps),
        **pair("layernorm", lambda x, w, b: F.layer_norm(x, (768,), w, b), [leaf(1024, 768), leaf(768), leaf(768)],
               a.steps),
        **loss(a.steps), **adamw(a.steps)}))


if __name__ == "__main__":
    main()
