#!/usr/bin/env python3
"""Two of weft's studies as one would write them in PyTorch eager: the same cells, steps and data.

  torch_studies.py std-sweep|gpt2-variance --data FOLDER [--jobs N]

std-sweep: 784-256-128-10 on MNIST, N(0, sigma^2) weights, 25 sigmas, SGD and Adam, 2 seeds, 300 steps;
every tenth step the statistics of each layer; the accuracy on the test set. gpt2-variance: 200,000 weights
that see noise for 1600 steps of AdamW, four times; GPT(12,64,64) on the bytes of a text, 600 steps of AdamW
twice, and without decay, 200 each of momentum and of Adam with L2; at every step the std of the 36 slices of
W_q, W_k, W_v, and the loss. Less is recorded than weft records, and nothing is proved or drawn.
Cells run side by side, one thread each. Prints {"seconds": ..., "cells": ..., "best": ..., "version": ...}.
"""
import argparse
import gzip
import json
import math
import os
import time
from concurrent.futures import ProcessPoolExecutor

import numpy
import torch
from torch import nn
from torch.nn import functional as F

from torch_gpt2 import GPT2

data = {}


def load_mnist(folder):
    def idx(name, offset):
        path = os.path.join(folder, name)
        opener = gzip.open if not os.path.exists(path) else open
        with opener(path if opener is open else path + ".gz", "rb") as file:
            return numpy.frombuffer(file.read(), numpy.uint8, offset=offset)
    for part, name in (("train", "train"), ("test", "t10k")):
        pixels = idx(f"{name}-images-idx3-ubyte", 16).reshape(-1, 784)
        data[part] = torch.from_numpy(pixels.astype(numpy.float32) / 255)
        data[part + "_labels"] = torch.from_numpy(idx(f"{name}-labels-idx1-ubyte", 8).astype(numpy.int64))


def load_text(folder):
    with open(os.path.join(folder, "kjv.txt"), "rb") as file:
        text = torch.from_numpy(numpy.frombuffer(file.read(), numpy.uint8).astype(numpy.int64))
    data["text"] = text[:len(text) * 9 // 10]
    data["rest"] = text[len(text) * 9 // 10:]


# ---- std-sweep -----------------------------------------------------------------------------------
def std_sweep_cells():
    return [(arm, 10 ** (-4 + 5 * k / 24), seed)
            for arm in ("sgd", "adam") for k in range(25) for seed in (1, 2)]


def std_sweep(cell):
    arm, sigma, seed = cell
    torch.manual_seed(seed)
    widths = (784, 256, 128, 10)
    linear = [nn.Linear(a, b) for a, b in zip(widths, widths[1:])]
    for layer in linear:
        nn.init.normal_(layer.weight, 0, sigma)
        nn.init.zeros_(layer.bias)
    weights = [layer.weight for layer in linear]
    parameters = [p for layer in linear for p in layer.parameters()]
    optimizer = (torch.optim.SGD(parameters, lr=0.1) if arm == "sgd"
                 else torch.optim.Adam(parameters, lr=1e-3))
    order = torch.randperm(len(data["train"]))
    records = []
    for step in range(300):
        rows = order[step * 128:(step + 1) * 128]
        x, z = data["train"][rows], []
        due = step % 10 == 0
        for i, layer in enumerate(linear):
            z.append(layer(x))
            if due:
                z[-1].retain_grad()
            x = F.relu(z[-1]) if i + 1 < len(linear) else z[-1]
        loss = F.cross_entropy(x, data["train_labels"][rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        before = [w.detach().clone() for w in weights] if due else []
        optimizer.step()
        if due:
            with torch.no_grad():
                for w, old, out in zip(weights, before, z):
                    records.append((step, w.grad.norm().item(),
                                    ((w - old).norm() / old.norm()).item(),
                                    (out <= 0).float().mean().item(),
                                    out.square().mean().sqrt().item(),
                                    out.grad.square().mean().sqrt().item()))
    with torch.no_grad():
        x = data["test"]
        for i, layer in enumerate(linear):
            x = layer(x) if i + 1 == len(linear) else F.relu(layer(x))
        return (x.argmax(1) == data["test_labels"]).float().mean().item()


# ---- gpt2-variance -------------------------------------------------------------------------------
def gpt2_variance_cells():
    return [("adamw", 600, 1), ("adamw", 600, 2), ("no-decay", 600, 1), ("momentum", 200, 1),
            ("adam-l2", 200, 1), ("noise", 0, 0.95), ("noise", 0, 0.999), ("noise", 0.5, 0.95),
            ("noise", 0.5, 0.999)]


def noise(decay, beta2):
    torch.manual_seed(1)
    weight = nn.Parameter(torch.randn(1000, 200) * 0.02)
    optimizer = torch.optim.AdamW([weight], lr=2e-3, betas=(0.9, beta2), weight_decay=decay, fused=True)
    stds = []
    for step in range(1600):
        weight.grad = torch.randn(1000, 200)
        optimizer.step()
        if step % 20 == 0:
            stds.append(weight.std().item())
    return stds[-1]


def gpt2_variance(cell):
    arm, steps, seed = cell
    if arm == "noise":
        return noise(steps, seed)
    torch.manual_seed(seed)
    batch, context, warmup = 8, 64, 30
    model = GPT2(256, context, 12, 2, 64)
    rate = 0.3 if arm == "momentum" else 2e-3
    groups = [{"params": [p for p in model.parameters() if p.dim() > 1],
               "weight_decay": 0.0 if arm == "no-decay" else 0.1},
              {"params": [p for p in model.parameters() if p.dim() <= 1], "weight_decay": 0.0}]
    if arm == "momentum":
        for group in groups:
            group["weight_decay"] = 0.0
        optimizer = torch.optim.SGD(groups, lr=rate, momentum=0.9)
    else:
        kind = torch.optim.Adam if arm == "adam-l2" else torch.optim.AdamW
        optimizer = kind(groups, lr=rate, betas=(0.9, 0.95), fused=True)
    places = torch.arange(context + 1)
    for step in range(steps):
        if step < warmup:
            factor = (step + 1) / warmup
        else:
            factor = 0.1 + 0.45 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))
        for group in optimizer.param_groups:
            group["lr"] = rate * factor
        starts = torch.randint(0, len(data["text"]) - context - 1, (batch, 1))
        tokens = data["text"][starts + places]
        loss = model(tokens[:, :-1], tokens[:, 1:])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            stds = [[part.std().item() for part in block.c_attn.weight.split(64)]
                    for block in model.blocks]
    assert len(stds) == 12
    with torch.no_grad():
        rest = data["rest"][:256 * context + 1]
        return model(rest[:-1].view(256, context), rest[1:].view(256, context)).item()


studies = {"std-sweep": (load_mnist, std_sweep_cells, std_sweep),
           "gpt2-variance": (load_text, gpt2_variance_cells, gpt2_variance)}


def prepare(name, folder):
    torch.set_num_threads(1)
    studies[name][0](folder)


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("study", choices=sorted(studies))
    args.add_argument("--data", required=True)
    args.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    a = args.parse_args()
    _, cells, run = studies[a.study]
    start = time.perf_counter()
    with ProcessPoolExecutor(a.jobs, initializer=prepare, initargs=(a.study, a.data)) as pool:
        found = list(pool.map(run, cells()))
    best = max(found) if a.study == "std-sweep" else min(found)
    print(json.dumps({"seconds": time.perf_counter() - start, "cells": len(found), "best": best,
                      "version": torch.__version__}))


if __name__ == "__main__":
    main()
