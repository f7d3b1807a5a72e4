#!/usr/bin/env python3
"""GPT-2 training steps in PyTorch on the CPU, timed one by one.

The model is GPT-2 with tied head, tanh GELU, fused causal attention and no dropout; the step is
forward, backward, clipping to norm 1, fused AdamW: PyTorch's fastest way of doing what
`weft train gpt2` does, with bf16 under autocast. Prints one JSON object: {"step_ms": [...], "loss": ..., "version": ...}.
"""
import argparse
import json
import time

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.ln_1 = nn.LayerNorm(width)
        self.c_attn = nn.Linear(width, 3 * width)
        self.attn_proj = nn.Linear(width, width)
        self.ln_2 = nn.LayerNorm(width)
        self.c_fc = nn.Linear(width, 4 * width)
        self.mlp_proj = nn.Linear(4 * width, width)

    def forward(self, x):
        batch, time_, width = x.shape
        split = self.c_attn(self.ln_1(x)).split(width, dim=2)
        q, k, v = (t.view(batch, time_, self.heads, -1).transpose(1, 2) for t in split)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attn_proj(y.transpose(1, 2).reshape(batch, time_, width))
        return x + self.mlp_proj(F.gelu(self.c_fc(self.ln_2(x)), approximate="tanh"))


class GPT2(nn.Module):
    def __init__(self, vocab, context, layers, heads, width):
        super().__init__()
        self.wte = nn.Embedding(vocab, width)
        self.wpe = nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.ln_f = nn.LayerNorm(width)
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.normal_(p, 0, 0.02)

    def forward(self, tokens, targets):
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.ln_f(x), self.wte.weight)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--batch", type=int, default=4)
    args.add_argument("--seq", type=int, default=64)
    args.add_argument("--steps", type=int, default=6)
    args.add_argument("--threads", type=int, default=torch.get_num_threads())
    args.add_argument("--layers", type=int, default=12)
    args.add_argument("--heads", type=int, default=12)
    args.add_argument("--width", type=int, default=768)
    args.add_argument("--vocab", type=int, default=50257)
    args.add_argument("--context", type=int, default=1024)
    args.add_argument("--compile", action="store_true")
    args.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    a = args.parse_args()

    torch.manual_seed(0)
    torch.set_num_threads(a.threads)
    model = GPT2(a.vocab, a.context, a.layers, a.heads, a.width)
    forward = torch.compile(model) if a.compile else model
    decay = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}],
        lr=3e-4, betas=(0.9, 0.95), fused=True)
    tokens = torch.randint(0, a.vocab, (a.steps, a.batch, a.seq + 1))
    times = []
    for step in range(a.steps):
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=a.precision == "bf16"):
            loss = forward(tokens[step, :, :-1], tokens[step, :, 1:])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        times.append(1000 * (time.perf_counter() - start))
    print(json.dumps({"step_ms": times, "loss": loss.item(), "version": torch.__version__}))


if __name__ == "__main__":
    main()
