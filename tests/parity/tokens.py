"""Tokens of GPT-2: weft, tiktoken and Hugging Face give the same for any text, special tokens and
invalid bytes included; vocabularies trained by weft have the merges of Hugging Face's trainer."""
import json
import os
import random
import time
import tiktoken
import tokenizers
from tiktoken.load import data_gym_to_mergeable_bpe_ranks
from tokenizers import ByteLevelBPETokenizer, Tokenizer, models, pre_tokenizers, trainers

from common import (SLOW, VOCABULARY, Tool, any_text, check, done, english, scratch, weft)

END = "<|endoftext|>"
PATTERN = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""


def first_difference(a, b):
    i = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    return f" (from token {i}: {a[i:i + 5]} and {b[i:i + 5]})" if a != b else ""


def each_character():
    """Every code point among letters, numbers, blanks and others, and twice in a row."""
    out = []
    for code in range(0x110000):
        if 0xd800 <= code < 0xe000:
            continue
        c = chr(code)
        out.append(f"x{c}y {c}1{c} {c}{c}!{c}\n")
    return out


def same_text(tool, enc, hf, text, what):
    ours = tool.tokens(text.encode())
    tik = enc.encode_ordinary(text)
    check(ours == tik, f"tiktoken: {what}" + first_difference(ours, tik))
    theirs = hf.encode(text).ids
    check(ours == theirs, f"tokenizers: {what}" + first_difference(ours, theirs))


def small_texts(tool, enc, hf):
    bad = 0
    for seed in range(4000 if SLOW else 1000):
        text = any_text(random.Random(seed).randrange(0, 24), seed)
        ours = tool.tokens(text.encode())
        bad += ours != enc.encode_ordinary(text) or ours != hf.encode(text).ids
    check(bad == 0, f"short texts of any characters ({bad} differ)")


def special_tokens(enc, hf):
    tool = Tool("encode", VOCABULARY, "special")
    for text in [END, "a" + END, END + END, "  " + END + " b\n", "<|endoftext|" + END, "<|endoftext",
                 "x " + END + "\n\n" + END + "y's", "<" + END + ">"]:
        ours = tool.tokens(text.encode())
        check(ours == enc.encode(text, allowed_special="all") == hf.encode(text).ids,
              f"special tokens in {text!r}")
    plain = Tool("encode", VOCABULARY, "plain")
    check(plain.tokens(b"a" + END.encode()) == enc.encode_ordinary("a" + END), "special tokens as text")


def invalid_bytes(tool, enc):
    """The pieces are those of the text with U+FFFD for each bad byte, the bytes those that were there."""
    rng = random.Random(3)
    bad = 0
    for _ in range(2000):
        data = bytearray(any_text(rng.randrange(1, 30), rng.random()).encode())
        for _ in range(rng.randrange(0, 5)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        if rng.random() < 0.3:
            data = data[:rng.randrange(1, len(data) + 1)]
        ours = tool.tokens(bytes(data))
        bad += enc.decode_bytes(ours) != bytes(data)
        if bytes(data).decode(errors="replace").encode() == bytes(data):
            bad += ours != enc.encode_ordinary(bytes(data).decode())
    check(bad == 0, f"invalid UTF-8 comes back ({bad} do not)")


def speed(enc, hf, text):
    """Not a benchmark: that the order of magnitude is right, from one process each."""
    with scratch() as dir:
        path = os.path.join(dir, "text")
        open(path, "w").write(text)
        start = time.time()
        weft("data", "tokenize", path, "--tokenizer", VOCABULARY, "--out", dir, "--token-format", "nanogpt")
        ours = time.time() - start
    start = time.time()
    enc.encode_ordinary(text)
    theirs = time.time() - start
    mb = len(text.encode()) / 1e6
    print(f"        {mb:.1f} MB: weft {mb / ours:.1f} MB/s with files and start, tiktoken {mb / theirs:.1f}")


def gpt2_vocabulary():
    if not VOCABULARY:
        print("        GPT-2's vocabulary is not there: left out")
        return
    ranks = data_gym_to_mergeable_bpe_ranks(os.path.join(VOCABULARY, "vocab.bpe"),
                                            os.path.join(VOCABULARY, "encoder.json"))
    enc = tiktoken.Encoding("gpt2", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={END: 50256})
    hf = ByteLevelBPETokenizer.from_file(os.path.join(VOCABULARY, "encoder.json"),
                                         os.path.join(VOCABULARY, "vocab.bpe"))
    hf.add_special_tokens([END])
    tool = Tool("encode", VOCABULARY, "plain")
    same_text(tool, enc, hf, english(400_000), "text")
    same_text(tool, enc, hf, any_text(100_000, 1), "any characters")
    same_text(tool, enc, hf, "a" * 30_000 + " " * 3000 + "\n" * 999 + "ab" * 9999, "long words")
    characters = each_character()
    same_text(tool, enc, hf, "".join(characters), "every code point")
    small_texts(tool, enc, hf)
    special_tokens(enc, hf)
    invalid_bytes(tool, enc)
    speed(enc, hf, english(20_000_000 if SLOW else 4_000_000, 2))


def splits():
    """Where words end, for every code point, by a vocabulary of pairs of bytes, which shows each end.
    The Unicode versions of the three differ: what two of them call letters, numbers, and others must
    be what weft does."""
    spell = {b: c for c, b in zip(sorted(pre_tokenizers.ByteLevel.alphabet()),
                                  [*range(33, 127), *range(161, 173), *range(174, 256), *range(33),
                                   *range(127, 161), 173])}
    ranks = {bytes([b]): b for b in range(256)}
    for a in range(255):
        for b in range(256):
            ranks[bytes([a, b])] = len(ranks)
    with scratch() as dir:
        json.dump({"".join(spell[b] for b in k): i for k, i in ranks.items()},
                  open(os.path.join(dir, "vocab.json"), "w"))
        open(os.path.join(dir, "merges.txt"), "w").write(
            "".join(f"{spell[k[0]]} {spell[k[1]]}\n" for k in ranks if len(k) == 2))
        enc = tiktoken.Encoding("pairs", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={})
        hf = ByteLevelBPETokenizer.from_file(os.path.join(dir, "vocab.json"),
                                             os.path.join(dir, "merges.txt"))
        tool = Tool("encode", dir, "plain")
        alone, parted = [], 0
        for text in each_character():
            ours, a, b = tool.tokens(text.encode()), enc.encode_ordinary(text), hf.encode(text).ids
            if ours not in (a, b):
                alone.append(f"U+{ord(text[1]):04X}")
            parted += a != b
    check(not alone, f"ends of words of every code point; {parted} are of other kinds for tiktoken and "
          f"for tokenizers, {len(alone)} for weft alone {' '.join(alone[:9])}")


def same_merges(text, vocab, lines, min_count=0):
    with scratch() as dir:
        path = os.path.join(dir, "text")
        open(path, "w", newline="").write(text)
        hf = Tokenizer(models.BPE())
        hf.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(vocab_size=vocab, special_tokens=[END], show_progress=False,
                                      min_frequency=min_count,
                                      initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
        start = time.time()
        if lines:
            hf.train([path], trainer)
        else:
            hf.train_from_iterator([text], trainer)
        theirs = time.time() - start
        start = time.time()
        weft("data", "train-bpe", path, "--vocab", vocab, "--out", dir, "--min-count", min_count,
             *([] if lines else ["--whole-text"]))
        ours = time.time() - start
        hf.model.save(dir, "theirs")
        want = open(os.path.join(dir, "theirs-merges.txt")).read().split("\n")[1:]
        got = open(os.path.join(dir, "merges.txt")).read().split("\n")[1:]
        check(got == want and len(got) > 100, f"merges of {len(text)} characters, vocabulary {vocab}, "
              f"{'lines' if lines else 'whole'}: {len(got)}; {theirs / ours:.1f} times as fast"
              + first_difference(got, want))
        again = Tokenizer.from_file(os.path.join(dir, "tokenizer.json"))
        tool = Tool("encode", os.path.join(dir, "tokenizer.json"), "special")
        sample = text[:20000] + END + any_text(2000, 7)
        check(again.encode(sample).ids == tool.tokens(sample.encode()), "and the tokens of both")
        check(again.decode(again.encode(sample).ids, skip_special_tokens=False) == sample, "and back")


def trained():
    text = english(300_000, 3)
    same_merges(text, 3000, True)
    same_merges(text, 3000, False)
    same_merges("ab" * 3000 + " aaaa aaa aa a\n\n\n" * 500 + any_text(20_000, 4), 1500, False)
    same_merges(any_text(60_000, 5), 4000, True, 2)
    same_merges(english(3000, 6), 60_000, True)  # until nothing is left
    if SLOW:
        same_merges(english(20_000_000, 8), 50_257, True)


if __name__ == "__main__":
    print("tiktoken", tiktoken.__version__, "tokenizers", tokenizers.__version__)
    gpt2_vocabulary()
    if SLOW:
        splits()
    trained()
    done()
