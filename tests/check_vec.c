/* Every op of the vector layer, on every ISA, lane by lane: the bits of vec_emu.h (all NaNs equal),
 * which in turn is held against the C library where that has the op. Special values in all pairs,
 * every tail against guard pages, folds, transposes, and reductions of every length up to 200. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/support/gbuf.h"
#include "tests/vec_isa.h"

enum { N = 1 << 14, MAX_VL = 16 };
static uint32_t a[N], b[N], c[N], got[2 * N], want[2 * N];
static int failures;

#define FAIL(...) (failures++ < 20 ? (void)(printf("FAIL " __VA_ARGS__), putchar('\n')) : (void)0)

static float as_float(uint32_t u) {
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}
static double as_double(const uint32_t *u) {
    double x;
    memcpy(&x, u, sizeof x);
    return x;
}

static uint32_t draw(void) {
    static uint64_t s = 9;
    s = s * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(s >> 32);
}

/* All pairs of the special values, then any bits, then numbers of like size, which cancel. */
static void fill_operands(void) {
    static const float special[] = {0,
                                    1,
                                    0.5F,
                                    1.5F,
                                    2.5F,
                                    0x1p23F,
                                    0x1.fffffep22F,
                                    0x1p31F,
                                    3.3F,
                                    0x1p-126F,
                                    0x1p-149F,
                                    0x1.fffffep127F,
                                    (float)INFINITY,
                                    (float)NAN,
                                    0.49999997F,
                                    0x1p24F};
    const uint32_t n = 2 * sizeof special / sizeof *special;
    for (uint32_t i = 0; i < N; i++) {
        const uint32_t pair[3] = {i % n, i / n % n, (i + i / n) % n};
        uint32_t *const to[3] = {a, b, c};
        for (int k = 0; k < 3; k++) {
            uint32_t u = draw();
            if (i < n * n) {
                memcpy(&u, &special[pair[k] / 2], sizeof u);
                u |= pair[k] % 2 << 31;
            } else if (i % 2) {
                u = (u & 0x80ffffffu) | 0x3f000000u;
            }
            to[k][i] = u;
        }
    }
}

static void run(const struct vec_isa *v, const struct vec_op *op, uint32_t *out) {
    const size_t words = op->kind == VEC_F64 ? 2 : 1;
    for (size_t i = 0; i < N; i += v->vl) op->run(a + i, b + i, c + i, out + i * words);
}

static int same(const struct vec_op *op, size_t i) {
    if (op->kind == VEC_F64) {
        const double x = as_double(got + 2 * i), y = as_double(want + 2 * i);
        return memcmp(got + 2 * i, want + 2 * i, 8) == 0 || (isnan(x) && isnan(y));
    }
    if (got[i] == want[i]) return 1;
    return op->kind == VEC_F32 && isnan(as_float(got[i])) && isnan(as_float(want[i]));
}

static void check_ops(const struct vec_isa *emu, const struct vec_isa *v) {
    for (size_t k = 0; v->op[k].name; k++) {
        run(emu, &emu->op[k], want);
        run(v, &v->op[k], got);
        for (size_t i = 0; i < N; i++)
            if (!same(&v->op[k], i)) {
                FAIL("%s %s(%a, %a, %a): %#x, emu has %#x", v->name, v->op[k].name,
                     (double)as_float(a[i]), (double)as_float(b[i]), (double)as_float(c[i]), got[i],
                     want[i]);
                break;
            }
    }
}

/* emu against the C library */
static float lib_fma(float x, float y, float z) { return fmaf(x, y, z); }
static float lib_fnma(float x, float y, float z) { return fmaf(-x, y, z); }
static float lib_round(float x, float y, float z) { return (void)y, (void)z, rintf(x); }
static float lib_floor(float x, float y, float z) { return (void)y, (void)z, floorf(x); }
static float lib_copysign(float x, float y, float z) { return (void)z, copysignf(x, y); }
static float lib_max(float x, float y, float z) {
    (void)z;
    if (isnan(x) || isnan(y)) return (float)NAN;
    if (x == y) return signbit(x) ? y : x;
    return fmaxf(x, y);
}
static float lib_min(float x, float y, float z) { return -lib_max(-x, -y, z); }

static void check_emu(const struct vec_isa *emu) {
    static const struct {
        const char *name;
        float (*f)(float, float, float);
    } lib[] = {{"fma", lib_fma},     {"fnma", lib_fnma},         {"round", lib_round},
               {"floor", lib_floor}, {"copysign", lib_copysign}, {"max", lib_max},
               {"min", lib_min}};
    for (size_t k = 0; k < sizeof lib / sizeof *lib; k++) {
        const struct vec_op *op = emu->op;
        while (strcmp(op->name, lib[k].name) != 0) op++;
        run(emu, op, got);
        for (size_t i = 0; i < N; i++) {
            const float y = lib[k].f(as_float(a[i]), as_float(b[i]), as_float(c[i]));
            memcpy(&want[i], &y, sizeof y);
            if (!same(op, i)) {
                FAIL("emu %s(%a, %a): %#x, the C library %#x", op->name, (double)as_float(a[i]),
                     (double)as_float(b[i]), got[i], want[i]);
                break;
            }
        }
    }
}

/* ---- what depends on VL ---- */
static void check_tails(const struct vec_isa *v) {
    struct gbuf in = {0}, out = {0};
    if (!gbuf_open(&in, 4096) || !gbuf_open(&out, 4096)) abort();
    for (size_t n = 0; n <= v->vl; n++)
        for (int end = 0; end < 2; end++) {
            const size_t bytes = n * sizeof(float);
            unsigned char *x = gbuf_place(&in, bytes, end, 0);
            unsigned char *y = gbuf_place(&out, bytes, end, 0);
            float lanes[MAX_VL];
            int32_t ilanes[MAX_VL];
            memcpy(x, a, bytes);
            gbuf_fill(&out);
            v->copy_f32((const float *)(void *)x, (float *)(void *)y, n);
            bool ok = memcmp(x, y, bytes) == 0;
            memset(y, 0, bytes);
            v->copy_i32((const int32_t *)(void *)x, (int32_t *)(void *)y, n);
            ok = ok && memcmp(x, y, bytes) == 0 && !gbuf_find_damage(&out, out.page, y) &&
                 !gbuf_find_damage(&out, y + bytes, out.page + out.page_bytes);
            v->load_f32((const float *)(void *)x, lanes, n);
            v->load_i32((const int32_t *)(void *)x, ilanes, n);
            ok = ok && memcmp(lanes, x, bytes) == 0 && memcmp(ilanes, x, bytes) == 0;
            for (size_t i = n; i < v->vl; i++) ok = ok && lanes[i] == 0 && ilanes[i] == 0;
            if (!ok) FAIL("%s: tail of %zu, %s", v->name, n, end ? "END" : "START");
            int any, inverse;
            const size_t first = v->count_first(n, &any, &inverse);
            if (first != n || any != (n > 0) || inverse != (int)(v->vl - n))
                FAIL("%s: m_first(%zu) counts %zu, any %d, not %d", v->name, n, first, any,
                     inverse);
        }
    gbuf_close(&in);
    gbuf_close(&out);
}

/* The last row's last element stands before a guard page. */
static void check_load_t(const struct vec_isa *v) {
    float block[MAX_VL * MAX_VL];
    const size_t vl = v->vl, ld = vl + 3;
    struct gbuf in = {0};
    if (!gbuf_open(&in, 4096)) abort();
    for (size_t part = 0; part < 2; part++) {
        const size_t rows = part ? vl / 2 + 1 : vl;
        const size_t n = (rows - 1) * ld + vl;
        float *const x = (float *)(void *)gbuf_place(&in, n * sizeof *x, true, 0);
        for (size_t i = 0; i < n; i++) x[i] = (float)(int32_t)draw();
        v->load_t(x, ld, !part, block);
        for (size_t i = 0; i < vl * vl; i++) {
            const size_t row = i % vl, col = i / vl;
            if (block[i] != (row < rows ? x[row * ld + col] : 0))
                FAIL("%s: load_t of %zu rows, row %zu column %zu", v->name, rows, row, col);
        }
    }
    gbuf_close(&in);
}

/* The same of 16-bit numbers, which have accesses of their own. */
static void check_tails_u16(const struct vec_isa *v) {
    struct gbuf in = {0}, out = {0};
    if (!gbuf_open(&in, 4096) || !gbuf_open(&out, 4096)) abort();
    for (size_t n = 0; n <= v->vl; n++)
        for (int end = 0; end < 2; end++) {
            const size_t bytes = n * sizeof(uint16_t);
            unsigned char *x = gbuf_place(&in, bytes, end, 0);
            unsigned char *y = gbuf_place(&out, bytes, end, 0);
            int32_t lanes[MAX_VL];
            memcpy(x, a, bytes);
            gbuf_fill(&out);
            v->copy_u16((const uint16_t *)(void *)x, (uint16_t *)(void *)y, n);
            bool ok = memcmp(x, y, bytes) == 0 && !gbuf_find_damage(&out, out.page, y) &&
                      !gbuf_find_damage(&out, y + bytes, out.page + out.page_bytes);
            v->load_u16((const uint16_t *)(void *)x, lanes, n);
            for (size_t i = 0; i < v->vl; i++)
                ok = ok && lanes[i] == (i < n ? ((const uint16_t *)(void *)x)[i] : 0);
            if (!ok) FAIL("%s: tail of %zu u16, %s", v->name, n, end ? "END" : "START");
        }
    gbuf_close(&in);
    gbuf_close(&out);
}

static void check_shapes(const struct vec_isa *v) {
    static float x[MAX_VL * MAX_VL], r[MAX_VL * MAX_VL];
    int32_t iota[MAX_VL];
    float bcast[MAX_VL], folded[3], tree[MAX_VL];
    double dadd, dtree[MAX_VL];
    const size_t vl = v->vl;
    for (size_t i = 0; i < vl * vl; i++) x[i] = (float)(int32_t)draw() * 0x1p-20F;
    memcpy(r, x, sizeof r);
    v->transpose(r);
    v->lanes(iota, bcast, x);
    for (size_t i = 0; i < vl; i++) {
        if (iota[i] != (int32_t)i || bcast[i] != x[0]) FAIL("%s: iota or bcast", v->name);
        for (size_t j = 0; j < vl; j++)
            if (r[i * vl + j] != x[j * vl + i]) FAIL("%s: transpose %zu %zu", v->name, i, j);
        dtree[i] = (double)(tree[i] = x[i]);
    }
    v->fold(x, folded, &dadd);
    float max = x[0], min = x[0];
    for (size_t i = 0; i < vl; i++) {
        max = fmaxf(max, x[i]);
        min = fminf(min, x[i]);
    }
    for (size_t w = vl / 2; w > 0; w /= 2)
        for (size_t i = 0; i < w; i++) {
            tree[i] += tree[i + w];
            dtree[i] += dtree[i + w];
        }
    if (folded[0] != tree[0] || folded[1] != max || folded[2] != min || dadd != dtree[0])
        FAIL("%s: folds %a %a %a %a", v->name, (double)folded[0], (double)folded[1],
             (double)folded[2], dadd);
}

static void check_reduce(const struct vec_isa *emu, const struct vec_isa *v) {
    static float x[256], y[256];
    for (size_t n = 0; n < 200; n++) {
        float f[2][4];
        double d[2][2], exact = 0, size = 0;
        for (size_t i = 0; i < n; i++) {
            x[i] = (float)(int32_t)draw() * 0x1p-25F;
            y[i] = (float)(int32_t)draw() * 0x1p-25F;
            exact += (double)x[i] * (double)y[i];
            size += fabs((double)x[i] * (double)y[i]);
        }
        emu->reduce(x, y, n, f[0], d[0]);
        v->reduce(x, y, n, f[1], d[1]);
        if (memcmp(f[0], f[1], sizeof f[0]) != 0 || memcmp(d[0], d[1], sizeof d[0]) != 0)
            FAIL("%s: a reduction of %zu values differs from emu's", v->name, n);
        const double bound = ((double)n / 32 + 6) * size;
        if (!(fabs((double)f[1][1] - exact) <= bound * 0x1p-24) ||
            !(fabs(d[1][1] - exact) <= bound * 0x1p-52))
            FAIL("%s: dot of %zu values: %g %g, want %g", v->name, n, (double)f[1][1], d[1][1],
                 exact);
    }
}

int main(void) {
    const struct vec_isa *isa[8];
    const size_t n = vec_isas(isa);
    fill_operands();
    check_emu(isa[0]);
    for (size_t i = 0; i < n; i++) {
        const int before = failures;
        check_ops(isa[0], isa[i]);
        check_tails(isa[i]);
        check_tails_u16(isa[i]);
        check_shapes(isa[i]);
        check_load_t(isa[i]);
        check_reduce(isa[0], isa[i]);
        printf("vec %s %s\n", isa[i]->name, failures == before ? "ok" : "FAILED");
    }
    return failures != 0 || n == 0;
}
