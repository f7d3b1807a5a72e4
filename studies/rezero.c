/* Does x + a f(x), a learned from 0, train deep nets without norm or warmup?
 *
 *   a  residual ReLU perceptrons of width 64 on MNIST, up to 256 layers
 *   b  GPT of 12 layers without LayerNorm, against LayerNorm before and after
 *   c  the last matrix of each branch starts at 0 instead
 *
 * With a = 0 a net is the one without its blocks, bit for bit: the gradients of the branches are 0,
 * those of the factors are not. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "studies/curve.h"
#include "studies/detect.h"
#include "studies/draw.h"
#include "studies/recipe.h"
#include "studies/stats.h"
#include "studies/verdict.h"

#define WIDTH  64
#define LAYERS 12
static const struct {
    const char *name, *block, *init;
} nets[] = {
    {"rezero", "rezero", "kaiming-normal"},
    {"he-residual", "residual", "kaiming-normal"},
    {"plain", "plain", "kaiming-normal"},
};
static const double depths[] = {16, 64, 256, 1024};
static const struct arm {
    char part;
    const char *name, *norm;
} arms[] = {{'b', "rezero", "none"},
            {'b', "pre", "pre"},
            {'b', "post", "post"},
            {'c', "zero-last", "none"}};
#define ARMS (sizeof arms / sizeof *arms)

static size_t depths_of(const struct study *s) {
    return s->set.setting >= STUDY_DEFAULT ? 4 : s->set.setting == STUDY_QUICK ? 3 : 1;
}
static uint64_t steps_of(const struct study *s, char part) {
    return (uint64_t)(part == 'a' ? study_pick(s, 3, 150, 1000, 1000)
                                  : study_pick(s, 3, 110, 2000, 2000));
}
static struct trial_spec language(const struct study *s) {
    return s->set.setting <= STUDY_QUICK ? recipe_gpt(LAYERS, 64, 64, 8)
                                         : recipe_gpt(LAYERS, 128, 128, 32);
}

static void grid(struct study *s) {
    const struct trial_spec gpt = language(s);
    const double flops = recipe_gpt_flops(LAYERS, gpt.gpt2.width, gpt.gpt2.context, gpt.how.batch,
                                          (double)steps_of(s, 'b'));
    for (size_t i = 0; i < 3; i++)
        for (size_t d = 0; d < depths_of(s); d++)
            for (size_t seed = 1; seed <= study_seeds(s, 1, 1, 3); seed++)
                study_add(s, 'a', nets[i].name, seed,
                          recipe_mnist_flops(WIDTH, (size_t)depths[d], (double)steps_of(s, 'a')),
                          depths[d], STUDY_ANY);
    study_add(s, 'a', "identity", 1, 1e8, 64, STUDY_ANY);
    study_add(s, 'a', "identity", 1, 1e8, 0, STUDY_ANY);
    for (size_t i = 0; i < ARMS; i++)
        for (size_t seed = 1; seed <= study_seeds(s, 1, 2, 3); seed++) {
            if (i == 1 && seed == 1) s->proof = s->cells;
            study_add(s, arms[i].part, arms[i].name, seed, flops, STUDY_ANY, STUDY_ANY);
        }
    if (!study_has(s, 'b')) s->proof = 0;
    s->epochs = recipe_mnist_epochs((double)steps_of(s, 'a'));
    study_note(s, "perceptron",
               "784-64, blocks of 64, 10; Kaiming, SGD 0.1 (plain 0.01), %.0f steps",
               (double)steps_of(s, 'a'));
    study_note(s, "GPT", "GPT(12,%zu,%zu), batch %zu, AdamW 4e-3, no warmup, %.0f steps",
               gpt.gpt2.width, gpt.gpt2.context, gpt.how.batch, (double)steps_of(s, 'b'));
}

/* ---- cells ---- */
/* Learned factors at steps that are due; layer: their number. */
static enum weft_status put_gains(struct trial *t) {
    int number = 0;
    for (size_t i = 0; i < t->params && t->step % 10 == 0; i++)
        if (strcmp(t->param[i].role, "gain") == 0)
            study_put(t->run, (int64_t)t->step, number++, "alpha", KIND_value,
                      (double)t->param[i].data[0]);
    return WEFT_OK;
}

/* Largest gradient of a branch, and number of factors without one. */
static enum weft_status put_gradients(struct trial *t) {
    double most = 0, still = 0;
    for (size_t i = 0; i < t->params; i++) {
        const struct weft_param_info *const p = &t->param[i];
        if (strcmp(p->role, "gain") == 0) still += !(p->grad[0] != 0);
        for (size_t k = 0; strcmp(p->role, "block") == 0 && k < trial_count(p); k++)
            most = stats_worse(most, fabs((double)p->grad[k]));
    }
    study_put(t->run, 0, -1, "branch", KIND_value, most);
    study_put(t->run, 0, -1, "still", KIND_value, still);
    return WEFT_OK;
}

/* Draws go by the number of a parameter: give the output the same ones behind any blocks. */
static enum weft_status same_output(struct trial *t) {
    struct weft_param_info *const w = &t->param[t->params - 2];
    draw_normal(t->run->cell->seed, DRAW_CHOICE, 0, 0.1, w->data, trial_count(w));
    return WEFT_OK;
}

static enum weft_status run_identity(struct study_run *r) {
    struct trial_spec spec = recipe_mnist(WIDTH, 1);
    spec.mlp.blocks = (size_t)r->cell->number[0];
    spec.mlp.block = spec.mlp.blocks > 0 ? "rezero" : NULL;
    spec.steps = 1;
    spec.lr = 0.1;
    spec.start = same_output;
    spec.grad = put_gradients;
    spec.eval_samples = TRIAL_NO_EVAL;
    return trial_run(r, &spec);
}

static enum weft_status run_perceptron(struct study_run *r) {
    struct trial_spec spec = recipe_mnist(WIDTH, 1);
    size_t i = 0;
    while (strcmp(nets[i].name, r->cell->arm) != 0) i++;
    spec.mlp.blocks = (size_t)r->cell->number[0];
    spec.mlp.block = nets[i].block;
    spec.init = (struct weft_init){.name = nets[i].init};
    spec.steps = steps_of(r->s, 'a');
    spec.lr = i == 0 ? 0.1 : 0.01;
    spec.after = put_gains;
    spec.eval_samples = TRIAL_NO_EVAL;
    return trial_run(r, &spec);
}

static enum weft_status zero_last(struct trial *t) {
    for (size_t i = 0; i < t->params; i++)
        if (strcmp(t->param[i].role, "attn_proj") == 0 || strcmp(t->param[i].role, "mlp_proj") == 0)
            memset(t->param[i].data, 0, trial_count(&t->param[i]) * sizeof(float));
    return WEFT_OK;
}

static enum weft_status run(struct study_run *r) {
    const struct study_cell *const c = r->cell;
    size_t i = 0;
    if (strcmp(c->arm, "identity") == 0) return run_identity(r);
    if (c->part == 'a') return run_perceptron(r);
    while (arms[i].part != c->part || strcmp(arms[i].name, c->arm) != 0) i++;
    struct trial_spec spec = language(r->s);
    spec.gpt2.norm = arms[i].norm;
    spec.gpt2.rezero = strcmp(c->arm, "rezero") == 0;
    spec.how.optim.clip = 0;
    spec.init = (struct weft_init){.name = "xavier-normal"};
    if (c->part == 'c') spec.start = zero_last;
    spec.steps = steps_of(r->s, 'b');
    spec.lr = 4e-3;
    spec.kinds = "gnorm";
    spec.every = 10;
    spec.after = put_gains;
    spec.eval_samples = r->s->set.setting == STUDY_SMOKE ? 4 : 128;
    return trial_run(r, &spec);
}

/* ---- checks ---- */
static void check_identity(struct study *s) {
    const struct study_cell *const deep = study_find(s, 'a', "identity", 64, STUDY_ANY, 1);
    const struct study_cell *const flat = study_find(s, 'a', "identity", 0, STUDY_ANY, 1);
    const double x = study_value(deep, KIND_loss, -1, "", 0);
    const double y = study_value(flat, KIND_loss, -1, "", 0);
    study_check(s, CHECK_ID, 'a', "α = 0, 64 blocks: loss differs from the net without blocks",
                isnan(x - y) ? (double)NAN : x != y, 0, 0, NULL);
    study_check(s, CHECK_ID, 'a', "α = 0: largest gradient of a branch",
                study_value(deep, KIND_value, -1, "branch", 0), 0, 0, NULL);
    study_check(s, CHECK_ID, 'a', "α = 0: factors without a gradient",
                study_value(deep, KIND_value, -1, "still", 0), 0, 0, NULL);
}

static bool feasible(struct study *s, const struct study_cell *c) {
    size_t n;
    const double *const loss = study_losses(s, c, &n);
    return detect_look(loss, n, (size_t)steps_of(s, c->part), log(10)).feasible;
}

static double failures(struct study *s, const char *arm, char *text, size_t size) {
    double failed = 0;
    for (size_t d = 0; d < depths_of(s); d++) {
        const struct study_cell *cell[STUDY_MAX_SEEDS];
        const size_t n = study_seeds_of(s, 'a', arm, depths[d], STUDY_ANY, cell, STUDY_MAX_SEEDS);
        size_t ok = 0;
        for (size_t i = 0; i < n; i++) ok += feasible(s, cell[i]);
        failed += (double)(n - ok);
        snprintf(text + strlen(text), size - strlen(text), "%s%s %.0f: %zu of %zu",
                 *text ? ", " : "", arm, depths[d], ok, n);
    }
    return failed;
}

static double final_of(const struct study *s, char part, const char *arm) {
    const struct study_spread l =
        study_spread_of(s, part, arm, STUDY_ANY, STUDY_ANY, study_final_loss);
    return l.n == l.all ? l.mean : (double)INFINITY;
}

static void check_effects(struct study *s) {
    char text[400] = "";
    const double failed = failures(s, "rezero", text, sizeof text);
    study_check(s, CHECK_EF, 'a', "ReZero: trainings that are not feasible",
                study_has(s, 'a') ? failed : (double)NAN, 0, 0,
                "10,000 layers of a fully connected net train [S]");
    for (size_t i = 1; i < 3; i++) failures(s, nets[i].name, text, sizeof text);
    study_remark(s, "feasible: %s", text);
    const double a = final_of(s, 'b', "rezero"), pre = final_of(s, 'b', "pre");
    const double post = final_of(s, 'b', "post");
    study_check(s, CHECK_EF, 'b', "final loss, post minus ReZero",
                study_has(s, 'b') ? fmin(post, 1e3) - a : (double)NAN, 1e-9, (double)INFINITY,
                "56% faster than post on enwik8, 12 layers [S]");
    study_remark(s, "ReZero %.3f, pre %.3f, post %.3f", a, pre, post);
    study_check(s, CHECK_RP, 'c', "branches that start at 0, no factor: final loss",
                final_of(s, 'c', "zero-last"), 0, 0, NULL);
    study_answer(s,
                 "ReZero trains %.0f of its perceptrons up to %.0f layers; a GPT without LayerNorm "
                 "ends at %.2f (pre %.2f, post %.2f).",
                 (double)(depths_of(s) * study_seeds(s, 1, 1, 3)) - failed,
                 depths[depths_of(s) - 1], a, pre, post);
}

/* ---- figures ---- */
static void draw_depths(struct study *s) {
    struct study_figure *const f =
        figure_xy(s, "steps_vs_depth", "MNIST: steps until the loss is 1", "layers", "steps");
    const size_t n = depths_of(s);
    f->x.log = true;
    for (size_t i = 0; i < 3; i++) {
        double *const y = study_doubles(s, n);
        for (size_t d = 0; d < n; d++) {
            y[d] = study_steps_to(study_find(s, 'a', nets[i].name, depths[d], STUDY_ANY, 1), 1);
        }
        figure_curve(f, nets[i].name, figure_hue(i), FIGURE_DOTS,
                     &(struct study_curve){.n = n, .x = depths, .mean = y});
    }
}

static void draw_losses(struct study *s) {
    struct study_figure *const f =
        figure_xy(s, "loss", "GPT of 12 layers: training loss", "step", "training loss");
    figure_rule(f, s->corpus->h1, "entropy of a byte");
    for (size_t i = 0; i < ARMS; i++) {
        const struct study_curve c =
            study_smooth_of(s, arms[i].part, arms[i].name, STUDY_ANY, STUDY_ANY, KIND_loss, -1, "");
        if (study_has(s, arms[i].part))
            figure_curve(f, arms[i].name, figure_hue(i), FIGURE_LINE, &c);
    }
}

static void judge(struct study *s) {
    check_identity(s);
    check_effects(s);
    if (study_has(s, 'a')) draw_depths(s);
    if (study_has(s, 'b')) {
        figure_layers(
            s, "alpha", "Learned factors of the branches", "α",
            &(struct study_series_of){'b', "rezero", STUDY_ANY, STUDY_ANY, KIND_value, "alpha"},
            2 * LAYERS);
        draw_losses(s);
    }
}

const struct weft_study study_rezero = {
    .name = "rezero",
    .question = "Does a residual branch that starts at 0 train deep nets without norm or warmup?",
    .source = "Deep Learning Tuning Playbook, \"initialise residual branches to 0\"; Bachlechner "
              "et al. 2020",
    .parts = "abc",
    .part = {"residual perceptrons", "GPT without LayerNorm", "branches that start at 0"},
    .numbers = {"blocks"},
    .data = "mnist text",
    .language = true,
    .grid = grid,
    .run = run,
    .judge = judge,
};
