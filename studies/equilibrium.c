/* See equilibrium.h. */
#include "studies/equilibrium.h"

#include <math.h>
#include "studies/draw.h"
#include "studies/verdict.h"
#include "weft/math.h"

static size_t noise_weights(const struct study *s) {
    return (size_t)study_pick(s, 20000, 200000, 200000, 200000);
}
static uint64_t noise_steps(const struct study *s) {
    return (uint64_t)study_pick(s, 300, 1600, 1600, 1600);
}

static void no_batch(struct trial *t, uint64_t step, struct weft_batch *out) {
    static const float zeros[1000];
    (void)t, (void)step;
    *out = (struct weft_batch){.inputs = zeros, .values = zeros, .rows = 1};
}

static enum weft_status noise(struct trial *t) {
    struct weft_param_info *const p = &t->param[0];
    weft_random_normal(t->run->ctx, t->run->cell->seed, DRAW_NOISE, t->step * trial_count(p), 1,
                       p->grad, trial_count(p));
    return WEFT_OK;
}

enum weft_status equilibrium_run(struct study_run *r) {
    const struct trial_spec spec = {
        .fill = no_batch,
        .mlp = {.inputs = 200, .outputs = noise_weights(r->s) / 200, .inner = true},
        .how = {.batch = 1,
                .watch = "weights",
                .optim = {"adamw", 0.9, r->cell->number[1], 1e-8, r->cell->number[0]}},
        .init = {.name = "normal", .std = EQUILIBRIUM_STD},
        .steps = noise_steps(r->s),
        .lr = 2e-3,
        .every = 20,
        .kinds = "std norm update_ratio",
        .grad = noise,
    };
    return trial_run(r, &spec);
}

double *equilibrium_std(struct study *s, const struct weft_schedule *schedule, double decay) {
    double *const std = study_doubles(s, (size_t)schedule->steps + 1);
    double square = EQUILIBRIUM_STD * EQUILIBRIUM_STD;
    for (uint64_t t = 0; t <= schedule->steps; t++) {
        const double lr = weft_schedule_lr(schedule, t);
        std[t] = sqrt(square);
        square += lr * lr - 2 * lr * decay * square;
    }
    return std;
}

void equilibrium_check(struct study *s, char part) {
    struct check_worst std = {0}, step = {0};
    const double lr = 2e-3, want_step = sqrt(0.1 / 1.9);
    for (size_t i = 0; i < s->cells; i++) {
        const struct study_cell *const c = &s->cell[i];
        const double decay = c->number[0];
        for (size_t k = 0; c->part == part && k < c->records; k++) {
            const struct study_record *const r = &c->record[k];
            const double t = (double)r->step + 1, fade = exp(-2 * lr * decay * t);
            const double rest = decay > 0 ? lr / (2 * decay) * (1 - fade) : lr * lr * t;
            if (r->layer != 0 || r->step < 100) continue;
            if (r->kind == KIND_std)
                check_near(&std, r->value / sqrt(EQUILIBRIUM_STD * EQUILIBRIUM_STD * fade + rest),
                           1, 0.05, "λ %g, β2 %g, step %.0f", decay, c->number[1], t);
            if (r->kind == KIND_update_ratio && decay == 0)
                check_near(&step, r->value * study_value(c, KIND_std, 0, r->tensor, r->step) / lr,
                           want_step, 0.08 * want_step, "β2 %g, step %.0f", c->number[1], t);
        }
    }
    study_check_worst(s, CHECK_TH, part, "weights that see noise: std follows the closed form",
                      &std, NULL);
    study_check_worst(s, CHECK_TH, part, "rms of m̂/√v̂ = √((1-β1)/(1+β1))", &step, NULL);
}
