"""GGUF: llama.cpp loads what weft converts, splits prompts into the same tokens, and writes the same
greedy text, in f32, f16, bf16 and q8_0."""
import os

import numpy as np
import llama_cpp
from llama_cpp import Llama

from common import Tool, check, done, scratch, weft


def greedy(llama, tokens, n):
    llama.reset()
    llama.eval(tokens)
    out = []
    for _ in range(n):
        logits = np.ctypeslib.as_array(llama_cpp.llama_get_logits(llama.ctx), (llama.n_vocab(),))
        out.append(int(np.argmax(logits)))
        llama.eval(out[-1:])
    return out


def open_llama(path):
    return Llama(path, n_ctx=96, n_batch=96, n_threads=2, verbose=os.environ.get("WEFT_VERBOSE") == "1")


def same(model, dir, dtypes, prompt, n, encode):
    for dtype in dtypes:
        path = os.path.join(dir, f"model-{dtype}.gguf")
        weft("convert", model, path, "--dtype", dtype)
        llama = open_llama(path)
        if encode:
            ids = llama.tokenize(prompt.encode(), add_bos=False, special=True)
            check(ids == encode(prompt), f"{dtype}: the tokens of the prompt")
        else:
            ids = list(prompt.encode())
        want = weft("generate", "--model", model, "--prompt", prompt, "--tokens", n, "--temperature",
                    0).decode()[len(prompt):-1]
        tokens = greedy(llama, ids, n)
        got = llama.detokenize(tokens, prev_tokens=ids).decode(errors="replace")
        check(got == want and len(set(tokens)) > 12,
              f"{dtype}: the same greedy text of {n} tokens ({got[:40]!r})")
        logits = np.array(Tool("logits", model).logits(ids))
        llama.reset()
        llama.eval(ids)
        theirs = np.ctypeslib.as_array(llama_cpp.llama_get_logits(llama.ctx), (llama.n_vocab(),))
        print(f"        {dtype}: logits within {np.abs(theirs - logits).max():.1e}")


def main():
    print("llama-cpp-python", llama_cpp.__version__)
    text = ("Twelve grey geese flew over the quiet harbour; nobody counted them. Pack my box with five dozen "
            "jugs, said Max, and quickly went below.\n") * 1200  # learnt by heart: not one word repeated
    with scratch() as dir:
        path = os.path.join(dir, "text")
        open(path, "w").write(text)
        weft("data", "train-bpe", path, "--vocab", 600, "--out", os.path.join(dir, "bpe"))
        for kind in ("bpe", "byte"):
            tokenizer = os.path.join(dir, "bpe") if kind == "bpe" else "byte"
            run = os.path.join(dir, "run-" + kind)
            weft("train", "gpt2", "--data", path, "--tokenizer", tokenizer, "--layers", 3, "--heads", 4,
                 "--width", 64, "--context", 96, "--batch", 8, "--steps", 250, "--lr", 4e-3,
                 "--out", run)
            tool = Tool("encode", os.path.join(dir, "bpe"), "special") if kind == "bpe" else None
            print(kind)
            same(os.path.join(run, "checkpoints", "last"), dir, ("f32", "f16", "bf16", "q8_0"), text[:24], 40,
                 (lambda t: tool.tokens(t.encode())) if tool else None)
    done()


if __name__ == "__main__":
    main()
