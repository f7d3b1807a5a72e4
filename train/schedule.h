/* Learning-rate schedules: pure functions of the step, the same bits on every machine.
 *
 * Steps 0..warmup-1 rise linearly: lr (s+1)/(warmup+1). After that, with low = lr * min_fraction
 * and r = (s - warmup) / (steps - warmup) in [0, 1): constant   lr linear     lr + (low - lr) r
 *   cosine     low + (lr - low) (1 + cos(pi r)) / 2
 *   wsd        lr, then linearly to low over the last decay_fraction of all steps
 * Steps past the end have the rate of r = 1. */
#ifndef WEFT_TRAIN_SCHEDULE_H
#define WEFT_TRAIN_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

enum weft_schedule_kind {
    WEFT_SCHEDULE_CONSTANT,
    WEFT_SCHEDULE_LINEAR,
    WEFT_SCHEDULE_COSINE,
    WEFT_SCHEDULE_WSD
};

struct weft_schedule {
    enum weft_schedule_kind kind;
    double lr, min_fraction, decay_fraction;
    uint64_t steps, warmup;
};

/* "constant", "linear", "cosine", "wsd"; false: none of them. */
bool weft_schedule_kind_of(const char *name, enum weft_schedule_kind *out);
double weft_schedule_lr(const struct weft_schedule *s, uint64_t step);

#endif
