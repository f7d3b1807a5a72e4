/* See pairs.h. */
#include "studies/pairs.h"

struct study_pairs study_pairs_of(const struct study *s, char part, const char *a, const char *b,
                                  double n0, double n1,
                                  double (*value)(const struct study_cell *c)) {
    const struct study_cell *cell[STUDY_MAX_SEEDS];
    const size_t seeds = study_seeds_of(s, part, a, n0, n1, cell, STUDY_MAX_SEEDS);
    struct study_pairs p = {.n = 0};
    for (size_t i = 0; i < seeds; i++) {
        const struct study_cell *const other = study_find(s, part, b, n0, n1, cell[i]->seed);
        if (other == NULL) continue;
        p.a[p.n] = value(cell[i]);
        p.b[p.n++] = value(other);
    }
    return p;
}

void study_pairs_below(struct study_pairs *p, double limit) {
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++) {
        if (!(p->a[i] < limit && p->b[i] < limit)) continue;
        p->a[n] = p->a[i];
        p->b[n++] = p->b[i];
    }
    p->n = n;
}

size_t study_pairs_wins(const struct study_pairs *p, size_t *n) {
    size_t wins = 0;
    *n = 0;
    for (size_t i = 0; i < p->n; i++) {
        wins += p->a[i] < p->b[i];
        *n += p->a[i] != p->b[i];
    }
    return wins;
}
