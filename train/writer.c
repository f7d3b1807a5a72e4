#include "train/writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "train/text_out.h"

struct writer_text {
    struct writer_text *next, **back;
    weft_writer *w;
    struct weft_prompt prompt;
    struct weft_text_out out;
    size_t made;
    enum weft_finish finish;
};

struct weft_writer {
    weft_ctx *ctx;
    struct weft_writing how;
    weft_generator *generator;
    struct writer_text *first;
    bool failed; /* out of memory in the middle of a text */
};

const char *weft_finish_name(enum weft_finish finish) {
    static const char *const names[] = {"length", "stop", "end"};
    return names[finish];
}

static enum weft_status no_memory(weft_ctx *ctx) {
    return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory for a text");
}

enum weft_status weft_writer_create(weft_ctx *ctx, const struct weft_writing *how,
                                    weft_writer **out) {
    weft_writer *w = calloc(1, sizeof *w);
    if (!w) return no_memory(ctx);
    w->ctx = ctx;
    w->how = *how;
    const size_t choices = how->tokenizer ? how->tokenizer->size : how->vocab; // no padding
    const enum weft_status st = weft_generate_create(how->model, choices, &w->generator);
    if (st != WEFT_OK) {
        free(w);
        return st;
    }
    *out = w;
    return WEFT_OK;
}

static void free_text(struct writer_text *t) {
    *t->back = t->next;
    if (t->next) t->next->back = t->back;
    free(t->out.held);
    free(t);
}

void weft_writer_free(weft_writer *w) {
    if (!w) return;
    weft_generate_free(w->generator);
    while (w->first) free_text(w->first);
    free(w);
}

/* ---- the prompt ---- */

/* "12 7 99": what a model without a tokenizer understands. */
static enum weft_status parse_numbers(const weft_writer *w, const char *name, const char *text,
                                      size_t size, int32_t *out, size_t *n) {
    *n = 0;
    for (size_t at = 0; at < size;) {
        uint64_t token = 0;
        size_t digits = 0;
        for (; at + digits < size && text[at + digits] >= '0' && text[at + digits] <= '9' &&
               token < w->how.vocab;
             digits++)
            token = 10 * token + (uint64_t)(text[at + digits] - '0');
        if (digits == 0 || token >= w->how.vocab)
            return weft_ctx_fail(
                w->ctx, WEFT_ERR_ARG,
                "%s: the model has no tokenizer: the prompt must be tokens from 0 to "
                "%zu between blanks, not '%.*s'",
                name, w->how.vocab - 1, (int)(size - at < 40 ? size - at : 40), text + at);
        out[(*n)++] = (int32_t)token;
        for (at += digits; at < size && strchr(" \t\n,", text[at]) && text[at];) at++;
    }
    return WEFT_OK;
}

static enum weft_status encode(const weft_writer *w, const char *name, const char *text,
                               size_t size, int32_t *out, size_t *n) {
    uint16_t *tokens = NULL;
    const enum weft_status st =
        weft_tokenizer_encode(w->ctx, w->how.tokenizer, name, text, size, &tokens, n);
    for (size_t i = 0; st == WEFT_OK && i < *n; i++) out[i] = tokens[i];
    free(tokens);
    return st;
}

/* What stands before a text that begins: the end of the one before, a line break, the first token.
 */
static void begin_text(const weft_writer *w, int32_t *out, size_t *n) {
    const struct weft_tokenizer *t = w->how.tokenizer;
    out[0] = t && t->end >= 0 ? t->end : 0;
    *n = 1;
    if (t && t->end < 0 && (encode(w, "", "\n", 1, out, n) != WEFT_OK || *n == 0)) *n = 1;
}

/* ---- what comes ---- */

static bool take_token(void *user, int32_t token) {
    struct writer_text *t = user;
    const struct weft_tokenizer *tokenizer = t->w->how.tokenizer;
    char buf[16];
    size_t size;
    if (tokenizer && token == tokenizer->end && !t->w->how.past_end) {
        t->finish = WEFT_FINISH_END;
        return false;
    }
    t->made++;
    const char *piece = buf;
    if (tokenizer)
        piece = weft_tokenizer_piece(tokenizer, (uint32_t)token, buf, &size);
    else
        size = (size_t)snprintf(buf, sizeof buf, "%" PRId32 " ", token);
    if (weft_text_push(&t->out, piece, size)) return true;
    t->finish = WEFT_FINISH_STOP;
    t->w->failed |= t->out.failed;
    return false;
}

static void end_text(void *user) {
    struct writer_text *t = user;
    weft_text_end(&t->out);
    const struct weft_prompt p = t->prompt;
    const enum weft_finish finish = t->finish;
    const size_t made = t->made;
    free_text(t);
    if (p.end) p.end(p.user, finish, made);
}

enum weft_status weft_writer_add(weft_writer *w, const char *name, const struct weft_prompt *prompt,
                                 size_t *tokens) {
    struct writer_text *t = calloc(1, sizeof *t);
    int32_t *list = malloc((prompt->size + 1) * sizeof *list);
    size_t n = 0;
    enum weft_status st = t && list ? WEFT_OK : no_memory(w->ctx);
    if (st == WEFT_OK)
        st = w->how.tokenizer ? encode(w, name, prompt->text, prompt->size, list, &n)
                              : parse_numbers(w, name, prompt->text, prompt->size, list, &n);
    if (st == WEFT_OK && n == 0) begin_text(w, list, &n);
    if (st == WEFT_OK) {
        *t = (struct writer_text){.next = w->first, .w = w, .prompt = *prompt};
        t->out = (struct weft_text_out){
            .put = prompt->put, .user = prompt->user, .stop = prompt->stop, .stops = prompt->stops};
        const struct weft_request request = {.prompt = list,
                                             .prompt_tokens = n,
                                             .tokens = prompt->tokens,
                                             .sampling = prompt->sampling,
                                             .token = take_token,
                                             .end = end_text,
                                             .user = t};
        st = weft_generate_add(w->generator, &request);
    }
    free(list);
    if (st != WEFT_OK) {
        free(t);
        return st;
    }
    if (t->next) t->next->back = &t->next;
    t->back = &w->first;
    w->first = t;
    if (tokens) *tokens = n;
    return WEFT_OK;
}

enum weft_status weft_writer_step(weft_writer *w, size_t *left) {
    const enum weft_status st = weft_generate_step(w->generator, left);
    return st == WEFT_OK && w->failed ? no_memory(w->ctx) : st;
}

enum weft_status weft_writer_run(weft_writer *w) {
    size_t left = 1;
    enum weft_status st = WEFT_OK;
    while (st == WEFT_OK && left > 0) st = weft_writer_step(w, &left);
    return st;
}
