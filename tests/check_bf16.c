/* bf16 on every ISA: each of its 65,536 values widened; f32 narrowed, eight values in and around
 * every gap between two of them (with WEFT_CHECK=full all 2^32); and every activation and its
 * derivative over all 65,536 inputs: the f32 kernel's result inside its bound, and the bf16
 * kernel's the rounding of that. The reference of rounding chooses the nearer neighbour by
 * distances in double. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "kernels/ref/ref_activation.h"
#include "tests/support/check.h"

enum { ALL = 1 << 16, LOWS = 8 };
static const struct weft_kernels *table[8];
static size_t tables;
static int failures;

#define FAIL(...) (failures++ < 20 ? (void)(printf("FAIL " __VA_ARGS__), putchar('\n')) : (void)0)

static float as_float(uint32_t u) {
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}
static uint32_t as_bits(float x) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}
static bool is_nan(uint16_t h) { return (h & 0x7fffu) > 0x7f80u; }
static void *room(size_t bytes) {
    void *const p = malloc(bytes);
    if (!p) abort();
    return p;
}

/* 1 when h is the bf16 of x. */
static bool is_nearest(float x, uint16_t h) {
    const uint32_t bits = as_bits(x);
    const uint16_t low = (uint16_t)(bits >> 16), high = (uint16_t)(low + 1); /* towards 0, away */
    if (isnan(x)) return h == (low | 0x40u);
    if (isinf(x)) return h == low;
    if (fabsf(x) < 0x1p-126f) return h == (low & 0x8000u);
    /* past the largest value comes what would be 2^128 */
    const double a = fabs((double)as_float((uint32_t)low << 16));
    const double up =
        (high & 0x7fffu) == 0x7f80u ? 0x1p128 : fabs((double)as_float((uint32_t)high << 16));
    const double below = fabs((double)x) - a, above = up - fabs((double)x);
    const bool down = below < above || (below == above && low % 2 == 0);
    return h == (down ? low : high);
}

static void widen(void) {
    uint16_t *const h = room(ALL * sizeof *h);
    float *const x = room(ALL * sizeof *x);
    for (uint32_t i = 0; i < ALL; i++) h[i] = (uint16_t)i;
    for (size_t t = 0; t < tables; t++) {
        table[t]->widen_bf16(h, x, ALL);
        for (uint32_t i = 0; i < ALL; i++)
            if (as_bits(x[i]) != i << 16)
                FAIL("widen of %04x on %s is %08x", (unsigned)i, table[t]->isa,
                     (unsigned)as_bits(x[i]));
    }
    free(h);
    free(x);
}

static void narrow_block(const uint32_t *bits, size_t n) {
    static float x[ALL];
    static uint16_t h[ALL];
    for (size_t i = 0; i < n; i++) x[i] = as_float(bits[i]);
    for (size_t t = 0; t < tables; t++) {
        table[t]->narrow_bf16(x, h, n);
        for (size_t i = 0; i < n; i++)
            if (!is_nearest(x[i], h[i]))
                FAIL("narrow of %a on %s is %04x", (double)x[i], table[t]->isa, (unsigned)h[i]);
    }
}

static void narrow(bool full) {
    static const uint32_t lows[LOWS] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff, 0x5a5a, 0xc0de};
    static uint32_t bits[ALL];
    for (uint32_t i = 0; i < LOWS * (uint32_t)ALL; i += ALL) {
        for (uint32_t k = 0; k < ALL; k++) bits[k] = (i + k) / LOWS << 16 | lows[k % LOWS];
        narrow_block(bits, ALL);
    }
    for (uint32_t high = 0; full && high < ALL; high++) {
        for (uint32_t k = 0; k < ALL; k++) bits[k] = high << 16 | k;
        narrow_block(bits, ALL);
    }
}

struct unary { /* all inputs of one activation */
    uint16_t *z, *dy, *y, *dx, *first_y, *first_dx;
    float *wide_z, *wide_dy, *wide_y, *wide_dx;
};

static void compare(const char *what, enum weft_act act, const char *isa, const uint16_t *got,
                    const uint16_t *first, const float *wide) {
    for (size_t i = 0; i < ALL; i++) {
        if (isnan(wide[i]) ? !is_nan(got[i]) : !is_nearest(wide[i], got[i]))
            FAIL("%s of activation %d at %04x on %s: %04x is not the bf16 of %a", what, (int)act,
                 (unsigned)i, isa, (unsigned)got[i], (double)wide[i]);
        if (got[i] != first[i] && !(is_nan(got[i]) && is_nan(first[i])))
            FAIL("%s of activation %d at %04x differs on %s", what, (int)act, (unsigned)i, isa);
    }
}

static bool is_inside(float got, double want, double bound) {
    if (isinf(got)) return isinf((float)want) && signbit(got) == signbit(want); /* it overflows */
    return bound == 0 ? got == (float)want : fabs((double)got - want) <= bound;
}

static void inside(enum weft_act act, const struct unary *u, const char *isa) {
    const double slope = (double)WEFT_LEAKY_SLOPE;
    for (size_t i = 0; i < ALL; i++) {
        const double z = (double)u->wide_z[i], dy = (double)u->wide_dy[i];
        if (!isfinite(z) || fabs(z) < 0x1p-100) continue; /* check_activation has them */
        const double y = ref_act(act, slope, z), dx = dy * ref_dact(act, slope, z);
        if (!is_inside(u->wide_y[i], y, ref_act_bound(act, slope, z)))
            FAIL("act_fwd %d of %a on %s: %a, want %a", (int)act, z, isa, (double)u->wide_y[i], y);
        if (!is_inside(u->wide_dx[i], dx, ref_dact_bound(act, slope, z, dy, 0)))
            FAIL("act_bwd %d of %a on %s: %a, want %a", (int)act, z, isa, (double)u->wide_dx[i],
                 dx);
    }
}

static void unary(enum weft_act act, const struct unary *u) {
    for (size_t t = 0; t < tables; t++) {
        const struct weft_kernels *const k = table[t];
        struct weft_act_args a = {.act = act, .slope = WEFT_LEAKY_SLOPE, .n = ALL};
        a.z = u->z, a.dy = u->dy, a.y = u->y, a.dx = u->dx;
        k->act_fwd_bf16(&a);
        k->act_bwd_bf16(&a);
        a.z = u->wide_z, a.dy = u->wide_dy, a.y = u->wide_y, a.dx = u->wide_dx;
        k->act_fwd_f32(&a);
        k->act_bwd_f32(&a);
        if (t == 0) memcpy(u->first_y, u->y, ALL * sizeof *u->y);
        if (t == 0) memcpy(u->first_dx, u->dx, ALL * sizeof *u->dx);
        compare("act_fwd", act, k->isa, u->y, u->first_y, u->wide_y);
        compare("act_bwd", act, k->isa, u->dx, u->first_dx, u->wide_dx);
        inside(act, u, k->isa);
    }
}

static void unaries(void) {
    struct unary u;
    uint16_t **const half[] = {&u.z, &u.dy, &u.y, &u.dx, &u.first_y, &u.first_dx};
    float **const wide[] = {&u.wide_z, &u.wide_dy, &u.wide_y, &u.wide_dx};
    for (size_t i = 0; i < 6; i++) *half[i] = room(ALL * sizeof(uint16_t));
    for (size_t i = 0; i < 4; i++) *wide[i] = room(ALL * sizeof(float));
    for (uint32_t i = 0; i < ALL; i++) {
        u.z[i] = (uint16_t)i;
        u.dy[i] = i % 3 ? 0x3f80 : 0xbf33; /* 1, -0.7 */
        u.wide_z[i] = as_float(i << 16);
        u.wide_dy[i] = as_float((uint32_t)u.dy[i] << 16);
    }
    for (int act = WEFT_ACT_NONE; act < WEFT_ACTS; act++) unary((enum weft_act)act, &u);
    for (size_t i = 0; i < 6; i++) free(*half[i]);
    for (size_t i = 0; i < 4; i++) free(*wide[i]);
}

int main(void) {
    const char *const how = getenv("WEFT_CHECK");
    tables = check_tables(table);
    widen();
    narrow(how && strcmp(how, "full") == 0);
    unaries();
    printf("bf16: %zu ISAs, %d failures\n", tables, failures);
    return failures != 0;
}
