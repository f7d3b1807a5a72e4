#include "kernels/ref/ref_optim.h"
#include <math.h>
#include <string.h>

typedef void step_fn(const struct ref_optim *o, struct ref_optim_state *s, double g);

static void sgd(const struct ref_optim *o, struct ref_optim_state *s, double g) {
    s->w -= o->lr * g;
}

static void momentum(const struct ref_optim *o, struct ref_optim_state *s, double g) {
    s->m = o->beta1 * s->m + g;
    s->w -= o->lr * s->m;
}

static void nesterov(const struct ref_optim *o, struct ref_optim_state *s, double g) {
    s->m = o->beta1 * s->m + g;
    s->w -= o->lr * (o->beta1 * s->m + g);
}

static void rmsprop(const struct ref_optim *o, struct ref_optim_state *s, double g) {
    s->v = o->beta2 * s->v + (1 - o->beta2) * g * g;
    s->m = o->beta1 * s->m + g / (sqrt(s->v) + o->eps);
    s->w -= o->lr * s->m;
}

static void rmsprop_playbook(const struct ref_optim *o, struct ref_optim_state *s, double g) {
    s->v = o->beta2 * s->v + (1 - o->beta2) * g * g;
    s->m = o->beta1 * s->m + o->lr / sqrt(s->v + o->eps) * g;
    s->w -= s->m;
}

static void adam_moments(const struct ref_optim *o, struct ref_optim_state *s, double g) {
    s->m = o->beta1 * s->m + (1 - o->beta1) * g;
    s->v = o->beta2 * s->v + (1 - o->beta2) * g * g;
}

static void adam(const struct ref_optim *o, struct ref_optim_state *s, double g) {
    adam_moments(o, s, g);
    const double m_hat = s->m / (1 - pow(o->beta1, (double)s->t));
    const double v_hat = s->v / (1 - pow(o->beta2, (double)s->t));
    s->w -= o->lr * m_hat / (sqrt(v_hat) + o->eps);
}

static void adamw(const struct ref_optim *o, struct ref_optim_state *s, double g) {
    s->w -= o->lr * o->decay * s->w;
    adam(o, s, g);
}

static void nadam(const struct ref_optim *o, struct ref_optim_state *s, double g) {
    const double t = (double)s->t;
    const double mu = o->beta1 * (1 - 0.5 * pow(0.96, t * 0.004));
    const double mu_next = o->beta1 * (1 - 0.5 * pow(0.96, (t + 1) * 0.004));
    s->mu_product *= mu;
    adam_moments(o, s, g);
    const double den = sqrt(s->v / (1 - pow(o->beta2, t))) + o->eps;
    s->w -= o->lr * (1 - mu) / (1 - s->mu_product) * g / den;
    s->w -= o->lr * mu_next / (1 - s->mu_product * mu_next) * s->m / den;
}

static double playbook_b(const struct ref_optim *o, const struct ref_optim_state *s) {
    return sqrt(1 - pow(o->beta2, (double)s->t)) / (1 - pow(o->beta1, (double)s->t));
}

static void adam_playbook(const struct ref_optim *o, struct ref_optim_state *s, double g) {
    adam_moments(o, s, g);
    s->w -= o->lr * s->m / (sqrt(s->v) + o->eps) * playbook_b(o, s);
}

static void nadam_playbook(const struct ref_optim *o, struct ref_optim_state *s, double g) {
    adam_moments(o, s, g);
    const double ahead = o->beta1 * s->m + (1 - o->beta1) * g;
    s->w -= o->lr * ahead / (sqrt(s->v) + o->eps) * playbook_b(o, s);
}

/* One parameter whose norm is |w|, its trust coefficient times |w| over |G| being 1. */
static void lars(const struct ref_optim *o, struct ref_optim_state *s, double g) {
    s->m = o->beta1 * s->m + o->lr * g;
    s->w -= s->m;
}

static void signsgd(const struct ref_optim *o, struct ref_optim_state *s, double g) {
    s->w -= o->lr * o->decay * s->w;
    s->w -= o->lr * ((g > 0) - (g < 0));
}

static const struct {
    const char *name;
    step_fn *step;
} rules[] = {
    {"sgd", sgd},
    {"momentum", momentum},
    {"nesterov", nesterov},
    {"rmsprop", rmsprop},
    {"adam", adam},
    {"adamw", adamw},
    {"nadam", nadam},
    {"momentum_playbook", momentum}, /* the same two rules there */
    {"nesterov_playbook", nesterov},
    {"rmsprop_playbook", rmsprop_playbook},
    {"adam_playbook", adam_playbook},
    {"nadam_playbook", nadam_playbook},
    {"lars", lars},
    {"signsgd", signsgd},
};

struct ref_optim_state ref_optim_start(const char *name, double w) {
    return (struct ref_optim_state){
        .w = w, .v = strcmp(name, "rmsprop_playbook") == 0, .mu_product = 1};
}

int ref_optim_step(const char *name, const struct ref_optim *o, struct ref_optim_state *s,
                   double g) {
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (strcmp(rules[i].name, name) == 0) {
            s->t++;
            const int apart = strcmp(name, "adamw") == 0 || strcmp(name, "signsgd") == 0;
            rules[i].step(o, s, apart ? g : g + o->decay * s->w);
            return 1;
        }
    return 0;
}
