/* Measurements read back: Google Benchmark's JSON, and profiles of steps. */
#ifndef WEFT_TRAIN_BENCH_DATA_H
#define WEFT_TRAIN_BENCH_DATA_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include "weft/context.h"

/* One benchmark with all its repetitions. Names are <op>/<dtype>/<who>/<dims>.../threads:<n>/... */
struct weft_bench_case {
    char *name;
    char op[32], who[24], variant[16]; /* variant: plain, packed or "" */
    char set[16];                      /* of a product's shape, else "" */
    size_t m, n, k, threads;           /* 0: not in the name */
    bool cold;
    size_t runs;
    double *seconds; /* (runs), ascending */
    double gflops, gbs, share; /* of the fastest run; share: % of the limit, 0: unknown */
    const char *binds;         /* which limit; in the document */
};
struct weft_bench_data {
    json_t **document; /* (documents) what was read: texts live here */
    size_t documents;
    struct weft_bench_case *at;
    size_t n;
    const json_t **profile; /* (profiles) of `weft bench explain --json` */
    size_t profiles;
};

WEFT_NODISCARD enum weft_status weft_bench_data_load(weft_ctx *ctx, const char *const *files, size_t n,
                                                     struct weft_bench_data *out);
void weft_bench_data_free(struct weft_bench_data *d);

double weft_bench_median(const struct weft_bench_case *c);
/* A member of the context of the first document that has it, or NULL. */
const char *weft_bench_context(const struct weft_bench_data *d, const char *key);

#endif
