/* The HTML page: head, results, sections of charts, settings. */
#include "train/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "train/page.h"
#include "train/report_charts.h"

/* ---- results ---- */
struct result {
    const char *label;
    char value[64], note[96];
};
#define MAX_RESULTS 12

static struct result *add_result(struct result *r, size_t *n, const char *label, double value,
                                 const char *unit) {
    char number[32];
    struct result *added = &r[*n < MAX_RESULTS ? (*n)++ : MAX_RESULTS - 1];
    *added = (struct result){.label = label};
    snprintf(added->value, sizeof added->value, "%s%s", weft_number_text(number, value), unit);
    return added;
}

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median of the finite values; NAN when there are none. */
static double median_of(const struct weft_track *t) {
    double *sorted = t ? malloc(t->n * sizeof *sorted + 1) : NULL;
    if (!sorted) return (double)NAN;
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++)
        if (isfinite(t->value[i])) sorted[n++] = t->value[i];
    qsort(sorted, n, sizeof *sorted, compare_doubles);
    const double median = n ? (sorted[(n - 1) / 2] + sorted[n / 2]) / 2 : (double)NAN;
    free(sorted);
    return median;
}

static double sum_of(const struct weft_track *t) {
    double sum = 0;
    for (size_t i = 0; t && i < t->n; i++)
        if (isfinite(t->value[i])) sum += t->value[i];
    return sum;
}

/* Index of the least (sign 1) or largest (sign -1) finite value; t->n when there is none. */
static size_t best_of(const struct weft_track *t, double sign) {
    size_t best = t->n;
    for (size_t i = 0; i < t->n; i++)
        if (isfinite(t->value[i]) && (best == t->n || sign * t->value[i] < sign * t->value[best]))
            best = i;
    return best;
}

static void duration_text(char buf[static 64], double seconds) {
    if (seconds < 120)
        snprintf(buf, 64, "%.1f s", seconds);
    else if (seconds < 7200)
        snprintf(buf, 64, "%.1f min", seconds / 60);
    else
        snprintf(buf, 64, "%.1f h", seconds / 3600);
}

static size_t losses(const struct weft_run_data *run, struct result *r) {
    size_t n = 0;
    const struct weft_track *loss = weft_run_metric(run, "loss");
    if (loss) {
        struct weft_track tail = *loss; /* the last 2%: one step alone is noise */
        tail.n = (loss->n + 49) / 50;
        tail.value += loss->n - tail.n;
        struct result *x = add_result(r, &n, "training loss", median_of(&tail), "");
        snprintf(x->note, sizeof x->note, tail.n > 1 ? "median of the last %zu steps" : "last step",
                 tail.n);
    }
    const struct weft_track *val = weft_run_metric(run, "val_loss");
    const size_t best = val ? best_of(val, 1) : 0;
    if (val && best < val->n) {
        struct result *x = add_result(r, &n, "validation loss", val->value[best], "");
        snprintf(x->note, sizeof x->note, "best, at step %.0f", val->step[best]);
    }
    const double bigram = weft_run_number(run, "bigram_loss");
    if (isfinite(bigram)) {
        struct result *x = add_result(r, &n, "bigram model", bigram, "");
        snprintf(x->note, sizeof x->note, "loss on all validation data");
    }
    const struct weft_track *accuracy = weft_run_metric(run, "val_accuracy");
    const size_t top = accuracy ? best_of(accuracy, -1) : 0;
    if (accuracy && top < accuracy->n) {
        struct result *x =
            add_result(r, &n, "validation accuracy", 100 * accuracy->value[top], " %");
        snprintf(x->note, sizeof x->note, "best, at step %.0f", accuracy->step[top]);
    }
    return n;
}

static size_t results_of(const struct weft_run_data *run, struct result *r) {
    size_t n = losses(run, r);
    const struct weft_track *loss = weft_run_metric(run, "loss");
    if (loss) {
        struct result *x = add_result(r, &n, "steps", 0, "");
        snprintf(x->value, sizeof x->value, "%.0f", loss->step[loss->n - 1]);
        const double total = weft_run_number(run, "total_steps");
        if (isfinite(total))
            snprintf(x->note, sizeof x->note, "of %.0f%s", total,
                     !isfinite(loss->value[loss->n - 1])     ? ": diverged"
                     : loss->step[loss->n - 1] + 0.5 < total ? ": not finished"
                                                             : "");
    }
    const double rate = median_of(weft_run_metric(run, "tokens_per_s"));
    if (isfinite(rate)) {
        const bool samples = weft_run_is(run, "model", "mlp");
        struct result *x =
            add_result(r, &n, samples ? "samples per second" : "tokens per second", rate, "");
        const double ms = median_of(weft_run_metric(run, "step_ms"));
        if (isfinite(ms)) snprintf(x->note, sizeof x->note, "median; %.4g ms a step", ms);
    }
    const double seconds = sum_of(weft_run_metric(run, "step_ms")) / 1000;
    if (seconds > 0) {
        struct result *x = add_result(r, &n, "time of all steps", seconds, "");
        duration_text(x->value, seconds);
        const char *isa = json_string_value(weft_run_setting(run, "isa"));
        const double threads = weft_run_number(run, "threads");
        if (isa && isfinite(threads))
            snprintf(x->note, sizeof x->note, "%.0f thread%s, %.20s", threads,
                     threads > 1 ? "s" : "", isa);
    }
    return n;
}

/* One run: cards. Several: a table, a row a run, columns by label of the first that has them. */
static void write_cards(FILE *out, const struct result *r, size_t n) {
    fputs("<div class=\"cards\">\n", out);
    for (size_t i = 0; i < n; i++)
        fprintf(out, "<div><span>%s</span><b>%s</b><small>%s</small></div>\n", r[i].label,
                r[i].value, r[i].note);
    fputs("</div>\n", out);
}

static void write_results(struct weft_sheet *s) {
    struct result r[MAX_RESULTS];
    if (s->runs == 1) {
        write_cards(s->out, r, results_of(s->run[0], r));
        return;
    }
    const char *label[MAX_RESULTS];
    size_t labels = 0;
    for (size_t i = 0; i < s->runs; i++) {
        const size_t n = results_of(s->run[i], r);
        for (size_t k = 0; k < n; k++) {
            size_t at = 0;
            while (at < labels && strcmp(label[at], r[k].label)) at++;
            if (at == labels && labels < MAX_RESULTS) label[labels++] = r[k].label;
        }
    }
    fputs("<div class=\"wide\"><table class=\"results\"><tr><th>run</th>", s->out);
    for (size_t k = 0; k < labels; k++) fprintf(s->out, "<th>%s</th>", label[k]);
    fputs("</tr>\n", s->out);
    for (size_t i = 0; i < s->runs; i++) {
        const size_t n = results_of(s->run[i], r);
        const struct weft_plot_color hue = {WEFT_COLOR_HUE, i};
        fprintf(s->out, "<tr><td><i class=\"chip\" style=\"--k:var(%s)\"></i> ",
                weft_plot_color_name(hue));
        weft_html_text(s->out, s->run[i]->name);
        fputs("</td>", s->out);
        for (size_t k = 0; k < labels; k++) {
            size_t at = 0;
            while (at < n && strcmp(label[k], r[at].label)) at++;
            fprintf(s->out, "<td><b>%s</b><br><small>%s</small></td>", at < n ? r[at].value : "",
                    at < n ? r[at].note : "");
        }
        fputs("</tr>\n", s->out);
    }
    fputs("</table></div>\n", s->out);
}

/* ---- settings ---- */
static void value_text(const json_t *value, char *buf, size_t size) {
    char *text = json_is_string(value)
                     ? strdup(json_string_value(value))
                     : json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
    snprintf(buf, size, "%s", text ? text : "");
    free(text);
}

/* The value at a dotted path of a run's settings. */
static json_t *at_path(json_t *object, const char *path) {
    char part[128];
    while (object && *path) {
        const size_t n = strcspn(path, ".");
        snprintf(part, sizeof part, "%.*s", (int)n, path);
        object = json_object_get(object, part);
        path += n + (path[n] == '.');
    }
    return object;
}

static void setting_row(struct weft_sheet *s, const char *path) {
    char first[256], other[256];
    bool differs = false;
    value_text(at_path(s->run[0]->settings, path), first, sizeof first);
    for (size_t r = 1; r < s->runs; r++) {
        value_text(at_path(s->run[r]->settings, path), other, sizeof other);
        differs |= strcmp(first, other) != 0;
    }
    fprintf(s->out, "<tr%s><th>", differs ? " class=\"differs\"" : "");
    weft_html_text(s->out, path);
    fputs("</th>", s->out);
    for (size_t r = 0; r < (differs ? s->runs : 1); r++) {
        value_text(at_path(s->run[r]->settings, path), other, sizeof other);
        fputs(differs || s->runs == 1 ? "<td>" : "<td colspan=\"16\">", s->out);
        weft_html_text(s->out, other);
        fputs("</td>", s->out);
    }
    fputs("</tr>\n", s->out);
}

/* Every member below object, as dotted paths; a run adds what the runs before it lack. */
static void setting_rows(struct weft_sheet *s, json_t *object, const char *prefix, size_t run) {
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value) {
        char path[256];
        snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", key);
        if (json_is_object(value)) {
            setting_rows(s, value, path, run);
            continue;
        }
        bool seen = false;
        for (size_t r = 0; r < run; r++) seen |= at_path(s->run[r]->settings, path) != NULL;
        if (!seen) setting_row(s, path);
    }
}

static void write_settings(struct weft_sheet *s) {
    size_t settings = 0;
    for (size_t r = 0; r < s->runs; r++) settings += json_object_size(s->run[r]->settings);
    if (!settings) return;
    fputs("<section><h2>Settings</h2>\n", s->out);
    if (s->runs > 1) fputs("<p class=\"lead\">Highlighted: where the runs differ.</p>\n", s->out);
    fprintf(s->out, "<div class=\"wide%s\"><table class=\"settings\">\n",
            s->runs == 1 ? " columns" : "");
    if (s->runs > 1) {
        fputs("<tr><th></th>", s->out);
        for (size_t r = 0; r < s->runs; r++) {
            fputs("<td><b>", s->out);
            weft_html_text(s->out, s->run[r]->name);
            fputs("</b></td>", s->out);
        }
        fputs("</tr>\n", s->out);
    }
    for (size_t r = 0; r < s->runs; r++) setting_rows(s, s->run[r]->settings, "", r);
    fputs("</table></div></section>\n", s->out);
}

/* ---- sections ---- */
static const char *const qkv[] = {"q", "k", "v"};
static const char *const qkv_titles[] = {"Query weights", "Key weights", "Value weights"};
static const char *const dense[] = {"attn_proj", "mlp_fc", "mlp_proj"};
static const char *const dense_titles[] = {"Attention projection", "MLP, first matrix",
                                           "MLP, second matrix"};

/* Layered tensors that have no place of their own (those of other models), at most max. */
static size_t other_tensors(const struct weft_sheet *s, const char *kind, const char **out,
                            size_t max) {
    size_t n = 0;
    for (size_t r = 0; r < s->runs; r++) {
        for (size_t i = 0; i < s->run[r]->stats; i++) {
            const struct weft_track *t = &s->run[r]->stat[i];
            bool known = t->layer < 0 || strcmp(t->kind, kind) || !strncmp(t->tensor, "resid", 5);
            for (size_t k = 0; k < 3; k++)
                known |= !strcmp(t->tensor, qkv[k]) || !strcmp(t->tensor, dense[k]);
            for (size_t k = 0; k < n; k++) known |= !strcmp(out[k], t->tensor);
            if (!known && n < max) out[n++] = t->tensor;
        }
    }
    return n;
}

static bool has_stat(const struct weft_sheet *s, const char *kind) {
    for (size_t r = 0; r < s->runs; r++)
        for (size_t i = 0; i < s->run[r]->stats; i++)
            if (!strcmp(s->run[r]->stat[i].kind, kind)) return true;
    return false;
}

static void weight_section(struct weft_sheet *s) {
    const char *other[16];
    const size_t others = other_tensors(s, "std", other, 16);
    const char *const label = "standard deviation";
    if (!has_stat(s, "std")) return;
    weft_page_section(s->out, "Weights, layer by layer",
                      "Standard deviation of each layer's weights over the steps of training.");
    weft_chart_layers(s, "std", qkv, qkv_titles, 3, label, WEFT_SCALE_AUTO);
    weft_chart_layers(s, "std", dense, dense_titles, 3, label, WEFT_SCALE_AUTO);
    weft_chart_layers(s, "std", other, other, others, label, WEFT_SCALE_AUTO);
    weft_chart_profile(s, "std", qkv, 3, "Q, K, V by layer", label);
    weft_chart_tensors(s, "std", "Embeddings and other tensors without layer", label);
    weft_page_section_end(s->out);
}

static void flow_section(struct weft_sheet *s) {
    if (!has_stat(s, "logit_max") && !has_stat(s, "gnorm")) return;
    weft_page_section(s->out, "Activations and gradients", NULL);
    weft_chart_layers(s, "std", (const char *const[]){"resid"},
                      (const char *const[]){"Residual stream"}, 1, "std on entering the layer",
                      WEFT_SCALE_AUTO);
    weft_chart_layers(s, "logit_max", (const char *const[]){"attn"},
                      (const char *const[]){"Largest attention logit"}, 1, "logit",
                      WEFT_SCALE_AUTO);
    weft_chart_layer_norm(s, "gnorm", "Gradient norm by layer", "L2 norm before clipping");
    weft_page_section_end(s->out);
}

static void update_section(struct weft_sheet *s) {
    const char *other[16];
    const size_t others = other_tensors(s, "update_ratio", other, 16);
    const char *const label = "‖update‖ / ‖weight‖";
    if (!has_stat(s, "update_ratio")) return;
    weft_page_section(s->out, "Updates",
                      "How far one step moves the weights, relative to their size.");
    weft_chart_layers(s, "update_ratio", qkv, qkv_titles, 3, label, WEFT_SCALE_LOG);
    weft_chart_layers(s, "update_ratio", dense, dense_titles, 3, label, WEFT_SCALE_LOG);
    weft_chart_layers(s, "update_ratio", other, other, others, label, WEFT_SCALE_LOG);
    weft_page_section_end(s->out);
}

/* All charts of one statistic of the weights. */
static void weight_charts(struct weft_sheet *s, const char *kind, const char *label) {
    const char *other[16];
    const size_t others = other_tensors(s, kind, other, 16);
    weft_chart_layers(s, kind, qkv, qkv_titles, 3, label, WEFT_SCALE_AUTO);
    weft_chart_layers(s, kind, dense, dense_titles, 3, label, WEFT_SCALE_AUTO);
    weft_chart_layers(s, kind, other, other, others, label, WEFT_SCALE_AUTO);
    weft_chart_tensors(s, kind, "Embeddings and other tensors without layer", label);
}

static void bf16_section(struct weft_sheet *s) {
    if (!has_stat(s, "bf16_lost")) return;
    weft_page_section(
        s->out, "What weights in bf16 lose",
        "The share of the updates that change nothing, because they are less than half "
        "the distance to the next number of bf16, and the share of the weight decay "
        "that the weights feel. With master weights in f32: what they would lose "
        "without.");
    weight_charts(s, "bf16_lost", "share of updates lost");
    weight_charts(s, "decay_effect", "weight decay felt / asked for");
    weft_page_section_end(s->out);
}

static bool all_are(const struct weft_sheet *s, const char *key, const char *text) {
    size_t n = 0;
    for (size_t r = 0; r < s->runs; r++) n += weft_run_is(s->run[r], key, text);
    return n == s->runs;
}

static void write_sections(struct weft_sheet *s) {
    bool accuracy = false;
    for (size_t r = 0; r < s->runs; r++)
        accuracy |= weft_run_metric(s->run[r], "val_accuracy") != NULL;
    weft_page_section(s->out, "Training", NULL);
    weft_chart_loss(s);
    weft_chart_metric(s, "lr", "Learning rate", "learning rate", true);
    weft_chart_grad_norm(s, accuracy ? 1 : 2);
    weft_chart_metric(s, "tokens_per_s", "Speed",
                      all_are(s, "model", "mlp")    ? "samples per second"
                      : all_are(s, "model", "gpt2") ? "tokens per second"
                                                    : "tokens or samples per second",
                      true);
    weft_chart_metric(s, "val_accuracy", "Validation accuracy", "share of right answers", false);
    weft_page_section_end(s->out);
    weight_section(s);
    flow_section(s);
    update_section(s);
    bf16_section(s);
    bool any = false;
    for (size_t r = 0; r < s->runs; r++) any |= s->run[r]->snapshots > 0;
    if (any) {
        weft_page_section(s->out, "Histograms of weights",
                          "Density of the values over time; each column covers mean ± 4 std.");
        weft_chart_histograms(s);
        weft_page_section_end(s->out);
    }
}

/* "12 layers, 6 heads, width 192, context 128, gelu_tanh, adamw", as far as run.json says so. */
static void write_shape(FILE *out, const struct weft_run_data *run) {
    static const struct {
        const char *key, *before, *after;
    } part[] = {
        {"layers", "", " layers"},   {"heads", "", " heads"},   {"width", "width ", ""},
        {"context", "context ", ""}, {"hidden", "hidden ", ""}, {"activation", "", ""},
        {"optimizer", "", ""},       {"batch", "batch ", ""},   {"parameters", "", " parameters"},
        {"seed", "seed ", ""}};
    char number[32];
    const char *comma = "";
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        const char *text = json_string_value(weft_run_setting(run, part[i].key));
        const double value = weft_run_number(run, part[i].key);
        if (!text && isfinite(value)) text = weft_number_text(number, value);
        if (!text) continue;
        fprintf(out, "%s%s", comma, part[i].before);
        weft_html_text(out, text);
        fputs(part[i].after, out);
        comma = ", ";
    }
}

/* The names of all runs between separators. */
static void title_text(const struct weft_sheet *s, char *buf, size_t size) {
    size_t used = 0;
    buf[0] = 0;
    for (size_t r = 0; r < s->runs && used < size; r++)
        used += (size_t)snprintf(buf + used, size - used, "%s%s", r ? ", " : "", s->run[r]->name);
}

static void write_page(struct weft_sheet *s) {
    char title[1024], footer[1200] = "Written by weft report.";
    title_text(s, title, sizeof title);
    weft_page_begin(s->out, title);
    fputs("<p class=\"lead\">", s->out);
    if (s->runs == 1) write_shape(s->out, s->run[0]);
    fputs("</p>\n", s->out);
    write_results(s);
    write_sections(s);
    write_settings(s);
    size_t bad = 0;
    for (size_t r = 0; r < s->runs; r++) bad += s->run[r]->bad_lines;
    if (bad)
        snprintf(footer, sizeof footer, "Written by weft report; %zu unreadable line%s skipped.",
                 bad, bad > 1 ? "s" : "");
    for (size_t r = 0; r < s->runs; r++) {
        const size_t used = strlen(footer);
        if (s->run[r]->bad_settings)
            snprintf(footer + used, sizeof footer - used, " run.json of %.60s cannot be read.",
                     s->run[r]->name);
    }
    weft_page_end(s->out, footer);
}

/* ---- the file ---- */
static enum weft_status write_file(weft_ctx *ctx, struct weft_sheet *s, const char *path) {
    struct weft_page page;
    enum weft_status st = weft_page_open(ctx, &page);
    if (st != WEFT_OK) return st;
    s->out = page.out;
    write_page(s);
    page.failed |= s->failed;
    return weft_page_commit(ctx, &page, path);
}

/* Runs of one name go by their paths. */
static enum weft_status tell_apart(weft_ctx *ctx, struct weft_run_data **run, size_t n, size_t r) {
    bool again = false;
    for (size_t i = r + 1; i < n; i++) again |= strcmp(run[i]->name, run[r]->name) == 0;
    if (!again) return WEFT_OK;
    char *const name = strdup(run[r]->name);
    enum weft_status st = name ? WEFT_OK : WEFT_ERR_NOMEM;
    for (size_t i = r; st == WEFT_OK && i < n; i++) {
        if (strcmp(run[i]->name, name) != 0) continue;
        char *path = strdup(run[i]->dir);
        if (!path) st = WEFT_ERR_NOMEM;
        if (path) free(run[i]->name), run[i]->name = path;
    }
    free(name);
    return st == WEFT_OK ? st : weft_ctx_fail(ctx, st, "out of memory for a report");
}

enum weft_status weft_report_write(weft_ctx *ctx, const char *const *dirs, size_t n,
                                   const char *path) {
    struct weft_run_data *run[WEFT_REPORT_MAX_RUNS] = {NULL};
    if (n < 1 || n > WEFT_REPORT_MAX_RUNS)
        return weft_ctx_fail(ctx, WEFT_ERR_ARG, "a report shows 1 to %d runs, not %zu",
                             WEFT_REPORT_MAX_RUNS, n);
    enum weft_status st = WEFT_OK;
    for (size_t r = 0; r < n && st == WEFT_OK; r++) st = weft_run_data_load(ctx, dirs[r], &run[r]);
    for (size_t r = 0; r < n && st == WEFT_OK; r++) st = tell_apart(ctx, run, n, r);
    struct weft_sheet s = {.run = run, .runs = n};
    if (st == WEFT_OK) st = write_file(ctx, &s, path);
    weft_sheet_free(&s);
    for (size_t r = 0; r < n; r++) weft_run_data_free(run[r]);
    return st;
}
