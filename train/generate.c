#include "train/generate.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct writer {
    const struct weft_generation *g;
    struct weft_sampler sampler;
    int32_t *text; /* all tokens so far, and room for those to come */
    size_t n;
    size_t fed;    /* of the current window: positions 0..fed-1 are in the cache */
    size_t window; /* where the window begins in text */
    float *logits; /* (vocab) */
};

/* ---- the prompt ---- */

/* "12 7 99": what a model without a tokenizer understands. */
static enum weft_status parse_numbers(const struct weft_generation *g, const char *prompt,
                                      int32_t *out, size_t *n) {
    *n = 0;
    for (const char *at = prompt; *at;) {
        char *end;
        errno = 0;
        const unsigned long token = strtoul(at, &end, 10);
        if (end == at || errno || *at == '-' || token >= g->vocab)
            return weft_ctx_fail(g->ctx, WEFT_ERR_ARG,
                                 "the model has no tokenizer: the prompt must be tokens from 0 to "
                                 "%zu between blanks, not '%s'",
                                 g->vocab - 1, at);
        out[(*n)++] = (int32_t)token;
        at = end + strspn(end, " \t\n,");
    }
    return WEFT_OK;
}

static enum weft_status encode(const struct weft_generation *g, const char *prompt, int32_t *out,
                               size_t *n) {
    uint16_t *tokens = NULL;
    const enum weft_status st = weft_tokenizer_encode(g->ctx, g->tokenizer, "the prompt", prompt,
                                                      strlen(prompt), &tokens, n);
    for (size_t i = 0; st == WEFT_OK && i < *n; i++) out[i] = tokens[i];
    free(tokens);
    return st;
}

/* What stands before a text that begins: a line break, else the first token. */
static void begin_text(const struct weft_generation *g, int32_t *out, size_t *n) {
    out[0] = 0;
    if (!g->tokenizer || encode(g, "\n", out, n) != WEFT_OK || *n == 0) *n = 1;
}

static enum weft_status start(struct writer *w, const char *prompt, size_t tokens) {
    const struct weft_generation *g = w->g;
    const size_t most = strlen(prompt) + 1; // tokens of the prompt: at most one a byte
    w->sampler = (struct weft_sampler){
        .temperature = g->temperature, .top_k = g->top_k, .top_p = g->top_p, .seed = g->seed};
    if (tokens < SIZE_MAX / 8 - most) w->text = malloc((most + tokens) * sizeof *w->text);
    w->logits = malloc(g->vocab * sizeof *w->logits);
    if (!w->text || !w->logits)
        return weft_ctx_fail(g->ctx, WEFT_ERR_NOMEM, "out of memory for %zu tokens", tokens);
    const size_t choices = g->tokenizer ? g->tokenizer->size : g->vocab; // no padding
    enum weft_status st = weft_sampler_init(g->ctx, &w->sampler, choices);
    if (st == WEFT_OK)
        st = g->tokenizer ? encode(g, prompt, w->text, &w->n)
                          : parse_numbers(g, prompt, w->text, &w->n);
    if (st == WEFT_OK && w->n == 0) begin_text(g, w->text, &w->n);
    return st;
}

/* ---- writing on ---- */

/* Logits after the last token. When the window is full a new one begins: the last half of the
 * context is read again from position 0. */
static enum weft_status look(struct writer *w) {
    const struct weft_generation *g = w->g;
    if (w->n - w->window > g->context) {
        const size_t half = g->context / 2 > 0 ? g->context / 2 : 1;
        w->window = w->n - half;
        w->fed = 0;
    }
    const size_t pos = w->fed, n = w->n - w->window - pos;
    w->fed += n;
    return weft_model_infer(g->model, w->text + w->window + pos, n, pos, w->logits);
}

static bool put_token(const struct weft_generation *g, uint32_t token) {
    char text[16];
    const size_t size = g->tokenizer ? weft_tokenizer_decode(g->tokenizer, token, text)
                                     : (size_t)snprintf(text, sizeof text, "%" PRIu32 " ", token);
    return size == 0 || g->put(g->user, text, size);
}

static enum weft_status write_on(struct writer *w, size_t tokens) {
    for (size_t i = 0; i < tokens; i++) {
        const enum weft_status st = look(w);
        if (st != WEFT_OK) return st;
        const uint32_t token = weft_sample(&w->sampler, w->logits, i);
        w->text[w->n++] = (int32_t)token;
        if (!put_token(w->g, token)) break;
    }
    return WEFT_OK;
}

enum weft_status weft_generate(const struct weft_generation *g, const char *prompt, size_t tokens) {
    struct writer w = {.g = g};
    enum weft_status st = start(&w, prompt, tokens);
    const size_t size = strlen(prompt);
    bool more = size == 0 || (st == WEFT_OK && g->put(g->user, prompt, size));
    if (more && size > 0 && !g->tokenizer) more = g->put(g->user, " ", 1);
    if (st == WEFT_OK && more) st = write_on(&w, tokens);
    weft_sampler_free(&w.sampler);
    free(w.text);
    free(w.logits);
    return st;
}
