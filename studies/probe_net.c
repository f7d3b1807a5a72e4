/* See probe_net.h. */
#include "studies/probe_net.h"

#include <math.h>
#include <stdlib.h>
#include "studies/draw.h"

struct ends {
    float *x, *delta;
};

static void fill(struct trial *t, uint64_t step, struct weft_batch *out) {
    const struct ends *const e = t->user;
    (void)step;
    *out = (struct weft_batch){.inputs = e->x, .values = e->delta, .rows = t->spec->how.batch};
}

struct trial_spec probe_net_spec(const char *act, size_t rows, const char *init, double std) {
    return (struct trial_spec){
        .mlp = {.act = act, .inner = true},
        .how = {.watch = "layer", .batch = rows, .optim = {.name = "sgd"}},
        .init = {.name = init, .std = std},
        .steps = 1,
        .kinds = "z_mean z_rms x_mean x_rms delta_rms",
        .eval_samples = TRIAL_NO_EVAL,
    };
}

enum weft_status probe_net_run(struct study_run *r, struct trial_spec *spec, double input_std) {
    const size_t rows = spec->how.batch, in = spec->mlp.inputs, out = spec->mlp.outputs;
    struct ends e = {malloc(rows * in * sizeof(float)), malloc(rows * out * sizeof(float))};
    enum weft_status st = WEFT_ERR_NOMEM;
    if (e.x != NULL && e.delta != NULL) {
        double sum = 0;
        draw_normal(r->cell->seed, DRAW_INPUT, 0, input_std, e.x, rows * in);
        draw_normal(r->cell->seed, DRAW_DELTA, 0, 1, e.delta, rows * out);
        for (size_t i = 0; i < rows * out; i++) sum += pow((double)e.delta[i], 2);
        /* a step divides the gradient by its rows */
        study_put(r, 0, -1, "output", KIND_delta_rms,
                  sqrt(sum / (double)(rows * out)) / (double)rows);
        spec->user = &e;
        spec->fill = fill;
        st = trial_run(r, spec);
    } else {
        weft_ctx_fail(r->ctx, st, "out of memory for inputs");
    }
    free(e.x);
    free(e.delta);
    return st;
}
