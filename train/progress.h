/* How far a run is: a bar that redraws itself on a terminal, plain lines elsewhere. Writes through
 * a callback; time is the caller's, so that it can be tested. */
#ifndef WEFT_TRAIN_PROGRESS_H
#define WEFT_TRAIN_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weft_progress {
    /* set by the caller */
    void (*write)(void *user, const char *text); /* NULL: silent */
    void *user;
    bool terminal;         /* draw a bar */
    unsigned columns;      /* of the terminal; 0: 80 */
    uint64_t first, total; /* steps done before this process began, and at the end */
    uint64_t every;        /* steps between plain lines; 0: 1 */
    const char *unit;      /* of the rate: "tok/s" or "samples/s" */
    /* private */
    double started, drawn;
    bool on_screen;
};

struct weft_progress_state {
    uint64_t step; /* steps done */
    double loss, lr, grad_norm;
    double rate;      /* units a second */
    const char *more; /* e.g. "mfu 31%"; may be NULL */
};

/* now in seconds, from any clock that does not jump. */
void weft_progress_start(struct weft_progress *p, double now);
/* After each step: redraws at most ten times a second, or prints every so many steps. */
void weft_progress_step(struct weft_progress *p, const struct weft_progress_state *s, double now);
/* Before task `done` of p->total, which is called `what`: a bar; nothing where there is no terminal.
 */
void weft_progress_task(struct weft_progress *p, uint64_t done, const char *what, double now);
/* A line of its own (an evaluation, a checkpoint), above the bar. */
void weft_progress_line(struct weft_progress *p, const char *text);
/* Remove the bar. */
void weft_progress_end(struct weft_progress *p);

double weft_clock(void); /* seconds, never going back */

/* "1.2k", "34.5M", "812". Returns buf. */
#define WEFT_SHORT_TEXT 32
const char *weft_short_number(double x, char buf[WEFT_SHORT_TEXT]);
/* "4s", "3m12s", "2h05m", "3d04h"; "?" when not known. Returns buf. */
const char *weft_short_time(double seconds, char buf[WEFT_SHORT_TEXT]);

#endif
