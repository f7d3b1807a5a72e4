/* What the checks came to, for people and for programs. */
#include <math.h>

#include "crosscheck/crosscheck.h"
#include "train/atomic.h"
#include "train/json_out.h"

static const char *direction(const struct weft_cross_check *c) {
    return c->backward ? "backward" : "forward";
}

/* "1.3ms", "-" when not measured. */
static const char *time_text(char buf[16], double seconds) {
    if (seconds <= 0)
        snprintf(buf, 16, "-");
    else if (seconds < 1e-3)
        snprintf(buf, 16, "%.3gus", 1e6 * seconds);
    else
        snprintf(buf, 16, "%.3gms", 1e3 * seconds);
    return buf;
}

static const char *number_text(char buf[16], bool there, double value) {
    snprintf(buf, 16, !there ? "-" : value < 100 || !isfinite(value) ? "%.2g" : "%.0e", value);
    return buf;
}

void weft_cross_table_head(FILE *out) {
    fprintf(out, "%70s%-13s %-15s %-13s %12s %6s %-17s %-17s\n", "", "max ulp", "relative L2",
            "of the bound", "", "", "hot", "cold");
    fprintf(out,
            "%-18s %-17s %-3s %-20s %-7s %6s %6s %7s %7s %6s %6s %12s %6s %8s %8s %8s %8s %s\n",
            "op", "shape", "", "node", "output", "weft", "oneDNN", "weft", "oneDNN", "weft",
            "oneDNN", "worst at", "closer", "weft", "oneDNN", "weft", "oneDNN", "verdict");
}

void weft_cross_table_row(FILE *out, const struct weft_cross_check *c) {
    const struct weft_cross_error *const w = &c->weft, *const o = &c->onednn;
    const bool two = c->has_onednn;
    char e[6][16], t[4][16], at[48];
    snprintf(at, sizeof at, "[%zu,%zu]", w->row, w->col);
    fprintf(out, "%-18s %-17s %s %-20s %-7s %6s %6s %7s %7s %6s %6s %12s %6s %8s %8s %8s %8s %s\n",
            c->op, c->shape, c->backward ? "bwd" : "fwd", c->node, c->output,
            number_text(e[0], true, w->max_ulp), number_text(e[1], two, o->max_ulp),
            number_text(e[2], true, w->rel_l2), number_text(e[3], two, o->rel_l2),
            number_text(e[4], true, w->share), number_text(e[5], two, o->share), at,
            two ? weft_cross_verdict_text(weft_cross_closer(c)) : "-", time_text(t[0], c->hot.weft),
            time_text(t[1], c->hot.onednn), time_text(t[2], c->cold.weft),
            time_text(t[3], c->cold.onednn), c->failed ? "FAIL" : "pass");
    if (c->failed) fprintf(out, "FAIL %s: %s (kernels: %s)\n", c->node, c->reason, c->kernels);
}

void weft_cross_table_end(FILE *out, const struct weft_cross_report *r) {
    size_t closer[4] = {0};
    for (size_t i = 0; i < r->checks; i++) closer[weft_cross_closer(&r->check[i])]++;
    fprintf(out,
            "\n%zu checks in f32 against the double oracles, %zu failed; closer to the truth: weft "
            "%zu, "
            "oneDNN %zu, equal %zu; %zu without oneDNN\n",
            r->checks, r->failed, closer[WEFT_CROSS_WEFT], closer[WEFT_CROSS_ONEDNN],
            closer[WEFT_CROSS_EQUAL], closer[WEFT_CROSS_ALONE]);
    if (r->first != NULL) fprintf(out, "the first node outside of its bound is %s\n", r->first);
    if (r->model != NULL)
        fprintf(out, "%s%zu of %d steps on both, their losses differ by at most %.2g (limit %g)\n",
                r->divergence <= WEFT_CROSS_DIVERGENCE ? "" : "FAIL training: ", r->steps,
                WEFT_CROSS_STEPS, r->divergence, WEFT_CROSS_DIVERGENCE);
    fprintf(out, "weft %s (%s) and oneDNN %s, %d thread%s, %.1f s\n", weft_version(), r->isa,
            r->onednn, r->threads, r->threads > 1 ? "s" : "", r->seconds);
}

/* ---- JSON ---- */
static void error_json(struct weft_json *j, const char *key, const struct weft_cross_error *e) {
    weft_json_open(j, key, '{');
    weft_json_real(j, "share_of_bound", e->share);
    weft_json_real(j, "max_ulp", e->max_ulp);
    weft_json_real(j, "rel_l2", e->rel_l2);
    weft_json_count(j, "outside", e->outside);
    weft_json_open(j, "worst", '{');
    weft_json_open(j, "index", '[');
    weft_json_count(j, NULL, e->row);
    weft_json_count(j, NULL, e->col);
    weft_json_close(j);
    weft_json_real(j, "got", e->got);
    weft_json_real(j, "want", e->want);
    weft_json_real(j, "bound", e->bound);
    weft_json_close(j);
    weft_json_close(j);
}

static void times_json(struct weft_json *j, const char *key, const struct weft_cross_times *t) {
    const struct {
        const char *key;
        double seconds;
    } way[] = {{"weft", t->weft},
               {"onednn", t->onednn},
               {"weft_packed", t->weft_packed},
               {"onednn_packed", t->onednn_packed}};
    weft_json_open(j, key, '{');
    for (size_t i = 0; i < 4; i++)
        if (way[i].seconds > 0) weft_json_rounded(j, way[i].key, 1e3 * way[i].seconds, 4);
    weft_json_close(j);
}

/* An error in units of weft's worst element's bound: err / bound is the share that is used up. */
static double scaled(const struct weft_cross_check *c, const struct weft_cross_error *e) {
    if (e == &c->weft || !(c->weft.bound > 0) || !isfinite(e->share)) return fabs(e->got - e->want);
    return e->share * c->weft.bound;
}

static void check_json(struct weft_json *j, const struct weft_cross_check *c) {
    weft_json_open(j, NULL, '{');
    weft_json_text(j, "op", c->op);
    weft_json_text(j, "shape", c->shape);
    weft_json_text(j, "dtype", "f32");
    weft_json_text(j, "direction", direction(c));
    weft_json_text(j, "node", c->node);
    weft_json_text(j, "output", c->output);
    weft_json_text(j, "kernels", c->kernels);
    weft_json_real(j, "err_weft", scaled(c, &c->weft));
    if (c->has_onednn)
        weft_json_real(j, "err_onednn", scaled(c, &c->onednn));
    else
        weft_json_text(j, "err_onednn", NULL);
    weft_json_real(j, "bound", c->weft.bound);
    weft_json_text(j, "closer",
                   c->has_onednn ? weft_cross_verdict_text(weft_cross_closer(c)) : NULL);
    weft_json_text(j, "verdict", c->failed ? "fail" : "pass");
    if (c->failed) weft_json_text(j, "reason", c->reason);
    error_json(j, "weft", &c->weft);
    if (c->has_onednn) error_json(j, "onednn", &c->onednn);
    times_json(j, "hot_ms", &c->hot);
    times_json(j, "cold_ms", &c->cold);
    weft_json_close(j);
}

static void losses_json(struct weft_json *j, const struct weft_cross_report *r) {
    static const char *const side[2] = {"weft", "onednn"};
    weft_json_open(j, "losses", '{');
    for (size_t i = 0; i < 2; i++) {
        weft_json_open(j, side[i], '[');
        for (size_t s = 0; s < r->steps; s++) weft_json_real(j, NULL, r->loss[i][s]);
        weft_json_close(j);
    }
    weft_json_close(j);
    weft_json_real(j, "divergence", r->divergence);
    weft_json_real(j, "divergence_limit", WEFT_CROSS_DIVERGENCE);
}

enum weft_status weft_cross_json(weft_ctx *ctx, const struct weft_cross_report *r,
                                 const char *path) {
    struct weft_json j = {.pretty = true};
    weft_json_open(&j, NULL, '{');
    weft_json_text(&j, "weft", weft_version());
    weft_json_text(&j, "onednn", r->onednn);
    weft_json_text(&j, "isa", r->isa);
    weft_json_int(&j, "threads", r->threads);
    weft_json_rounded(&j, "seconds", r->seconds, 4);
    weft_json_text(&j, "model", r->model);
    weft_json_bool(&j, "quick", r->quick);
    weft_json_count(&j, "failed", r->failed);
    if (r->model != NULL) weft_json_text(&j, "first_outside", r->first);
    if (r->steps > 0) losses_json(&j, r);
    weft_json_open(&j, "checks", '[');
    for (size_t i = 0; i < r->checks; i++) check_json(&j, &r->check[i]);
    weft_json_close(&j);
    weft_json_end(&j);
    const enum weft_status st = j.failed
                                    ? weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: out of memory", path)
                                    : weft_write_file(ctx, path, j.data, j.size);
    weft_json_free(&j);
    return st;
}
