#include "train/progress.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define LINE_MAX  512
#define BAR_WIDTH 20 /* at most */
#define BAR_LEAST 5
#define REDRAW    0.1 /* seconds */

double weft_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

const char *weft_short_number(double x, char buf[WEFT_SHORT_TEXT]) {
    static const char suffix[] = " kMGTP";
    size_t s = 0;
    while (fabs(x) >= 999.5 && s + 2 < sizeof suffix) {
        x /= 1000;
        s++;
    }
    const int digits = s > 0 && fabs(x) < 99.95 ? 1 : 0;
    const int n = snprintf(buf, WEFT_SHORT_TEXT, "%.*f", digits, x);
    if (s > 0 && n > 0 && n + 1 < WEFT_SHORT_TEXT) {
        buf[n] = suffix[s];
        buf[n + 1] = '\0';
    }
    return buf;
}

const char *weft_short_time(double seconds, char buf[WEFT_SHORT_TEXT]) {
    if (!(seconds >= 0 && seconds < 1e9)) return strcpy(buf, "?");
    const unsigned long s = (unsigned long)(seconds + 0.5);
    if (s < 60) {
        snprintf(buf, WEFT_SHORT_TEXT, "%lus", s);
    } else if (s < 3600) {
        snprintf(buf, WEFT_SHORT_TEXT, "%lum%02lus", s / 60, s % 60);
    } else if (s < 86400) {
        snprintf(buf, WEFT_SHORT_TEXT, "%luh%02lum", s / 3600, s / 60 % 60);
    } else {
        snprintf(buf, WEFT_SHORT_TEXT, "%lud%02luh", s / 86400, s / 3600 % 24);
    }
    return buf;
}

void weft_progress_start(struct weft_progress *p, double now) {
    p->started = now;
    p->drawn = now - REDRAW;
    p->on_screen = false;
}

/* What is left, at the mean speed of this process. */
static double seconds_left(const struct weft_progress *p, uint64_t step, double now) {
    const double done = (double)step - (double)p->first;
    return done > 0 ? (now - p->started) / done * ((double)p->total - (double)step) : NAN;
}

/* A bar for `step` of p->total. The step, the text and the time left are always there; rate, more
 * (texts, empty or with blanks before them), and the bar as far as the terminal is wide enough. */
static void draw_bar(struct weft_progress *p, uint64_t step, const char *text, const char *rate,
                     const char *more, double now) {
    char head[LINE_MAX / 2], left[64], bar[BAR_WIDTH + 4] = "", out[LINE_MAX + 16];
    char number[WEFT_SHORT_TEXT];
    const double part = p->total ? (double)step / (double)p->total : 1;
    snprintf(head, sizeof head, "%3.0f%% %" PRIu64 "/%" PRIu64 "  %.200s", 100 * part, step,
             p->total, text);
    snprintf(left, sizeof left, "  eta %s", weft_short_time(seconds_left(p, step, now), number));
    // a full last column would wrap
    const size_t room = p->columns ? (p->columns > 1 ? p->columns - 1 : 1) : 79;
    size_t used = strlen(head) + strlen(left);
    if (used + strlen(rate) > room) rate = "";
    used += strlen(rate);
    if (used + strlen(more) > room) more = "";
    used += strlen(more);
    const size_t free = room > used + 3 ? room - used - 3 : 0; // of "[] "
    const size_t width = free < BAR_WIDTH ? free : BAR_WIDTH;
    const size_t filled = part < 1 ? (size_t)(part * (double)width) : width;
    if (width >= BAR_LEAST) {
        bar[0] = '[';
        for (size_t i = 0; i < width; i++) bar[1 + i] = i < filled ? '#' : '.';
        memcpy(bar + 1 + width, "] ", 3);
    }
    // back to the line's start, the bar, and nothing after it
    char line[LINE_MAX];
    snprintf(line, sizeof line, "%s%s%s%s%s", bar, head, rate, more, left);
    snprintf(out, sizeof out, "\r%.*s\x1b[K", (int)(room < 400 ? room : 400), line);
    p->write(p->user, out);
    p->drawn = now;
    p->on_screen = true;
}

static void draw_step(struct weft_progress *p, const struct weft_progress_state *s, double now) {
    char loss[64], rate[64], more[96] = "", number[WEFT_SHORT_TEXT];
    snprintf(loss, sizeof loss, "loss %.4f", s->loss);
    snprintf(rate, sizeof rate, "  %s %s", weft_short_number(s->rate, number), p->unit);
    if (s->more) snprintf(more, sizeof more, "  %s", s->more);
    draw_bar(p, s->step, loss, rate, more, now);
}

static void print_plain(struct weft_progress *p, const struct weft_progress_state *s, double now) {
    char line[LINE_MAX], rate[WEFT_SHORT_TEXT], left[WEFT_SHORT_TEXT];
    snprintf(line, sizeof line,
             "step %" PRIu64 "/%" PRIu64 "  loss %.4f  lr %.3g  grad %.3g  %s %s%s%s  eta %s\n",
             s->step, p->total, s->loss, s->lr, s->grad_norm, weft_short_number(s->rate, rate),
             p->unit, s->more ? "  " : "", s->more ? s->more : "",
             weft_short_time(seconds_left(p, s->step, now), left));
    p->write(p->user, line);
}

void weft_progress_step(struct weft_progress *p, const struct weft_progress_state *s, double now) {
    if (!p->write) return;
    const bool last = s->step >= p->total;
    if (p->terminal) {
        if (last || now - p->drawn >= REDRAW) draw_step(p, s, now);
    } else if (last || s->step == p->first + 1 || s->step % (p->every ? p->every : 1) == 0) {
        print_plain(p, s, now);
    }
}

void weft_progress_task(struct weft_progress *p, uint64_t done, const char *what, double now) {
    if (p->write && p->terminal) draw_bar(p, done, what, "", "", now);
}

void weft_progress_end(struct weft_progress *p) {
    if (p->write && p->on_screen) p->write(p->user, "\r\x1b[K");
    p->on_screen = false;
}

void weft_progress_line(struct weft_progress *p, const char *text) {
    if (!p->write) return;
    weft_progress_end(p);
    p->write(p->user, text);
    p->write(p->user, "\n");
}
