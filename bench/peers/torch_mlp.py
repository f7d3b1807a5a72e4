#!/usr/bin/env python3
"""SGD+momentum steps of a multi-layer perceptron in PyTorch eager on the CPU, timed one by one.

ReLU layers, softmax cross-entropy, no weight decay. The data lie ready in memory and a batch is a
slice of them, the cheapest way of feeding a model. Prints {"step_ms": [...], "loss": ...}.
"""
import argparse
import json
import time

import torch
from torch import nn
from torch.nn import functional as F


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--shape", default="784,256,128,10", help="inputs, hidden widths, classes")
    args.add_argument("--batch", type=int, default=128)
    args.add_argument("--steps", type=int, default=2000)
    args.add_argument("--threads", type=int, default=torch.get_num_threads())
    a = args.parse_args()

    torch.manual_seed(0)
    torch.set_num_threads(a.threads)
    shape = [int(n) for n in a.shape.split(",")]
    layers = []
    for n_in, n_out in zip(shape, shape[1:]):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    batches = 64
    inputs = torch.randn(batches, a.batch, shape[0])
    targets = torch.randint(0, shape[-1], (batches, a.batch))
    times = []
    for step in range(a.steps):
        start = time.perf_counter()
        loss = F.cross_entropy(model(inputs[step % batches]), targets[step % batches])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        times.append(1000 * (time.perf_counter() - start))
    print(json.dumps({"step_ms": times, "loss": loss.item(), "version": torch.__version__}))


if __name__ == "__main__":
    main()
