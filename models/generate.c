/* Several texts at once. A text owns a part of the KV cache from the step it enters until it ends.
 *
 * A step: waiting texts enter; each text with more than one token to read (a prompt, or a new
 * window) reads them alone; all that have one token to read advance together. */
#include "weft/generate.h"

#include <stdlib.h>
#include <string.h>

#include "models/model.h"
#include "models/sampler.h"

struct text {
    struct text *next;
    struct weft_request r;
    int32_t *token; /* prompt and what followed */
    size_t n, room;
    size_t made;     /* tokens generated */
    size_t window;   /* where the model's window begins in token */
    size_t fed;      /* of the window: positions 0..fed-1 are in the cache */
    size_t sequence; /* its part of the cache */
    uint8_t *seen;   /* (vocab) tokens that it has; NULL: no penalty */
    bool ended;
};

struct weft_generator {
    weft_model *m;
    weft_ctx *ctx;
    size_t sequences;
    struct weft_sampler sampler;
    struct text **running; /* (sequences) NULL where there is room */
    struct text *waiting, **last;
    int32_t *token;           /* (sequences) of a step */
    struct weft_place *place; /* (sequences) */
    struct text **of;         /* (sequences) whose they are */
};

static enum weft_status no_memory(weft_ctx *ctx) {
    return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory for a text");
}

enum weft_status weft_generate_create(weft_model *m, size_t choices, weft_generator **out) {
    if (m == NULL || out == NULL) return WEFT_ERR_NULL;
    if (m->decode.program == NULL || !m->committed)
        return weft_ctx_fail(m->ctx, WEFT_ERR_STATE, "the model was not built for generation");
    if (choices > m->gpt2.vocab)
        return weft_ctx_fail(m->ctx, WEFT_ERR_ARG, "%zu tokens to choose from, but only %zu exist",
                             choices, m->gpt2.vocab);
    weft_generator *const g = calloc(1, sizeof *g);
    if (g == NULL) return no_memory(m->ctx);
    const size_t n = m->training.sequences;
    *g = (weft_generator){.m = m, .ctx = m->ctx, .sequences = n, .last = &g->waiting};
    g->running = calloc(n, sizeof(struct text *));
    g->of = calloc(n, sizeof(struct text *));
    g->token = calloc(n, sizeof *g->token);
    g->place = calloc(n, sizeof *g->place);
    const bool whole = g->running != NULL && g->of != NULL && g->token != NULL && g->place != NULL;
    enum weft_status st = whole ? WEFT_OK : no_memory(m->ctx);
    if (st == WEFT_OK)
        st = weft_sampler_init(m->ctx, &g->sampler, choices > 0 ? choices : m->gpt2.vocab);
    if (st != WEFT_OK) {
        weft_generate_free(g);
        return st;
    }
    *out = g;
    return WEFT_OK;
}

static void text_free(struct text *t) {
    if (t == NULL) return;
    free(t->token);
    free(t->seen);
    free(t);
}

void weft_generate_free(weft_generator *g) {
    if (g == NULL) return;
    for (size_t i = 0; g->running != NULL && i < g->sequences; i++) text_free(g->running[i]);
    for (struct text *t = g->waiting; t != NULL;) {
        struct text *const next = t->next;
        text_free(t);
        t = next;
    }
    weft_sampler_free(&g->sampler);
    free(g->running);
    free(g->of);
    free(g->token);
    free(g->place);
    free(g);
}

/* ---- a text ---- */
static enum weft_status append(weft_ctx *ctx, struct text *t, int32_t token) {
    if (t->n == t->room) {
        const size_t room = 2 * t->room;
        int32_t *const more = realloc(t->token, room * sizeof *more);
        if (more == NULL) return no_memory(ctx);
        t->token = more;
        t->room = room;
    }
    t->token[t->n++] = token;
    if (t->seen != NULL) t->seen[token] = 1;
    return WEFT_OK;
}

static enum weft_status check_request(const weft_generator *g, const struct weft_request *r) {
    const size_t vocab = g->m->gpt2.vocab;
    if (r->prompt == NULL || r->prompt_tokens == 0 || r->prompt_tokens > SIZE_MAX / 8)
        return weft_ctx_fail(g->ctx, WEFT_ERR_ARG, "a prompt needs at least one token");
    for (size_t i = 0; i < r->prompt_tokens; i++)
        if (r->prompt[i] < 0 || (size_t)r->prompt[i] >= vocab)
            return weft_ctx_fail(g->ctx, WEFT_ERR_ARG,
                                 "token %zu of the prompt is %d, outside 0..%zu: it is of another "
                                 "model",
                                 i, (int)r->prompt[i], vocab - 1);
    return WEFT_OK;
}

enum weft_status weft_generate_add(weft_generator *g, const struct weft_request *request) {
    if (g == NULL || request == NULL || request->token == NULL) return WEFT_ERR_NULL;
    enum weft_status st = check_request(g, request);
    if (st != WEFT_OK) return st;
    struct text *const t = calloc(1, sizeof *t);
    if (t == NULL) return no_memory(g->ctx);
    const double penalty = request->sampling.repetition_penalty;
    t->r = *request;
    t->room = request->prompt_tokens + 16;
    t->token = malloc(t->room * sizeof *t->token);
    if (penalty > 0 && penalty != 1) t->seen = calloc(g->m->gpt2.vocab, 1);
    if (t->token == NULL || (t->seen == NULL && penalty > 0 && penalty != 1))
        st = no_memory(g->ctx);
    for (size_t i = 0; st == WEFT_OK && i < request->prompt_tokens; i++)
        st = append(g->ctx, t, request->prompt[i]);
    if (st != WEFT_OK) {
        text_free(t);
        return st;
    }
    t->r.prompt = NULL; /* the caller's, who may free it */
    *g->last = t;
    g->last = &t->next;
    return WEFT_OK;
}

/* Tokens that the model has yet to read. When the window is full a new one begins: the last half of
 * the context is read again from position 0. */
static size_t unread(const weft_generator *g, struct text *t) {
    const size_t context = g->m->gpt2.context;
    if (t->n - t->window > context) {
        t->window = t->n - (context / 2 > 0 ? context / 2 : 1);
        t->fed = 0;
    }
    return t->n - t->window - t->fed;
}

/* What follows from its logits. */
static enum weft_status advance(weft_generator *g, struct text *t, const float *logits) {
    const uint32_t token =
        weft_sample(&g->sampler, &t->r.sampling, logits, t->seen, (uint64_t)t->made);
    const enum weft_status st = append(g->ctx, t, (int32_t)token);
    if (st != WEFT_OK) return st;
    t->made++;
    if (!t->r.token(t->r.user, (int32_t)token) || t->made == t->r.tokens) t->ended = true;
    return WEFT_OK;
}

/* ---- a step ---- */
static void enter(weft_generator *g) {
    for (size_t i = 0; i < g->sequences && g->waiting != NULL; i++) {
        if (g->running[i] != NULL) continue;
        struct text *const t = g->waiting;
        g->waiting = t->next;
        if (g->waiting == NULL) g->last = &g->waiting;
        t->next = NULL;
        t->sequence = i;
        t->ended = t->r.tokens == 0;
        g->running[i] = t;
    }
}

static enum weft_status read_alone(weft_generator *g, struct text *t, size_t n) {
    const float *logits;
    const struct weft_place from = {t->sequence, t->fed};
    const enum weft_status st =
        weft_model_prefill(g->m, t->token + t->window + t->fed, n, from, &logits);
    t->fed += n;
    return st == WEFT_OK ? advance(g, t, logits) : st;
}

static enum weft_status read_together(weft_generator *g, size_t n) {
    const float *logits;
    if (n == 0) return WEFT_OK;
    enum weft_status st = weft_model_decode(g->m, g->token, g->place, n, &logits);
    for (size_t i = 0; st == WEFT_OK && i < n; i++) {
        g->of[i]->fed++;
        st = advance(g, g->of[i], logits + i * g->m->gpt2.vocab);
    }
    return st;
}

static enum weft_status read_all(weft_generator *g) {
    enum weft_status st = WEFT_OK;
    size_t n = 0;
    for (size_t i = 0; st == WEFT_OK && i < g->sequences; i++) {
        struct text *const t = g->running[i];
        if (t == NULL || t->ended) continue;
        const size_t left = unread(g, t);
        if (left > 1) {
            st = read_alone(g, t, left);
            continue;
        }
        g->of[n] = t;
        g->token[n] = t->token[t->n - 1];
        g->place[n] = (struct weft_place){t->sequence, t->fed};
        n++;
    }
    return st == WEFT_OK ? read_together(g, n) : st;
}

/* Ended texts make room. Returns how many are left. */
static size_t leave(weft_generator *g) {
    size_t left = 0;
    for (size_t i = 0; i < g->sequences; i++) {
        struct text *const t = g->running[i];
        if (t == NULL) continue;
        if (!t->ended) {
            left++;
            continue;
        }
        g->running[i] = NULL;
        if (t->r.end != NULL) t->r.end(t->r.user);
        text_free(t);
    }
    for (const struct text *t = g->waiting; t != NULL; t = t->next) left++;
    return left;
}

enum weft_status weft_generate_step(weft_generator *g, size_t *left) {
    if (g == NULL || left == NULL) return WEFT_ERR_NULL;
    enter(g);
    const enum weft_status st = read_all(g);
    if (st == WEFT_OK) *left = leave(g);
    return st;
}

enum weft_status weft_generate_run(weft_generator *g) {
    size_t left = 1;
    enum weft_status st = g == NULL ? WEFT_ERR_NULL : WEFT_OK;
    while (st == WEFT_OK && left > 0) st = weft_generate_step(g, &left);
    return st;
}
