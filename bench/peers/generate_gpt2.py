#!/usr/bin/env python3
"""Generation by GPT-2 in llama.cpp (llama-cpp-python; the model is a GGUF file) or in Hugging Face's
transformers (a model's folder): decode, milliseconds a token after a prompt of 64, means over 16 tokens; prefill,
milliseconds of a prompt of which the logits of the last token are wanted.
Prints one JSON object: {"step_ms": [...], "version": ...}."""
import argparse
import json
import time


class LlamaCpp:
    def __init__(self, a):
        import llama_cpp
        context = 128 if a.what == "decode" else a.tokens
        self.version = llama_cpp.__version__
        self.model = llama_cpp.Llama(a.model, n_ctx=context, n_batch=context, n_threads=a.threads,
                                     n_threads_batch=a.threads, flash_attn=a.what == "prefill", verbose=False)

    def prompt(self, tokens):
        self.model.reset()
        self.model.eval(tokens)

    def token(self, token):
        self.model.eval([token])


class Transformers:
    def __init__(self, a):
        import torch
        import transformers
        torch.set_num_threads(a.threads)
        torch.set_grad_enabled(False)
        dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[a.dtype]
        self.version = f"{transformers.__version__}, torch {torch.__version__}"
        self.tensor = torch.tensor
        self.model = transformers.AutoModelForCausalLM.from_pretrained(a.model, dtype=dtype).eval()

    def prompt(self, tokens):
        self.state = self.model(self.tensor([tokens]), use_cache=True, logits_to_keep=1)

    def token(self, token):
        self.state = self.model(self.tensor([[token]]), use_cache=True,
                                past_key_values=self.state.past_key_values)


def prompt_of(n):
    return [(i * 7919 + 11) % 50000 for i in range(n)]


def timed(work, units=1):
    start = time.perf_counter()
    for i in range(units):
        work(i)
    return (time.perf_counter() - start) * 1000 / units


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("library", choices=["llamacpp", "transformers"])
    args.add_argument("what", choices=["decode", "prefill"])
    args.add_argument("--model", required=True, metavar="FILE.gguf|DIR")
    args.add_argument("--dtype", choices=["f32", "bf16"], default="f32", help="of transformers")
    args.add_argument("--tokens", type=int, default=1024, help="of the prompt of prefill")
    args.add_argument("--steps", type=int, default=6)
    args.add_argument("--threads", type=int, default=2)
    a = args.parse_args()
    library = {"llamacpp": LlamaCpp, "transformers": Transformers}[a.library](a)
    times = []
    for _ in range(a.steps):
        if a.what == "prefill":
            times.append(timed(lambda i: library.prompt(prompt_of(a.tokens))))
        else:
            library.prompt(prompt_of(64))
            times.append(timed(lambda i: library.token(i * 31 % 50000), 16))
    print(json.dumps({"step_ms": times, "version": library.version}))


if __name__ == "__main__":
    main()
