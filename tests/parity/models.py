"""Models in and out: weft reads what transformers writes and writes what transformers reads, in every
dtype, whole and in shards, with logits within 2e-4 of transformers' f32 and the same greedy text; llm.c's
files both ways; training goes on from an imported model."""
import json
import os
import struct

import numpy as np
import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel

from common import SLOW, Tool, check, done, english, scratch, weft

SIZES = {  # layers, heads, width
    "gpt2-124m": (12, 12, 768),
    "gpt2-350m": (24, 16, 1024),
    "gpt2-774m": (36, 20, 1280),
    "gpt2-1.5b": (48, 25, 1600),
}


def random_model(layers, heads, width, vocab, context, seed=1, **more):
    torch.manual_seed(seed)
    model = GPT2LMHeadModel(GPT2Config(
        n_layer=layers, n_head=heads, n_embd=width, vocab_size=vocab, n_positions=context,
        bos_token_id=None, eos_token_id=None, **more))
    for name, p in model.named_parameters():  # biases and gains that matter
        if p.ndim == 1:
            p.data += 0.1 * torch.randn_like(p)
    return model.eval()


def theirs(model, tokens):
    with torch.no_grad():
        return model(torch.tensor([tokens])).logits[0, -1].double().numpy()


def same_logits(path, model, what, bound=2e-4, lengths=(1, 7, 64, 65)):
    tool = Tool("logits", path)
    rng = np.random.default_rng(5)
    vocab = model.config.vocab_size
    worst = 0.0
    for n in lengths:
        tokens = rng.integers(0, vocab, min(n, model.config.n_positions)).tolist()
        got, want = np.array(tool.logits(tokens)), theirs(model, tokens)
        worst = max(worst, np.abs(got - want).max()) if np.isfinite(got).all() else np.inf
    check(worst <= bound, f"{what}: logits within {worst:.1e}")


def same_text(path, model, what, n=40):
    prompt = [5, 3, 8, 1]
    n = min(n, model.config.n_positions - len(prompt))
    with torch.no_grad():
        want = model.generate(torch.tensor([prompt]), max_new_tokens=n, do_sample=False,
                              attention_mask=torch.ones(1, 4, dtype=torch.long), pad_token_id=0)[0].tolist()
    got = weft("generate", "--model", path, "--prompt", " ".join(map(str, prompt)), "--tokens", n,
               "--temperature", 0).decode().split()
    check(list(map(int, got)) == want, f"{what}: the same greedy text of {n} tokens")


def foreign_folders():
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        for shards in (False, True):
            model = random_model(3, 4, 64, 301, 70, seed=2).to(dtype)
            with scratch() as dir:
                model.save_pretrained(dir, max_shard_size="100KB" if shards else "5GB")
                many = os.path.exists(os.path.join(dir, "model.safetensors.index.json"))
                check(many == shards, f"transformers wrote {'many files' if shards else 'one file'}")
                again = GPT2LMHeadModel.from_pretrained(dir, dtype=torch.float32).eval()
                what = f"{dtype}, {'shards' if shards else 'whole'}"
                same_logits(dir, again, what)
                same_text(dir, again, what)
    for more in ({"activation_function": "gelu"}, {"activation_function": "relu"},
                 {"tie_word_embeddings": False}, {"layer_norm_epsilon": 1e-3}):
        model = random_model(2, 2, 32, 97, 40, seed=3, **more)
        with scratch() as dir:
            model.save_pretrained(dir)
            same_logits(dir, model, str(more))


def back_again():
    """transformers -> weft -> transformers: in f32 the same bits, else what torch rounds to."""
    model = random_model(3, 4, 64, 301, 70, seed=4)
    with scratch() as dir:
        source = os.path.join(dir, "source")
        model.save_pretrained(source)
        for dtype, name in ((torch.float32, "f32"), (torch.float16, "f16"), (torch.bfloat16, "bf16")):
            out = os.path.join(dir, name)
            weft("convert", source, out, "--dtype", name)
            loaded = AutoModelForCausalLM.from_pretrained(out)
            same = all(torch.equal(a.to(dtype), b) and b.dtype == dtype
                       for a, b in zip(model.state_dict().values(), loaded.state_dict().values()))
            check(same, f"AutoModelForCausalLM loads {name} from weft, the same weights")
        out = os.path.join(dir, "shards")
        big = random_model(4, 4, 256, 1000, 70, seed=4)
        big.save_pretrained(source)
        weft("convert", source, out, "--shard-mib", 3)
        files = [f for f in os.listdir(out) if f.startswith("model-")]
        loaded = AutoModelForCausalLM.from_pretrained(out)
        same = all(torch.equal(a, b) for a, b in zip(big.state_dict().values(), loaded.state_dict().values()))
        check(same and len(files) > 2, f"and from {len(files)} files")
        same_logits(out, big, "weft reads its own shards")


def trained_by_weft():
    text = english(60_000, 9)
    with scratch() as dir:
        path = os.path.join(dir, "text")
        open(path, "w").write(text)
        weft("data", "train-bpe", path, "--vocab", 600, "--out", os.path.join(dir, "bpe"))
        for kind, tokenizer in (("byte", "byte"), ("char", "char"), ("bpe", os.path.join(dir, "bpe"))):
            run = os.path.join(dir, kind)
            weft("train", "gpt2", "--data", path, "--tokenizer", tokenizer, "--layers", 3, "--heads", 4,
                 "--width", 64, "--context", 96, "--batch", 8, "--steps", 120, "--lr", 3e-3, "--out", run)
            last = os.path.join(run, "checkpoints", "last")
            model = AutoModelForCausalLM.from_pretrained(last).eval()
            check(isinstance(model, GPT2LMHeadModel), f"{kind}: AutoModelForCausalLM loads a checkpoint")
            same_logits(last, model, kind, lengths=(1, 40, 96))
            auto = AutoTokenizer.from_pretrained(last)
            sample = text[100:160]
            ids = auto(sample)["input_ids"]
            check(auto.decode(ids) == sample and max(ids) < model.config.vocab_size,
                  f"{kind}: AutoTokenizer loads, and comes back ({type(auto).__name__})")
            prompt = text[:20]
            start = torch.tensor([auto(prompt)["input_ids"]])
            with torch.no_grad():
                out = model.generate(start, max_new_tokens=60, do_sample=False, pad_token_id=0,
                                     attention_mask=torch.ones_like(start))
            want = auto.decode(out[0], skip_special_tokens=True)
            got = weft("generate", "--model", last, "--prompt", prompt, "--tokens", 60, "--temperature",
                       0).decode()[:-1]
            check(got == want, f"{kind}: the same greedy text")


def goes_on():
    """The first loss of a training from an imported model is transformers' on the same tokens."""
    model = random_model(2, 4, 64, 256, 64, seed=6, resid_pdrop=0.0)
    text = english(20_000, 10).encode("ascii")
    with scratch() as dir:
        source, data, run = (os.path.join(dir, n) for n in ("source", "text", "run"))
        model.save_pretrained(source)
        open(data, "wb").write(text)
        weft("train", "gpt2", "--init-from", source, "--data", data, "--steps", 30, "--batch", 4, "--seq", 64,
             "--lr", 1e-3, "--out", run, "--val-fraction", 0.2, "--eval-every", 30, "--eval-samples", 0)
        lines = [json.loads(l) for l in open(os.path.join(run, "metrics.jsonl"))]
        scored = json.loads(weft("eval", "--model", source, "--tokenizer", "byte", "--data", data,
                                 "--val-fraction", 0.2, "--batch", 4, "--json"))
        val = list(text[len(text) - int(len(text) * 0.2):])
        windows = (len(val) - 1) // 64
        x = torch.tensor([val[64 * i:64 * i + 64] for i in range(windows)])
        y = torch.tensor([val[64 * i + 1:64 * i + 65] for i in range(windows)])
        with torch.no_grad():
            want = torch.nn.functional.cross_entropy(model(x).logits.view(-1, 256), y.view(-1)).item()
        check(abs(scored["loss"] - want) < 1e-4, f"eval of an import: {scored['loss']:.5f} and {want:.5f}")
        check(lines[-1]["val_loss"] < want - 1, f"training goes on: {want:.3f} -> {lines[-1]['val_loss']:.3f}")
        loaded = AutoModelForCausalLM.from_pretrained(os.path.join(run, "checkpoints", "last"))
        check(loaded.config.n_layer == 2, "and what it wrote loads")


def llmc_bytes(model, dtype):
    """As llm.c's train_gpt2.py lays it out: each parameter of all layers together, (out, in)."""
    c, s = model.config, model.state_dict()
    padded = (c.vocab_size + 127) // 128 * 128
    wte = torch.zeros(padded, c.n_embd)
    wte[:c.vocab_size] = s["transformer.wte.weight"]
    parts = [wte, s["transformer.wpe.weight"]]
    for name in ("ln_1.weight", "ln_1.bias", "attn.c_attn.weight", "attn.c_attn.bias", "attn.c_proj.weight",
                 "attn.c_proj.bias", "ln_2.weight", "ln_2.bias", "mlp.c_fc.weight", "mlp.c_fc.bias",
                 "mlp.c_proj.weight", "mlp.c_proj.bias"):
        for i in range(c.n_layer):
            w = s[f"transformer.h.{i}.{name}"]
            parts.append(w.t().contiguous() if w.ndim == 2 else w)
    parts += [s["transformer.ln_f.weight"], s["transformer.ln_f.bias"]]
    header = [20240326, 3 if dtype == torch.float32 else 5, c.n_positions, c.vocab_size, c.n_layer, c.n_head,
              c.n_embd, padded] + [0] * 248
    data = b"".join(p.to(dtype).contiguous().view(torch.uint8).numpy().tobytes() for p in parts)
    return struct.pack("<256i", *header) + data


def llmc():
    model = random_model(3, 4, 64, 301, 70, seed=8)
    with scratch() as dir:
        source = os.path.join(dir, "source")
        model.save_pretrained(source)
        for dtype, name in ((torch.float32, "f32"), (torch.bfloat16, "bf16")):
            path = os.path.join(dir, name + ".bin")
            weft("convert", source, path, "--dtype", name)
            want = llmc_bytes(model, dtype)
            check(open(path, "rb").read() == want, f"llm.c, {name}: the bytes of its own exporter")
            rounded = GPT2LMHeadModel(model.config).eval()
            rounded.load_state_dict({k: v.to(dtype).float() for k, v in model.state_dict().items()})
            same_logits(path, rounded, f"llm.c, {name}: read")
            folder = os.path.join(dir, name)
            weft("convert", path, folder)
            loaded = AutoModelForCausalLM.from_pretrained(folder)
            check(all(torch.equal(a, b) for a, b in zip(rounded.state_dict().values(),
                                                        loaded.state_dict().values())),
                  f"llm.c, {name}: into a folder")


def known_sizes():
    for name, (layers, heads, width) in SIZES.items():
        if name == "gpt2-1.5b" and os.environ.get("WEFT_PARITY_HUGE") != "1":
            continue
        model = random_model(layers, heads, width, 50257, 1024, seed=1)
        with scratch() as dir:
            model.save_pretrained(dir)
            same_logits(dir, model, name, lengths=(1, 65))
            same_text(dir, model, name, 16)
        del model


if __name__ == "__main__":
    print("transformers", transformers.__version__, "torch", torch.__version__)
    torch.set_num_threads(2)
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    foreign_folders()
    back_again()
    trained_by_weft()
    goes_on()
    llmc()
    if SLOW:
        known_sizes()
    done()
