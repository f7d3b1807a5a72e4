/* Two arms of a study, paired by seed: arms of one seed share draws and data. */
#ifndef WEFT_STUDIES_PAIRS_H
#define WEFT_STUDIES_PAIRS_H

#include "studies/stats.h"
#include "studies/study.h"

struct study_pairs {
    size_t n;
    double a[STUDY_MAX_SEEDS], b[STUDY_MAX_SEEDS]; /* of the same seeds */
};
/* A number of the cells of arm a and of those of arm b with the same seed, in the grid's order. */
struct study_pairs study_pairs_of(const struct study *s, char part, const char *a, const char *b,
                                  double n0, double n1,
                                  double (*value)(const struct study_cell *c));
static inline struct stats_test study_paired(const struct study_pairs *p) {
    return stats_paired(p->a, p->b, p->n);
}
/* Leaves the pairs whose values are both below a limit. */
void study_pairs_below(struct study_pairs *p, double limit);
/* Pairs with a smaller (wins) among those that differ (*n). */
size_t study_pairs_wins(const struct study_pairs *p, size_t *n);

#endif
