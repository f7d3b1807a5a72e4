#!/usr/bin/env python3
"""Write tests/golden/*.safetensors: what PyTorch computes, for tests/unit_golden.c.

    python3 tests/make_golden.py        (needs torch and numpy; the files are kept in git)

Everything is computed twice from the same f32 parameters: in f64, the value to compare with, and in
f32, whose distance from f64 says how much rounding a correct f32 program makes. That distance is
stored per tensor as err/... = (largest absolute difference, relative L2 difference). It leaves out
the key third of c_attn.bias: the softmax does not depend on it, so its gradient is rounding noise.

gpt2.safetensors    a small GPT-2, ten AdamW steps: init/*, tokens (steps, B, T+1), lr (steps), hyper
                    (beta1, beta2, eps, decay, clip, heads), losses and grad_norms (steps), grad/*
                    of step 0, step1/* and step10/*. Names and shapes as Hugging Face writes them
                    (Conv1D weights are (in, out)).
gpt2_post.safetensors   the same start and batches with LayerNorm after each sum (post-norm, no ln_f): losses,
                    grad_norms, grad/*
optim.safetensors   every optimizer, ten steps of a small MLP on one batch: init/*, inputs, targets,
                    and for each KIND: KIND/hyper (lr, beta1, beta2, eps, decay), KIND/losses,
                    KIND/final/*.
Weight decay acts on tensors of two or more dimensions. Clipping multiplies the gradients by
min(1, clip / norm).
"""
import json
import math
import pathlib
import struct

import numpy as np
import torch

OUT = pathlib.Path(__file__).parent / "golden"
LAYERS, HEADS, WIDTH, VOCAB, CONTEXT, BATCH, STEPS = 2, 2, 32, 65, 16, 2, 10
BETAS, EPS, DECAY, CLIP, LR, WARMUP = (0.9, 0.95), 1e-8, 0.1, 1.0, 1e-2, 2


def write_safetensors(path, tensors, note):
    names = {"float32": "F32", "float64": "F64", "int32": "I32"}
    header, offset, blobs = {"__metadata__": {"torch": torch.__version__, "note": note}}, 0, []
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        header[name] = {
            "dtype": names[str(array.dtype)],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
        blobs.append(array.tobytes())
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def draw(gen, shape, std, mean=0.0):
    """f32 values, so that both precisions start from the same numbers."""
    return mean + std * torch.randn(shape, generator=gen, dtype=torch.float32)


def gpt2_params(gen):
    c = WIDTH
    p = {"wte.weight": draw(gen, (VOCAB, c), 0.1), "wpe.weight": draw(gen, (CONTEXT, c), 0.1)}
    for layer in range(LAYERS):
        h = f"h.{layer}."
        for norm in ("ln_1", "ln_2"):
            p[f"{h}{norm}.weight"] = draw(gen, (c,), 0.1, 1.0)
            p[f"{h}{norm}.bias"] = draw(gen, (c,), 0.1)
        for name, n_in, n_out in (
            ("attn.c_attn", c, 3 * c),
            ("attn.c_proj", c, c),
            ("mlp.c_fc", c, 4 * c),
            ("mlp.c_proj", 4 * c, c),
        ):
            p[f"{h}{name}.weight"] = draw(gen, (n_in, n_out), 0.1)
            p[f"{h}{name}.bias"] = draw(gen, (n_out,), 0.1)
    p["ln_f.weight"] = draw(gen, (c,), 0.1, 1.0)
    p["ln_f.bias"] = draw(gen, (c,), 0.1)
    return {f"transformer.{k}": v for k, v in p.items()}


def norm(x, p, name):
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / torch.sqrt((centred * centred).mean(-1, keepdim=True) + 1e-5)
    return scaled * p[name + ".weight"] + p[name + ".bias"]


def dense(x, p, name):
    return x @ p[name + ".weight"] + p[name + ".bias"]


def gelu(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


def attention(x, p, h):
    b, t, c = x.shape
    q, k, v = (
        y.reshape(b, t, HEADS, c // HEADS).transpose(1, 2)
        for y in dense(x, p, h + "attn.c_attn").split(c, -1)
    )
    scores = q @ k.transpose(2, 3) / math.sqrt(c // HEADS)
    future = torch.triu(torch.ones(t, t, dtype=torch.bool), 1)
    weights = scores.masked_fill(future, -math.inf).softmax(-1)
    return dense((weights @ v).transpose(1, 2).reshape(b, t, c), p, h + "attn.c_proj")


def mlp(x, p, h):
    return dense(gelu(dense(x, p, h + "mlp.c_fc")), p, h + "mlp.c_proj")


def gpt2_loss(p, tokens, post):
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    x = p["transformer.wte.weight"][inputs] + p["transformer.wpe.weight"][: inputs.shape[1]]
    for layer in range(LAYERS):
        h = f"transformer.h.{layer}."
        for name, branch in ("ln_1", attention), ("ln_2", mlp):
            if post:
                x = norm(x + branch(x, p, h), p, h + name)
            else:
                x = x + branch(norm(x, p, h + name), p, h)
    if not post:
        x = norm(x, p, "transformer.ln_f")
    logits = x @ p["transformer.wte.weight"].T
    picked = logits.log_softmax(-1).gather(-1, targets.unsqueeze(-1))
    return -picked.mean()


def schedule(step):
    """Linear warmup, then a cosine to a tenth."""
    if step < WARMUP:
        return LR * (step + 1) / WARMUP
    done = (step - WARMUP) / (STEPS - WARMUP)
    return LR * (0.1 + 0.45 * (1 + math.cos(math.pi * done)))


def leaves(params, dtype):
    return {k: v.to(dtype).clone().requires_grad_(True) for k, v in params.items()}


def groups(params, decay):
    return [
        {"params": [v for v in params.values() if v.dim() >= 2], "weight_decay": decay},
        {"params": [v for v in params.values() if v.dim() < 2], "weight_decay": 0.0},
    ]


def snapshot(params):
    return {k: v.detach().numpy().copy() for k, v in params.items()}


def used(params):
    return [(k, v) for k, v in params.items() if v.grad is not None]


def train_gpt2(start, tokens, dtype, post=False):
    params = leaves(start, dtype)
    optim = torch.optim.AdamW(groups(params, DECAY), lr=LR, betas=BETAS, eps=EPS, foreach=False)
    out = {"losses": [], "grad_norms": []}
    for step in range(STEPS):
        for group in optim.param_groups:
            group["lr"] = schedule(step)
        optim.zero_grad()
        loss = gpt2_loss(params, tokens[step], post)
        loss.backward()
        if step == 0:
            out["grad"] = {k: np.zeros_like(v.detach().numpy()) for k, v in params.items()}
            out["grad"] |= {k: v.grad.numpy().copy() for k, v in used(params)}
        total = math.sqrt(sum(float((v.grad.double() ** 2).sum()) for _, v in used(params)))
        for _, v in used(params):
            v.grad.mul_(min(1.0, CLIP / total))
        optim.step()
        out["losses"].append(loss.item())
        out["grad_norms"].append(total)
        if step in (0, STEPS - 1):
            out[f"step{step + 1}"] = snapshot(params)
    return out


def add_pair(tensors, prefix, exact, rough):
    """Values in f64, and how far f32 is from them."""
    for name, want in exact.items():
        diff = rough[name].astype(np.float64) - want
        if name.endswith("c_attn.bias"):
            diff[WIDTH : 2 * WIDTH] = 0
        tensors[f"{prefix}/{name}"] = want
        tensors[f"err/{prefix}/{name}"] = np.array(
            [np.abs(diff).max(), np.linalg.norm(diff) / max(np.linalg.norm(want), 1e-300)]
        )


def add_series(tensors, name, exact, rough):
    tensors[name] = np.array(exact)
    tensors[f"err/{name}"] = np.array([np.abs(np.array(rough) - np.array(exact)).max(), 0.0])


def golden_gpt2():
    gen = torch.Generator().manual_seed(2026)
    start = gpt2_params(gen)
    tokens = torch.randint(0, VOCAB, (STEPS, BATCH, CONTEXT + 1), generator=gen)
    exact, rough = (train_gpt2(start, tokens, d) for d in (torch.float64, torch.float32))
    tensors = {f"init/{k}": v.numpy() for k, v in start.items()}
    tensors["tokens"] = tokens.numpy().astype(np.int32)
    tensors["lr"] = np.array([schedule(s) for s in range(STEPS)])
    tensors["hyper"] = np.array([*BETAS, EPS, DECAY, CLIP, HEADS])
    for name in ("losses", "grad_norms"):
        add_series(tensors, name, exact[name], rough[name])
    for name in ("grad", "step1", f"step{STEPS}"):
        add_pair(tensors, name, exact[name], rough[name])
    write_safetensors(OUT / "gpt2.safetensors", tensors, "GPT-2, ten AdamW steps")
    golden_post(start, tokens)
    print("gpt2 losses", *(f"{x:.6f}" for x in exact["losses"]))
    print("     norms ", *(f"{x:.4f}" for x in exact["grad_norms"]))


def golden_post(start, tokens):
    exact, rough = (train_gpt2(start, tokens, d, True) for d in (torch.float64, torch.float32))
    tensors = {}
    for name in ("losses", "grad_norms"):
        add_series(tensors, name, exact[name], rough[name])
    add_pair(tensors, "grad", exact["grad"], rough["grad"])
    write_safetensors(OUT / "gpt2_post.safetensors", tensors, "the same with post-norm")
    print("post losses", *(f"{x:.6f}" for x in exact["losses"]))


# kind: (lr, beta1, beta2, eps, decay); beta1 is the momentum where there is no first moment.
OPTIMIZERS = {
    "sgd": (0.2, 0.0, 0.0, 0.0, 0.01),
    "momentum": (0.1, 0.9, 0.0, 0.0, 0.01),
    "nesterov": (0.1, 0.9, 0.0, 0.0, 0.01),
    "rmsprop": (0.01, 0.5, 0.9, 1e-8, 0.01),
    "adam": (0.02, 0.9, 0.99, 1e-8, 0.01),
    "adamw": (0.02, 0.9, 0.99, 1e-8, 0.1),
    "nadam": (0.02, 0.9, 0.99, 1e-8, 0.01),
}


def make_optimizer(kind, params):
    lr, beta1, beta2, eps, decay = OPTIMIZERS[kind]
    g, plain = groups(params, decay), {"lr": lr, "foreach": False}
    if kind in ("sgd", "momentum", "nesterov"):
        return torch.optim.SGD(g, momentum=beta1, nesterov=kind == "nesterov", **plain)
    if kind == "rmsprop":
        return torch.optim.RMSprop(g, alpha=beta2, eps=eps, momentum=beta1, **plain)
    maker = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "nadam": torch.optim.NAdam}
    return maker[kind](g, betas=(beta1, beta2), eps=eps, **plain)


def train_mlp(kind, start, inputs, targets, dtype):
    params = leaves(start, dtype)
    optim = make_optimizer(kind, params)
    losses = []
    for _ in range(STEPS):
        optim.zero_grad()
        x = torch.tanh(inputs.to(dtype) @ params["layers.0.weight"].T + params["layers.0.bias"])
        logits = x @ params["layers.1.weight"].T + params["layers.1.bias"]
        loss = torch.nn.functional.cross_entropy(logits, targets)
        loss.backward()
        optim.step()
        losses.append(loss.item())
    return losses, snapshot(params)


def golden_optim():
    gen = torch.Generator().manual_seed(7)
    start = {
        "layers.0.weight": draw(gen, (9, 6), 0.5),
        "layers.0.bias": draw(gen, (9,), 0.2),
        "layers.1.weight": draw(gen, (3, 9), 0.5),
        "layers.1.bias": draw(gen, (3,), 0.2),
    }
    inputs = draw(gen, (16, 6), 1.0)
    targets = torch.randint(0, 3, (16,), generator=gen)
    tensors = {f"init/{k}": v.numpy() for k, v in start.items()}
    tensors["inputs"] = inputs.numpy()
    tensors["targets"] = targets.numpy().astype(np.int32)
    for kind, hyper in OPTIMIZERS.items():
        exact, rough = (
            train_mlp(kind, start, inputs, targets, d) for d in (torch.float64, torch.float32)
        )
        tensors[f"{kind}/hyper"] = np.array(hyper)
        add_series(tensors, f"{kind}/losses", exact[0], rough[0])
        add_pair(tensors, f"{kind}/final", exact[1], rough[1])
        print(f"{kind:9s}", *(f"{x:.5f}" for x in exact[0]))
    write_safetensors(OUT / "optim.safetensors", tensors, "optimizers on an MLP, ten steps each")


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    OUT.mkdir(exist_ok=True)
    golden_gpt2()
    golden_optim()
