/* Dropout: bit-exact against the mapping written down in dropout.h, element by element; then how
 * many are kept, and that no two rows, steps or streams share their mask. */
#include <stdio.h>
#include <string.h>
#include "kernels/ref/ref_random.h"
#include "tests/support/check.h"

struct setting {
    struct weft_dropout_args a;
    bool residual;
};

static void draw(struct check *c) {
    struct setting *s = c->user;
    static const float some[] = {0.1f, 0.5f, 0.0f, 0.9f, 1.0f, 0.999999f};
    s->a.rows = check_size(c, 1) % 7;
    s->a.cols = check_size(c, 0);
    s->a.rows_per_sample = check_range(c, 1, 4);
    s->a.row0 = check_range(c, 0, 9);
    s->a.sample0 = check_range(c, 0, 1000);
    s->a.step = c->index;
    s->a.seed = c->index % 3 * 0x123456789abcu;
    s->a.stream = (uint32_t)check_range(c, 0, 50);
    s->a.p = some[c->index % 6];
    s->residual = c->index % 2;
    check_in(c, "x", s->a.rows, s->a.cols, s->a.cols, CHECK_FILL_CASE);
    check_in(c, "r", s->a.rows, s->a.cols, s->a.cols, CHECK_FILL_NORMAL);
    check_out(c, "y", s->a.rows, s->a.cols, s->a.cols);
}

static void oracle(struct check *c) {
    const struct setting *s = c->user;
    const struct weft_dropout_args *a = &s->a;
    const double *x = check_arg(c, "x")->val;
    const double *r = check_arg(c, "r")->val;
    struct check_arg *y = check_arg(c, "y");
    const float scale = 1.0f / (1.0f - a->p);
    for (size_t i = 0; i < a->rows; i++)
        for (size_t j = 0; j < a->cols; j++) {
            const size_t row = a->row0 + i;
            const struct ref_dropout_at at = {.seed = a->seed,
                                              .step = a->step,
                                              .sample = a->sample0 + row / a->rows_per_sample,
                                              .stream = a->stream,
                                              .channel = j,
                                              .position = row % a->rows_per_sample};
            const size_t e = i * a->cols + j;
            const bool keep = a->p < 1 && ref_dropout_keep(&at, (double)a->p);
            const float kept = keep ? (float)x[e] * scale : 0.0f;
            y->want[e] = (double)kept + (s->residual ? r[e] : 0);
            y->tol[e] = CHECK_EXACT;
        }
}

static void call(struct check *c, const struct weft_kernels *k) {
    const struct setting *s = c->user;
    struct weft_dropout_args a = s->a;
    a.x = check_ptr(c, "x");
    a.residual = s->residual ? check_ptr(c, "r") : NULL;
    a.y = check_ptr(c, "y");
    CHECK_PICK(c, k, dropout)(&a);
}

/* Kept fraction within 5 sigma; masks that differ in one coordinate agree like independent ones. */
enum { COLS = 4096 };
static float ones[COLS], mask[5][COLS];
static int statistics(void) {
    const struct weft_kernels *tables[8];
    int failures = 0;
    const size_t n = check_tables(tables);
    for (size_t i = 0; i < COLS; i++) ones[i] = 1;
    for (size_t t = 0; t < n; t++)
        for (int p = 1; p < 10; p += 4) {
            const double prob = p / 10.0;
            for (int v = 0; v < 5; v++) {
                const struct weft_dropout_args a = {.rows = 1,
                                                    .cols = COLS,
                                                    .rows_per_sample = 8,
                                                    .p = (float)prob,
                                                    .x = ones,
                                                    .y = mask[v],
                                                    .seed = 7,
                                                    .stream = v == 1,
                                                    .step = v == 2,
                                                    .sample0 = v == 3,
                                                    .row0 = v == 4};
                tables[t]->dropout_f32(&a);
            }
            for (int v = 0; v < 5; v++) {
                double kept = 0, same = 0;
                for (size_t i = 0; i < COLS; i++) {
                    kept += mask[v][i] != 0;
                    same += (mask[v][i] != 0) == (mask[0][i] != 0);
                }
                const double agree = prob * prob + (1 - prob) * (1 - prob);
                const double off = fabs(kept - COLS * (1 - prob)) / sqrt(COLS * prob * (1 - prob));
                const double far = fabs(same - COLS * agree) / sqrt(COLS * agree * (1 - agree));
                if (!(off < 5) || (v > 0 && !(far < 5))) {
                    printf("FAIL dropout %s p=%g mask %d: kept %g, same as mask 0: %g\n",
                           tables[t]->isa, prob, v, kept, same);
                    failures++;
                }
            }
        }
    return failures;
}

int main(int argc, char **argv) {
    static const struct check_family dropout = {"dropout", draw, oracle, call, 120, 0, " x r y "};
    const struct check_family *const families[] = {&dropout};
    return check_main(argc, argv, families, 1) | (statistics() != 0);
}
