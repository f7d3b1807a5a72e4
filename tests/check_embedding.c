/* Embedding kernels: gathers are exact up to one addition, gradients are sums of n terms. */
#include <stdlib.h>
#include <string.h>
#include "kernels/ref/ref_embedding.h"
#include "tests/support/check.h"

static size_t at_least_1(size_t n) { return n ? n : 1; }

struct shape {
    size_t rows, c, vocab, t, pos0, row0;
    bool positions;
};

static struct check_arg *draw_tokens(struct check *c, size_t n, size_t vocab) {
    struct check_arg *token = check_typed(c, "token", CHECK_IN, CHECK_I32, 1, n, n);
    for (size_t i = 0; i < n; i++) token->val[i] = (double)check_range(c, 0, vocab - 1);
    return token;
}

static long *tokens(const struct check *c) {
    const struct check_arg *t = check_arg(c, "token");
    long *out = malloc((t->cols + 1) * sizeof *out);
    if (!out) abort();
    for (size_t r = 0; r < t->cols; r++) out[r] = (long)t->val[r];
    return out;
}

/* ---- forward ---- */
static void draw_fwd(struct check *c) {
    struct shape *s = c->user;
    s->rows = check_size(c, 1) % 40;
    s->c = at_least_1(check_size(c, 0));
    s->vocab = check_range(c, 1, 20);
    s->t = check_range(c, 1, 9);
    s->pos0 = check_range(c, 0, 3);
    s->row0 = check_range(c, 0, 2 * s->t);
    s->positions = c->index % 3 != 0;
    draw_tokens(c, s->rows, s->vocab);
    check_in(c, "wte", s->vocab, s->c, s->c, CHECK_FILL_CASE);
    check_in(c, "wpe", s->pos0 + s->t, s->c, s->c, CHECK_FILL_NORMAL);
    check_out(c, "out", s->rows, s->c, s->c);
}

static void oracle_fwd(struct check *c) {
    const struct shape *s = c->user;
    struct check_arg *out = check_arg(c, "out");
    const double *wpe = check_arg(c, "wpe")->val;
    long *token = tokens(c);
    for (size_t r = 0; r < s->rows; r++) /* row by row: row0 shifts the position */
        ref_embedding_fwd(1, s->c, 1, s->pos0 + (s->row0 + r) % s->t, token + r,
                          check_arg(c, "wte")->val, s->positions ? wpe : NULL,
                          out->want + r * s->c);
    free(token); /* the bound stays 0: one rounding */
}

static void call_fwd(struct check *c, const struct weft_kernels *k) {
    const struct shape *s = c->user;
    const struct weft_embed_args a = {
        .rows = s->rows,
        .c = s->c,
        .t = s->t,
        .pos0 = s->pos0,
        .row0 = s->row0,
        .token = check_i32(c, "token"),
        .wte = check_ptr(c, "wte"),
        .wpe = s->positions ? check_ptr(c, "wpe") : NULL,
        .out = check_ptr(c, "out"),
    };
    CHECK_PICK(c, k, embed_fwd)(&a);
}
static const struct check_family embed_fwd = {"embed_fwd", draw_fwd, oracle_fwd,     call_fwd,
                                              50,          0,        " wte wpe out "};

/* ---- positions by token ---- */
static const size_t vocabs[] = {1, 5, 256, 257, 50257, 70000, 20000000};

static void draw_sort(struct check *c) {
    const size_t n = check_size(c, 0);
    draw_tokens(c, n, vocabs[c->index % 7]);
    check_scratch(c, "tmp", n * sizeof(uint32_t));
    check_typed(c, "order", CHECK_OUT, CHECK_U32, 1, n, n);
    check_typed(c, "start", CHECK_OUT, CHECK_U32, 1, n + 1, n + 1);
    check_typed(c, "count", CHECK_OUT, CHECK_U32, 1, 1, 1);
}

/* Insertion sort: stable, and obviously so. */
static void oracle_sort(struct check *c) {
    const struct check_arg *token = check_arg(c, "token");
    const size_t n = token->cols;
    double *order = check_arg(c, "order")->want;
    double *start = check_arg(c, "start")->want;
    for (size_t i = 0; i < n; i++) {
        size_t j = i;
        for (; j > 0 && token->val[(size_t)order[j - 1]] > token->val[i]; j--)
            order[j] = order[j - 1];
        order[j] = (double)i;
    }
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (i == 0 || token->val[(size_t)order[i]] != token->val[(size_t)order[i - 1]])
            start[count++] = (double)i;
    start[count] = (double)n;
    for (size_t i = count + 1; i <= n; i++) check_arg(c, "start")->tol[i] = NAN;
    check_arg(c, "count")->want[0] = (double)count;
}

static void call_sort(struct check *c, const struct weft_kernels *k) {
    const struct weft_embed_index index = {.order = check_u32(c, "order"),
                                           .start = check_u32(c, "start"),
                                           .count = check_u32(c, "count")};
    k->embed_sort(check_i32(c, "token"), check_arg(c, "token")->cols, check_ptr(c, "tmp"), &index);
}
static const struct check_family embed_sort = {"embed_sort", draw_sort, oracle_sort,
                                               call_sort,    50,        0};

/* ---- gradient of the table, in the three modes ---- */
static enum weft_embed_mode mode(const struct check *c) {
    return (enum weft_embed_mode)(c->index % 3);
}

static void draw_grad(struct check *c) {
    struct shape *s = c->user;
    s->rows = check_size(c, 1) % 70;
    s->c = at_least_1(check_size(c, 0) % 300);
    s->vocab = check_range(c, 1, 30);
    const size_t ld = check_ld(c, s->c);
    draw_tokens(c, s->rows, s->vocab);
    check_in(c, "dy", s->rows, s->c, ld, CHECK_FILL_CASE);
    if (mode(c) == WEFT_EMBED_SET)
        check_out(c, "dwte", s->vocab, s->c, ld);
    else
        check_inout(c, "dwte", s->vocab, s->c, ld, CHECK_FILL_NORMAL);
    const size_t words = 2 * s->rows + 2 + s->rows;
    check_scratch(c, "index", words * sizeof(uint32_t));
}

static void oracle_grad(struct check *c) {
    const struct shape *s = c->user;
    struct check_arg *dw = check_arg(c, "dwte");
    const double *dy = check_arg(c, "dy")->val;
    long *token = tokens(c);
    const bool set = mode(c) == WEFT_EMBED_SET;
    for (size_t i = 0; i < s->vocab * s->c; i++) {
        dw->want[i] = set ? 0 : dw->val[i];
        dw->tol[i] = 0;
    }
    ref_embedding_bwd(s->rows, s->c, 1, 0, token, dy, dw->want, NULL);
    for (size_t r = 0; r < s->rows; r++)
        for (size_t j = 0; j < s->c; j++) {
            const size_t i = (size_t)token[r] * s->c + j;
            const double old = set ? 0 : fabs(dw->val[i]);
            if (dw->tol[i] == 0) dw->tol[i] = (double)(s->rows + 1) * CHECK_U * old;
            dw->tol[i] += (double)(s->rows + 1) * CHECK_U * fabs(dy[r * s->c + j]);
        }
    free(token);
}

static void call_grad(struct check *c, const struct weft_kernels *k) {
    const struct shape *s = c->user;
    uint32_t *words = check_ptr(c, "index");
    const struct weft_embed_grad_args a = {
        .mode = mode(c),
        .c = s->c,
        .ld = check_arg(c, "dwte")->ld,
        .vocab = s->vocab,
        .token = check_i32(c, "token"),
        .dy = check_ptr(c, "dy"),
        .dwte = check_f32(c, "dwte"),
        .index = {.order = words, .start = words + s->rows, .count = words + 2 * s->rows + 1},
    };
    k->embed_sort(a.token, s->rows, words + 2 * s->rows + 2, &a.index);
    CHECK_PICK(c, k, embed_grad)(&a);
}
static const struct check_family embed_grad = {"embed_grad", draw_grad, oracle_grad, call_grad,
                                               90,           0,         " dy "};

CHECK_MAIN(&embed_fwd, &embed_sort, &embed_grad)
