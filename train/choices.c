#include "train/choices.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "train/atomic.h"
#include "train/file_map.h"
#include "train/json_in.h"

#define ENDINGS   64
#define LINE_MOST ((size_t)1 << 20) /* bytes */

static enum weft_status no_memory(weft_ctx *ctx, const char *path) {
    return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: out of memory", path);
}

void weft_questions_close(struct weft_questions *q) {
    for (size_t i = 0; i < q->choices; i++) free(q->choice[i].token);
    free(q->choice);
    free(q->question);
    *q = (struct weft_questions){0};
}

/* ---- reading ---- */

struct reader {
    weft_ctx *ctx;
    const struct weft_tokenizer *tokenizer;
    size_t context;
    struct weft_questions q;
    size_t question_room, choice_room;
};

static bool grow(void **p, size_t *room, size_t used, size_t size) {
    if (used < *room) return true;
    const size_t more = *room == 0 ? 64 : 2 * *room;
    void *q = realloc(*p, more * size);
    if (!q) return false;
    *p = q;
    *room = more;
    return true;
}

/* A choice of tokens that are there: what does not fit goes at the front. */
static enum weft_status keep_choice(struct reader *r, const char *name, const uint16_t *before,
                                    size_t n, const uint16_t *after, size_t m) {
    struct weft_questions *q = &r->q;
    if (m == 0 || n == 0 || m > r->context)
        return weft_ctx_fail(
            r->ctx, WEFT_ERR_ARG,
            m > r->context ? "%s: an ending of %zu tokens does not fit the context of %zu"
                           : "%s: a context of %zu and an ending of %zu tokens: neither may be "
                             "empty",
            name, m > r->context ? m : n, m > r->context ? r->context : m);
    const size_t most = r->context + 1 - m, kept = n < most ? n : most;
    if (!grow((void **)&q->choice, &r->choice_room, q->choices, sizeof *q->choice))
        return no_memory(r->ctx, name);
    struct weft_choice c = {.n = kept + m, .context = kept};
    c.token = malloc(c.n * sizeof *c.token);
    if (!c.token) return no_memory(r->ctx, name);
    for (size_t i = 0; i < kept; i++) c.token[i] = before[n - kept + i];
    for (size_t i = 0; i < m; i++) c.token[kept + i] = after[i];
    if (c.n > q->longest) q->longest = c.n;
    q->choice[q->choices++] = c;
    return WEFT_OK;
}

static enum weft_status add_choice(struct reader *r, const char *name, const char *ctx_text,
                                   const char *ending) {
    uint16_t *before = NULL, *after = NULL;
    size_t n, m;
    char *text = weft_text(" %s", ending);
    enum weft_status st = text ? weft_tokenizer_encode(r->ctx, r->tokenizer, name, ctx_text,
                                                       strlen(ctx_text), &before, &n)
                               : no_memory(r->ctx, name);
    if (st == WEFT_OK)
        st = weft_tokenizer_encode(r->ctx, r->tokenizer, name, text, strlen(text), &after, &m);
    if (st == WEFT_OK) st = keep_choice(r, name, before, n, after, m);
    free(before);
    free(after);
    free(text);
    return st;
}

/* "label" is a number, or the text of one. */
static size_t label_of(const json_t *value) {
    const char *text = json_string_value(value);
    if (json_is_integer(value) && json_integer_value(value) >= 0)
        return (size_t)json_integer_value(value);
    return text && text[0] >= '0' && text[0] <= '9' && !text[1] ? (size_t)(text[0] - '0')
                                                                : SIZE_MAX;
}

static enum weft_status add_question(struct reader *r, const char *name, const json_t *object) {
    struct weft_questions *q = &r->q;
    const char *text = json_string_value(json_object_get(object, "ctx"));
    const json_t *endings = json_object_get(object, "endings");
    const size_t n = json_array_size(endings), label = label_of(json_object_get(object, "label"));
    if (!text || n < 2 || n > ENDINGS || label >= n)
        return weft_ctx_fail(
            r->ctx, WEFT_ERR_FORMAT,
            "%s: must have a text \"ctx\", a list \"endings\" of 2 to %d texts, and "
            "\"label\", the number of the right one",
            name, ENDINGS);
    if (!grow((void **)&q->question, &r->question_room, q->n, sizeof *q->question))
        return no_memory(r->ctx, name);
    q->question[q->n] = (struct weft_question){q->choices, n, label};
    for (size_t i = 0; i < n; i++) {
        const char *ending = json_string_value(json_array_get(endings, i));
        const enum weft_status st = ending ? add_choice(r, name, text, ending)
                                           : weft_ctx_fail(r->ctx, WEFT_ERR_FORMAT,
                                                           "%s: ending %zu is not a text", name, i);
        if (st != WEFT_OK) return st;
    }
    q->n++;
    return WEFT_OK;
}

static enum weft_status add_line(struct reader *r, const char *path, size_t number,
                                 const char *line, size_t size) {
    json_t *object = NULL;
    char *name = weft_text("%s: line %zu", path, number);
    enum weft_status st = name ? WEFT_OK : no_memory(r->ctx, path);
    if (st == WEFT_OK && size > LINE_MOST)
        st =
            weft_ctx_fail(r->ctx, WEFT_ERR_FORMAT, "%s: is longer than %zu bytes", name, LINE_MOST);
    if (st == WEFT_OK) st = weft_json_parse(r->ctx, name, line, size, &object);
    if (st == WEFT_OK) st = add_question(r, name, object);
    json_decref(object);
    free(name);
    return st;
}

enum weft_status weft_questions_open(weft_ctx *ctx, const char *path,
                                     const struct weft_tokenizer *tokenizer, size_t context,
                                     struct weft_questions *out) {
    struct weft_file file;
    struct reader r = {.ctx = ctx, .tokenizer = tokenizer, .context = context};
    enum weft_status st = weft_file_open(ctx, path, &file);
    if (st != WEFT_OK) return st;
    const char *text = (const char *)file.data;
    for (size_t at = 0, number = 1; st == WEFT_OK && at < file.size; number++) {
        const char *end = memchr(text + at, '\n', file.size - at);
        const size_t next = end ? (size_t)(end - text) + 1 : file.size;
        size_t size = next - at - (end != NULL);
        if (size > 0 && text[at + size - 1] == '\r') size--;
        if (size > 0) st = add_line(&r, path, number, text + at, size);
        at = next;
    }
    weft_file_close(&file);
    if (st == WEFT_OK && r.q.n == 0)
        st = weft_ctx_fail(ctx, WEFT_ERR_FORMAT, "%s: has no questions", path);
    if (st != WEFT_OK) {
        weft_questions_close(&r.q);
        return st;
    }
    *out = r.q;
    return WEFT_OK;
}

/* ---- asking ---- */

/* Sum of the losses of an ending, by number of its choice. */
static enum weft_status ask_rows(weft_model *model, size_t seq, const struct weft_questions *q,
                                 size_t first, size_t rows, int32_t *tokens, int32_t *targets,
                                 double *sum) {
    struct weft_loss loss;
    for (size_t r = 0; r < rows; r++) {
        const struct weft_choice *c = &q->choice[first + r];
        for (size_t t = 0; t < seq; t++) {
            const bool there = t + 1 < c->n;
            tokens[r * seq + t] = there ? c->token[t] : 0;
            targets[r * seq + t] = there && t + 1 >= c->context ? c->token[t + 1] : -1;
        }
    }
    const struct weft_batch batch = {.tokens = tokens, .targets = targets, .rows = rows};
    const enum weft_status st = weft_model_eval(model, &batch, &loss);
    if (st != WEFT_OK) return st;
    const float *losses = weft_model_losses(model);
    for (size_t r = 0; r < rows; r++) {
        sum[first + r] = 0;
        for (size_t t = 0; t < seq; t++)
            if (targets[r * seq + t] >= 0) sum[first + r] += (double)losses[r * seq + t];
    }
    return WEFT_OK;
}

/* The ending with the least loss, the first of equals. */
static size_t best_of(const struct weft_questions *q, const struct weft_question *question,
                      const double *sum, bool mean) {
    size_t best = 0;
    double least = INFINITY;
    for (size_t i = 0; i < question->endings; i++) {
        const struct weft_choice *c = &q->choice[question->first + i];
        const double loss = sum[question->first + i] / (mean ? (double)(c->n - c->context) : 1.0);
        if (!(loss < least)) continue;
        least = loss;
        best = i;
    }
    return best;
}

enum weft_status weft_questions_ask(weft_ctx *ctx, weft_model *model, size_t rows, size_t seq,
                                    const struct weft_questions *q, struct weft_answers *out) {
    struct weft_answers a = {.questions = q->n};
    int32_t *tokens = malloc(rows * seq * sizeof *tokens);
    int32_t *targets = malloc(rows * seq * sizeof *targets);
    double *sum = malloc(q->choices * sizeof *sum);
    enum weft_status st = tokens && targets && sum ? WEFT_OK : no_memory(ctx, "questions");
    for (size_t i = 0; st == WEFT_OK && i < q->choices; i += rows)
        st = ask_rows(model, seq, q, i, q->choices - i < rows ? q->choices - i : rows, tokens,
                      targets, sum);
    for (size_t i = 0; st == WEFT_OK && i < q->n; i++) {
        a.right += best_of(q, &q->question[i], sum, false) == q->question[i].label;
        a.right_mean += best_of(q, &q->question[i], sum, true) == q->question[i].label;
    }
    for (size_t i = 0; i < q->choices; i++) a.tokens += q->choice[i].n - q->choice[i].context;
    free(tokens);
    free(targets);
    free(sum);
    if (st == WEFT_OK) *out = a;
    return st;
}
