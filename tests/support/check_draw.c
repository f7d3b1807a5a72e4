/* Drawing a case: its own generator (SplitMix64, independent of weft's), sizes, fills, arguments.
 */
#include <float.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "tests/support/check_state.h"

void check_die(const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    fputs("check: ", stderr);
    vfprintf(stderr, format, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(2);
}

static uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static uint64_t draw_bits(struct check *c) { return mix(c->state->rng += 0x9e3779b97f4a7c15u); }

double check_uniform(struct check *c) { return (double)(draw_bits(c) >> 11) * 0x1p-53; }

double check_normal(struct check *c) {
    const double radius = sqrt(-2 * log(1 - check_uniform(c)));
    return radius * cos(6.283185307179586 * check_uniform(c));
}

size_t check_range(struct check *c, size_t lo, size_t hi) {
    return lo + (size_t)(draw_bits(c) % (hi - lo + 1));
}

size_t check_ld(struct check *c, size_t cols) {
    static const size_t gap[] = {0, 1, 5, 16};
    return cols + gap[check_range(c, 0, 3)];
}

/* Around every vector width (4, 8, 16), the 32 virtual lanes, 64- and 256-blocks. A prime number of
 * them: each dimension walks the list with a stride of its own, and so do the fills. */
static const size_t edges[] = {0,  1,  2,  3,  4,  5,  7,   8,   9,   15,  16, 17,
                               31, 32, 33, 63, 64, 65, 127, 255, 256, 257, 769};
enum { EDGES = sizeof edges / sizeof *edges };

size_t check_size(struct check *c, unsigned d) {
    if (c->index < EDGES) return edges[(c->index * (2 * d + 1) + 5 * (size_t)d) % EDGES];
    if (check_uniform(c) < 0.5) return edges[check_range(c, 0, EDGES - 1)];
    return (size_t)exp(check_uniform(c) * log(c->full ? 20000.0 : 2000.0));
}

static double special(struct check *c) {
    static const double list[] = {0.0,     -0.0,     0x1p-149, -0x1p-149, 0x1p-127, -FLT_MIN,
                                  FLT_MAX, -FLT_MAX, INFINITY, -INFINITY, NAN};
    return list[check_range(c, 0, sizeof list / sizeof *list - 1)];
}

static double draw_one(struct check *c, enum check_fill fill, size_t i, size_t n, double whole) {
    switch (fill) {
    case CHECK_FILL_INT: return (double)check_range(c, 0, 8) - 4;
    case CHECK_FILL_WIDE: {
        const double sign = check_uniform(c) < 0.5 ? -1 : 1;
        return sign * exp2(40 * check_uniform(c) - 20);
    }
    case CHECK_FILL_POSITIVE: return 0.5 + check_uniform(c);
    case CHECK_FILL_ALTERNATE: return i % 2 ? -whole : whole;
    case CHECK_FILL_SPIKE:
        return i == (size_t)(fabs(whole) * 1e6) % n ? 1e4 * whole : 1e-3 * check_normal(c);
    case CHECK_FILL_MEAN: return 100 + check_normal(c);
    case CHECK_FILL_EQUAL: return whole;
    case CHECK_FILL_SPECIAL: return check_range(c, 0, 7) == 0 ? special(c) : check_normal(c);
    case CHECK_FILL_ZERO: return 0;
    default: return check_normal(c);
    }
}

static double *doubles(size_t n, double value) {
    double *p = malloc((n + 1) * sizeof *p);
    if (!p) check_die("out of memory");
    for (size_t i = 0; i < n; i++) p[i] = value;
    return p;
}

/* A `want` nobody wrote. Its payload tells it from the NaN of an oracle. */
static double unset(void) {
    const uint64_t bits = 0x7ff8dead0000beefu;
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}

struct check_arg *check_typed(struct check *c, const char *name, enum check_role role,
                              enum check_type type, size_t rows, size_t cols, size_t ld) {
    struct check_state *s = c->state;
    if (s->args == CHECK_ARGS) check_die("%s: more than %d arguments", c->family, CHECK_ARGS);
    if (ld < cols) check_die("%s: %s has ld %zu < cols %zu", c->family, name, ld, cols);
    for (size_t i = 0; i < s->args; i++)
        if (!strcmp(s->arg[i].name, name)) check_die("%s: two arguments %s", c->family, name);
    struct check_arg *a = &s->arg[s->args++];
    const size_t n = rows * cols;
    char spaced[64];
    snprintf(spaced, sizeof spaced, " %s ", name);
    if (c->bf16 && type == CHECK_F32 && strstr(c->elem, spaced)) type = CHECK_BF16;
    *a = (struct check_arg){
        .name = name, .role = role, .type = type, .rows = rows, .cols = cols, .ld = ld};
    if (role == CHECK_IN || role == CHECK_INOUT) a->val = doubles(n, 0);
    if (role == CHECK_OUT || role == CHECK_INOUT) {
        a->want = doubles(n, unset());
        a->tol = doubles(n, CHECK_EXACT);
    }
    return a;
}

static struct check_arg *filled(struct check *c, struct check_arg *a, enum check_fill fill) {
    static const enum check_fill cycle[] = {
        CHECK_FILL_NORMAL,    CHECK_FILL_INT,   CHECK_FILL_WIDE, CHECK_FILL_POSITIVE,
        CHECK_FILL_ALTERNATE, CHECK_FILL_SPIKE, CHECK_FILL_MEAN, CHECK_FILL_EQUAL};
    if (fill == CHECK_FILL_CASE) fill = cycle[c->index % 8];
    const size_t n = a->rows * a->cols;
    const double whole = check_normal(c);
    for (size_t i = 0; i < n; i++) a->val[i] = (double)(float)draw_one(c, fill, i, n, whole);
    return a;
}

struct check_arg *check_in(struct check *c, const char *name, size_t rows, size_t cols, size_t ld,
                           enum check_fill fill) {
    return filled(c, check_typed(c, name, CHECK_IN, CHECK_F32, rows, cols, ld), fill);
}

struct check_arg *check_inout(struct check *c, const char *name, size_t rows, size_t cols,
                              size_t ld, enum check_fill fill) {
    return filled(c, check_typed(c, name, CHECK_INOUT, CHECK_F32, rows, cols, ld), fill);
}

struct check_arg *check_out(struct check *c, const char *name, size_t rows, size_t cols,
                            size_t ld) {
    return check_typed(c, name, CHECK_OUT, CHECK_F32, rows, cols, ld);
}

struct check_arg *check_scratch(struct check *c, const char *name, size_t bytes) {
    return check_typed(c, name, CHECK_SCRATCH, CHECK_U32, 1, bytes, bytes);
}

struct check_arg *check_arg(const struct check *c, const char *name) {
    struct check_state *s = c->state;
    for (size_t i = 0; i < s->args; i++)
        if (!strcmp(s->arg[i].name, name)) return &s->arg[i];
    check_die("%s has no argument %s", c->family, name);
    return NULL;
}

static void *typed_ptr(const struct check *c, const char *name, enum check_type type) {
    const struct check_arg *a = check_arg(c, name);
    if (a->role != CHECK_SCRATCH && a->type != type)
        check_die("%s: argument %s has another type", c->family, name);
    return a->ptr;
}

float *check_f32(const struct check *c, const char *name) { return typed_ptr(c, name, CHECK_F32); }
double *check_f64(const struct check *c, const char *name) { return typed_ptr(c, name, CHECK_F64); }
int32_t *check_i32(const struct check *c, const char *name) {
    return typed_ptr(c, name, CHECK_I32);
}
uint32_t *check_u32(const struct check *c, const char *name) {
    return typed_ptr(c, name, CHECK_U32);
}
void *check_ptr(const struct check *c, const char *name) { return check_arg(c, name)->ptr; }

void check_case_begin(struct check *c, struct check_state *s, const char *family, size_t index) {
    uint64_t seed = 0xcbf29ce484222325u;
    for (const char *p = family; *p; p++) seed = (seed ^ (unsigned char)*p) * 0x100000001b3u;
    memset(s, 0, sizeof *s);
    c->family = family;
    c->index = index;
    c->seed = s->rng = mix(seed + index);
    c->user = s->user;
    c->state = s;
}

void check_case_round(struct check *c) {
    for (size_t i = 0; i < c->state->args; i++) {
        struct check_arg *a = &c->state->arg[i];
        for (size_t j = 0; a->type == CHECK_BF16 && a->val && j < a->rows * a->cols; j++)
            a->val[j] = check_bf16(a->val[j]);
    }
}

void check_case_widen(struct check *c) {
    for (size_t i = 0; i < c->state->args; i++) {
        struct check_arg *a = &c->state->arg[i];
        if (a->type != CHECK_BF16 || !a->want) continue;
        for (size_t j = 0; j < a->rows * a->cols; j++)
            if (a->tol[j] > 0) a->tol[j] += 0x1p-8 * (fabs(a->want[j]) + a->tol[j]) + 0x1p-126;
        if (a->rms > 0) a->rms += 0x1p-9;
    }
}

bool check_case_ready(struct check *c) {
    struct check_state *s = c->state;
    for (size_t i = 0; i < s->args; i++) {
        struct check_arg *a = &s->arg[i];
        for (size_t j = 0; a->val && j < a->rows * a->cols; j++) {
            uint64_t elem = 0;
            check_store(a, &elem, a->val[j]);
            if (!isnan(a->val[j]) && check_load(a, &elem) != a->val[j])
                check_die("%s case %zu: %s[%zu] = %.17g does not fit its type", c->family, c->index,
                          a->name, j, a->val[j]);
        }
        const uint64_t none = 0x7ff8dead0000beefu;
        for (size_t j = 0; a->want && j < a->rows * a->cols; j++)
            if (memcmp(&a->want[j], &none, sizeof none) == 0 && !isnan(a->tol[j]))
                check_die("%s case %zu: the oracle left %s->want[%zu] unset", c->family, c->index,
                          a->name, j);
        if (!gbuf_open(&s->buf[i], check_extent(a) + 64)) return false;
        if (a->want) s->bits[i] = calloc(a->rows * a->cols + 1, check_elem_bytes(a));
        if (a->want && !s->bits[i]) return false;
    }
    return true;
}

void check_case_end(struct check *c) {
    struct check_state *s = c->state;
    for (size_t i = 0; i < s->args; i++) {
        free(s->arg[i].val);
        free(s->arg[i].want);
        free(s->arg[i].tol);
        free(s->bits[i]);
        gbuf_close(&s->buf[i]);
    }
    s->args = 0;
}
