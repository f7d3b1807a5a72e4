#include "train/schedule.h"

#include <string.h>
#include "weft/math.h"

#define PI 3.14159265358979323846

bool weft_schedule_kind_of(const char *name, enum weft_schedule_kind *out) {
    static const char *const names[] = {"constant", "linear", "cosine", "wsd"};
    for (int i = 0; i < 4; i++) {
        if (strcmp(name, names[i]) != 0) continue;
        *out = (enum weft_schedule_kind)i;
        return true;
    }
    return false;
}

/* How far step is from begin to end: 0 to 1. */
static double part(double step, double begin, double end) {
    if (step <= begin) return 0;
    return step >= end ? 1 : (step - begin) / (end - begin);
}

double weft_schedule_lr(const struct weft_schedule *s, uint64_t step) {
    if (step < s->warmup) return s->lr * ((double)step + 1) / ((double)s->warmup + 1);
    const double low = s->lr * s->min_fraction, steps = (double)s->steps;
    const double r = part((double)step, (double)s->warmup, steps);
    double fall;
    switch (s->kind) {
    case WEFT_SCHEDULE_CONSTANT: break;
    case WEFT_SCHEDULE_LINEAR: return s->lr + (low - s->lr) * r;
    case WEFT_SCHEDULE_COSINE: return low + (s->lr - low) * (0.5 * (1 + weft_cos(PI * r)));
    case WEFT_SCHEDULE_WSD:
        fall = steps * (1 - s->decay_fraction); // not before the warmup is over
        if (fall < (double)s->warmup) fall = (double)s->warmup;
        return s->lr + (low - s->lr) * part((double)step, fall, steps);
    }
    return s->lr;
}
