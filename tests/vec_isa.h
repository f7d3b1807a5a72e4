/* The inline vector layer made callable: vec_isa.c is compiled once per ISA and exports this. */
#ifndef WEFT_VEC_ISA_H
#define WEFT_VEC_ISA_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "tests/support/check.h"

/* One op on VL lanes of up to three operands, as bit patterns. */
struct vec_op {
    const char *name;
    enum vec_kind { VEC_F32, VEC_I32, VEC_F64 } kind; /* of the result; F64: two words a lane */
    void (*run)(const uint32_t *a, const uint32_t *b, const uint32_t *c, uint32_t *out);
};

struct vec_isa {
    const char *name;
    size_t vl;
    const struct vec_op *op;   /* ends with a NULL name; the same order for every ISA */
    const struct vec_op *math; /* functions of vec_math.h and vec_act.h, of one operand */
    /* what depends on VL */
    void (*copy_f32)(const float *x, float *y, size_t n); /* v_store_n(y, v_load_n(x, n), n) */
    void (*copy_i32)(const int32_t *x, int32_t *y, size_t n);
    void (*copy_u16)(const uint16_t *x, uint16_t *y, size_t n);
    void (*load_f32)(const float *x, float *lanes, size_t n); /* all lanes of v_load_n */
    void (*load_i32)(const int32_t *x, int32_t *lanes, size_t n);
    void (*load_u16)(const uint16_t *x, int32_t *lanes, size_t n);
    size_t (*count_first)(size_t n, int *any, int *inverse); /* m_count, m_any, count of m_not */
    void (*lanes)(int32_t *iota, float *bcast, const float *x);
    void (*fold)(const float *x, float out[3], double *dadd); /* add, max, min of VL values */
    void (*transpose)(float *block);                          /* (VL, VL) */
    void (*load_t)(const float *x, size_t ld, bool whole, float *block); /* VL or VL/2+1 rows */
    /* vec_reduce.h: the same for every VL. sum, dot, max, absmax; sum, dot in f64 */
    void (*reduce)(const float *x, const float *y, size_t n, float out[4], double wide[2]);
};

#define WEFT_KERNEL_ISA(isa)     extern const struct vec_isa vec_isa_##isa;
#define WEFT_KERNEL_ISA_DOT(isa) /* its vectors are those of another */
#include "kernels/isa.def"
#undef WEFT_KERNEL_ISA

/* Those this CPU can run, emu first. */
static inline size_t vec_isas(const struct vec_isa *out[8]) {
    const struct vec_isa *all[] = {
#define WEFT_KERNEL_ISA(isa) &vec_isa_##isa,
#define WEFT_KERNEL_ISA_DOT(isa)
#include "kernels/isa.def"
#undef WEFT_KERNEL_ISA
    };
    const struct weft_kernels *tables[8];
    const size_t tables_n = check_tables(tables);
    size_t n = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (size_t t = 0; t < tables_n; t++)
            if (strcmp(all[i]->name, tables[t]->isa) == 0) out[n++] = all[i];
    return n;
}

#endif
