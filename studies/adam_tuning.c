/* See adam_tuning.h. */
#include "studies/adam_tuning.h"

#include <math.h>
#include "studies/curve.h"
#include "studies/recipe.h"
#include "studies/verdict.h"

#define TRIALS 5
static const struct stage { /* values of one number, the ones before it at their best */
    const char *name;
    size_t n;
    double value[TRIALS];
} stages[] = {{"lr", 5, {1e-4, 3e-4, 1e-3, 3e-3, 1e-2}},
              {"beta1", 5, {0.5, 0.8, 0.9, 0.95, 0.99}},
              {"eps", 4, {1e-8, 1e-6, 1e-4, 1e-2}},
              {"beta2", 4, {0.9, 0.99, 0.999, 0.9999}}};
#define STAGES (sizeof stages / sizeof *stages)

static void set(struct trial_spec *spec, size_t stage, double value) {
    double *const place[] = {&spec->lr, &spec->how.optim.beta1, &spec->how.optim.eps,
                             &spec->how.optim.beta2};
    *place[stage] = value;
}

enum weft_status tuning_run(struct study_run *r, uint64_t steps) {
    struct trial_spec spec = recipe_mnist(256, 2);
    struct trial_trace trace = {0};
    enum weft_status st = WEFT_OK;
    spec.how.optim = (struct weft_optim){"adam", 0.9, 0.999, 1e-8};
    spec.steps = steps;
    spec.eval_samples = r->s->set.setting == STUDY_SMOKE ? 64 : 2048;
    for (size_t i = 0; i < STAGES; i++) {
        double best = stages[i].value[0], least = (double)INFINITY;
        for (size_t k = 0; k < stages[i].n; k++) {
            set(&spec, i, stages[i].value[k]);
            st = trial_trace(r, &spec, stages[i].name, (int)k, &trace);
            if (st != WEFT_OK || r->stopped || r->mode == STUDY_TWIN) return st;
            if (!(trace.val < least)) continue;
            least = trace.val;
            best = stages[i].value[k];
        }
        set(&spec, i, best);
    }
    return st;
}

/* The lowest validation loss of a stage; *at: its value. */
static double tuned(const struct study *s, char part, size_t stage, double *at) {
    const struct study_cell *const c = study_find(s, part, "tuning", STUDY_ANY, STUDY_ANY, 1);
    double least = (double)NAN;
    for (size_t k = 0; k < stages[stage].n; k++) {
        const double val = study_value(c, KIND_val_loss, (int)k, stages[stage].name, STUDY_LAST);
        if (!(val < least) && !isnan(least)) continue;
        least = val;
        *at = stages[stage].value[k];
    }
    return least;
}

void tuning_report(struct study *s, char part) {
    double at = (double)NAN;
    study_check(s, CHECK_RP, part, "Adam on MNIST, tuned: validation loss",
                tuned(s, part, STAGES - 1, &at), 0, 0, "\"rate, then β1, ε, β2\" [src], no number");
    for (size_t i = 0; i < STAGES; i++) {
        const double loss = tuned(s, part, i, &at);
        study_remark(s, "%s %g: %.4f", stages[i].name, at, loss);
    }
}

void tuning_draw(struct study *s, char part) {
    struct study_figure *const f =
        figure_xy(s, "tuning", "Adam tuned one number after the other", "trial", "validation loss");
    const struct study_cell *const c = study_find(s, part, "tuning", STUDY_ANY, STUDY_ANY, 1);
    double first = 1;
    f->y.log = true;
    for (size_t i = 0; i < STAGES; first += (double)stages[i].n, i++) {
        double *const x = study_doubles(s, TRIALS), *const y = study_doubles(s, TRIALS);
        for (size_t k = 0; k < stages[i].n; k++) {
            x[k] = first + (double)k;
            y[k] = study_value(c, KIND_val_loss, (int)k, stages[i].name, STUDY_LAST);
        }
        figure_curve(f, stages[i].name, figure_hue(i), FIGURE_DOTS,
                     &(struct study_curve){.n = stages[i].n, .x = x, .mean = y});
    }
}
