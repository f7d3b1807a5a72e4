#include "train/bpe_split.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include "train/utf8.h"

struct weft_splitter {
    pcre2_code *code;
    bool jit;
};

/* PCRE2's own \s has U+180E too, which Unicode took from White_Space in 6.3. */
#define SPACE                                                                                      \
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}"    \
    "\\x{205f}\\x{3000}"

/* Letters and numbers that Unicode 15 and 16 added: the PCRE2 that is there may be older, and the
 * same text must have the same tokens. */
#define R(lo, hi) "\\x{" #lo "}-\\x{" #hi "}"
#define NEW_LETTERS                                                                                \
    R(1c89, 1c8a)                                                                                  \
    R(a7cb, a7cd) R(a7da, a7dc) R(105c0, 105f3) R(10d4a, 10d65) R(10d6f, 10d85) R(10ec2, 10ec4)    \
        R(1123f, 11240) R(11380, 11389) R(1138b, 1138b) R(1138e, 1138e) R(11390, 113b5)            \
            R(113b7, 113b7) R(113d1, 113d1) R(113d3, 113d3) R(11bc0, 11be0) R(11f02, 11f02)        \
                R(11f04, 11f10) R(11f12, 11f33) R(1342f, 1342f) R(13441, 13446) R(13460, 143fa)    \
                    R(16100, 1611d) R(16d40, 16d6c) R(18cff, 18cff) R(1b132, 1b132)                \
                        R(1b155, 1b155) R(1df25, 1df2a) R(1e030, 1e06d) R(1e4d0, 1e4eb)            \
                            R(1e5d0, 1e5ed) R(1e5f0, 1e5f0) R(2b739, 2b739) R(2ebf0, 2ee5d)        \
                                R(31350, 323af)
#define NEW_NUMBERS                                                                                \
    R(10d40, 10d49)                                                                                \
    R(116d0, 116e3) R(11bf0, 11bf9) R(11f50, 11f59) R(16130, 16139) R(16d70, 16d79)                \
        R(1ccf0, 1ccf9) R(1d2c0, 1d2d3) R(1e4f0, 1e4f9) R(1e5f1, 1e5fa)

#define LETTER "\\p{L}" NEW_LETTERS
#define NUMBER "\\p{N}" NEW_NUMBERS
static const char pattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?[" LETTER "]+| ?[" NUMBER "]+"
                              "| ?[^" SPACE LETTER NUMBER "]+"
                              "|[" SPACE "]+(?![^" SPACE "])|[" SPACE "]+";

#define OTHER '\x01' /* neither letter nor number nor space */

enum weft_status weft_splitter_create(weft_ctx *ctx, weft_splitter **out) {
    weft_splitter *s = calloc(1, sizeof *s);
    int error = 0;
    PCRE2_SIZE at = 0;
    if (!s) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory for a tokenizer");
    s->code = pcre2_compile((PCRE2_SPTR)pattern, sizeof pattern - 1,
                            PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &error, &at, NULL);
    if (!s->code) {
        PCRE2_UCHAR text[128] = "";
        pcre2_get_error_message(error, text, sizeof text);
        free(s);
        return weft_ctx_fail(ctx, WEFT_ERR_INTERNAL, "PCRE2 refuses GPT-2's pattern: %s",
                             (const char *)text);
    }
    s->jit = pcre2_jit_compile(s->code, PCRE2_JIT_COMPLETE) == 0;
    *out = s;
    return WEFT_OK;
}

void weft_splitter_free(weft_splitter *s) {
    if (!s) return;
    pcre2_code_free(s->code);
    free(s);
}

/* Bytes that are valid UTF-8 from the start on. */
static size_t valid_prefix(const char *text, size_t size) {
    size_t at = 0;
    while (at < size) {
        uint64_t eight;
        if (size - at >= 8) {
            memcpy(&eight, text + at, 8);
            if ((eight & 0x8080808080808080u) == 0) {
                at += 8;
                continue;
            }
        }
        uint32_t code;
        const size_t n = weft_utf8_decode(text + at, size - at, &code);
        if (n == 0) break;
        at += n;
    }
    return at;
}

/* A copy in which every byte that is not UTF-8 is a control character: the splits are those of a
 * text with U+FFFD in their place. */
static char *with_controls(const char *text, size_t size, size_t at) {
    char *copy = malloc(size);
    if (!copy) return NULL;
    memcpy(copy, text, size);
    while (at < size) {
        copy[at++] = OTHER;
        at += valid_prefix(text + at, size - at);
    }
    return copy;
}

enum weft_status weft_words_open(weft_ctx *ctx, const weft_splitter *s, const char *text,
                                 size_t size, struct weft_words *out) {
    struct weft_words w = {.splitter = s, .text = text, .seen = text, .size = size};
    const size_t valid = valid_prefix(text, size);
    if (valid < size) w.seen = w.own = with_controls(text, size, valid);
    w.match = pcre2_match_data_create(1, NULL);
    if (!w.match || !w.seen) {
        weft_words_close(&w);
        return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory for a text of %zu bytes", size);
    }
    *out = w;
    return WEFT_OK;
}

void weft_words_close(struct weft_words *w) {
    pcre2_match_data_free(w->match);
    free(w->own);
    *w = (struct weft_words){.size = 0};
}

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/* ASCII letters, maybe after a blank, that end before another ASCII character or with the text: no
 * other branch of the pattern can begin there. 0: PCRE2 must look. */
static size_t ascii_word(const char *text, size_t size) {
    size_t n = text[0] == ' ';
    const size_t first = n;
    while (n < size && is_letter(text[n])) n++;
    return n > first && (n == size || (unsigned char)text[n] < 0x80) ? n : 0;
}

size_t weft_words_next(struct weft_words *w, size_t *from) {
    if (w->at == w->size) return 0;
    *from = w->at;
    size_t n = w->plain ? 0 : ascii_word(w->seen + w->at, w->size - w->at);
    if (n == 0) {
        const weft_splitter *s = w->splitter;
        const PCRE2_SPTR text = (PCRE2_SPTR)w->seen;
        const int found =
            s->jit ? pcre2_jit_match(s->code, text, w->size, w->at, 0, w->match, NULL)
                   : pcre2_match(s->code, text, w->size, w->at, PCRE2_NO_UTF_CHECK, w->match, NULL);
        const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(w->match);
        // every character is of some branch: only a match limit could fail, and then the rest is
        // one
        n = found > 0 && ends[1] > w->at ? ends[1] - w->at : w->size - w->at;
    }
    w->at += n;
    return n;
}
