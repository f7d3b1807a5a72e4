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
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}"      \
    "\\x{205f}\\x{3000}"
static const char pattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+"
                              "| ?[^" SPACE "\\p{L}\\p{N}]+|[" SPACE "]+(?![^" SPACE "])|[" SPACE "]+";

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

/* A copy in which every byte that is not UTF-8 is a control character: the splits are those of a text
 * with U+FFFD in their place. */
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
        // every character is of some branch: only a match limit could fail, and then the rest is one
        n = found > 0 && ends[1] > w->at ? ends[1] - w->at : w->size - w->at;
    }
    w->at += n;
    return n;
}
