/* A peer that must be compiled with headers of its own: a shared object with one function. */
#ifndef WEFT_BENCH_PLUGIN_H
#define WEFT_BENCH_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>

struct weft_bench_product { /* C (m, n) = A·B, row-major */
    size_t m, n, k;
    bool a_trans, b_trans; /* A lies as (k, m), B as (n, k) */
    bool packed;           /* runs take B as pack() wrote it */
    bool bf16, c_bf16;     /* A and B are bf16; C too */
    int threads;
};

struct weft_bench_plugin {
    const char *(*version)(void);
    void *(*create)(const struct weft_bench_product *p); /* NULL: it cannot */
    void (*destroy)(void *handle);
    void (*run)(void *handle, const void *a, const void *b, void *c);
    size_t (*packed_floats)(void *handle);
    void (*pack)(void *handle, const void *b, void *packed);
};

#ifdef __cplusplus
extern "C"
#endif
    const struct weft_bench_plugin *
    weft_bench_plugin_get(void);

#endif
