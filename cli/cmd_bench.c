/* weft bench: explain and step measure whole training steps here; report draws what weft-bench, the
 * program with the benchmarks, has written; anything else is handed to that program. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "train/atomic.h"
#include "train/bench_report.h"
#include "train/profile.h"

/* ---- weft-bench ---- */
/* Beside this program, else on the path. Returns only when that fails. */
int cmd_bench_exec(int argc, char *const *argv) {
    char path[4096];
    const ssize_t n = readlink("/proc/self/exe", path, sizeof path - sizeof "-bench");
    char **const all = calloc((size_t)argc + 2, sizeof *all);
    if (all == NULL) return cli_fail("out of memory");
    for (int i = 0; i < argc; i++) all[i + 1] = argv[i];
    fflush(stdout);
    if (n > 0) {
        memcpy(path + n, "-bench", sizeof "-bench");
        all[0] = path;
        execv(path, all);
    }
    static char name[] = "weft-bench";
    all[0] = name;
    execvp(name, all);
    free(all);
    return cli_fail(
        "weft-bench was not built with this program (%s): install what `ci/deps.sh --list "
        "bench` names, and build again",
        strerror(errno));
}

/* ---- tables ---- */
static void print_rows(const char *title, const struct weft_profile_row *row, size_t n,
                       double all) {
    printf("\n%-18s %6s %10s %10s %10s %10s %8s %7s  bound by\n", title, "nodes", "GFLOP", "MiB",
           "least ms", "ms", "of bound", "share");
    for (size_t i = 0; i < n; i++)
        printf("%-18s %6zu %10.4g %10.4g %10.4g %10.4g %7.1f%% %6.1f%%  %s\n", row[i].name,
               row[i].nodes, 1e-9 * row[i].flops, row[i].bytes / 1048576, 1e3 * row[i].least,
               1e3 * row[i].seconds, row[i].seconds > 0 ? 100 * row[i].least / row[i].seconds : 0,
               100 * row[i].seconds / all, row[i].compute ? "arithmetic" : "memory");
}

static int by_seconds(const void *a, const void *b) {
    const struct weft_profile_row *const x = a, *const y = b;
    return x->seconds < y->seconds ? 1 : -(x->seconds > y->seconds);
}

static void print_explanation(const struct cli *c, struct weft_profile *p) {
    char verdict[256];
    qsort(p->op, p->ops, sizeof *p->op, by_seconds);
    printf("%s, %zu parameters; batch %zu x %zu; %s, %s, %d threads\n", p->model, p->params,
           p->batch, p->seq, c->o.precision, weft_ctx_isa(c->ctx), weft_ctx_threads(c->ctx));
    printf("limits measured now: %.1f GFLOP/s, triad %.1f GB/s\n", p->peak, p->limits.triad_gbs);
    print_rows("op", p->op, p->ops, p->mean);
    print_rows("block", p->block, p->blocks, p->mean);
    printf("\nstep        %.4g ms (mean; best %.4g, median %.4g), at least %.4g: %.1f%% of the "
           "bound\n",
           1e3 * p->mean, 1e3 * p->best, 1e3 * p->median, 1e3 * p->least, 100 * p->least / p->mean);
    printf("unexplained %.2f%% of the wall clock is outside of nodes\n",
           100 * (1 - p->explained / p->mean));
    printf("verdict     %s\n", weft_profile_verdict(p, verdict, sizeof verdict));
}

/* ---- one line of numbers, as people paste them into an issue ---- */
enum { FIELDS = 12, FIELD = 64 };
static const char *const field_name[FIELDS] = {"model",   "batch",   "seq",       "isa",
                                               "threads", "best_ms", "median_ms", "per_s",
                                               "mfu_%",   "bound_%", "peak_MiB",  "joules"};

static void fill_fields(const struct cli *c, const struct weft_profile *p,
                        char value[FIELDS][FIELD]) {
    const double mfu = 1e-7 * p->model_flops / p->median / p->peak;
    snprintf(value[0], FIELD, "%s", p->model);
    snprintf(value[1], FIELD, "%zu", p->batch);
    snprintf(value[2], FIELD, "%zu", p->seq);
    snprintf(value[3], FIELD, "%s", weft_ctx_isa(c->ctx));
    snprintf(value[4], FIELD, "%d", weft_ctx_threads(c->ctx));
    snprintf(value[5], FIELD, "%.4g", 1e3 * p->best);
    snprintf(value[6], FIELD, "%.4g", 1e3 * p->median);
    snprintf(value[7], FIELD, "%.4g", (double)p->units / p->median);
    snprintf(value[8], FIELD, "%.1f", mfu);
    snprintf(value[9], FIELD, "%.1f", 100 * p->least / p->median);
    snprintf(value[10], FIELD, "%.0f", (double)p->peak_bytes / 1048576);
    if (p->joules > 0)
        snprintf(value[11], FIELD, "%.4g", p->joules);
    else
        snprintf(value[11], FIELD, "-");
}

static void print_fields(char value[FIELDS][FIELD], const char *format) {
    const bool csv = !strcmp(format, "csv"), md = !strcmp(format, "md");
    for (int line = 0; line < (md ? 3 : 2); line++) {
        const bool rule = md && line == 1;
        if (md) fputs("|", stdout);
        for (int i = 0; i < FIELDS; i++) {
            const char *const text = rule ? "---" : line == 0 ? field_name[i] : value[i];
            if (csv)
                printf("%s%s", i > 0 ? "," : "", text);
            else if (md)
                printf(" %s |", text);
            else
                printf("%*s", i == 0 ? -14 : 10, text);
        }
        putchar('\n');
    }
}

static int print_step(const struct cli *c, const struct weft_profile *p) {
    char value[FIELDS][FIELD];
    if (!strcmp(c->o.format, "json") || c->o.json) {
        struct weft_json j = {.pretty = true};
        weft_profile_json(p, &j);
        return cli_json(&j);
    }
    fill_fields(c, p, value);
    print_fields(value, c->o.format);
    return CLI_OK;
}

/* ---- commands ---- */
static int write_trace(struct cli *c, const struct weft_profile *p) {
    struct weft_json j = {0};
    weft_profile_trace(p, &j);
    enum weft_status st = j.failed ? weft_ctx_fail(c->ctx, WEFT_ERR_NOMEM, "out of memory")
                                   : weft_write_file(c->ctx, c->o.trace, j.data, j.size);
    weft_json_free(&j);
    return cli_end(c, st);
}

static int measure(struct cli *c, bool explain) {
    const bool named = c->count > 1;
    struct weft_profile p;
    const struct weft_profile_options o = {
        .model = named                                        ? c->rest[1]
                 : weft_options_given(&c->o, WEFT_OPT_preset) ? c->o.preset
                                                              : "gpt2-124m",
        .batch = weft_options_given(&c->o, WEFT_OPT_batch) ? c->o.batch : 0,
        .seq = weft_options_given(&c->o, WEFT_OPT_seq) ? c->o.seq : 0,
        .steps = c->o.repetitions,
        .precision = c->o.precision,
    };
    if (c->count > 2) return cli_usage(c, "'%s' is one argument too many", c->rest[2]);
    const enum weft_status st = weft_profile_run(c->ctx, &o, &p);
    if (st != WEFT_OK) return cli_end(c, st);
    int code = CLI_OK;
    if (c->o.trace) code = write_trace(c, &p);
    if (code == CLI_OK && explain && !c->o.json)
        print_explanation(c, &p);
    else if (code == CLI_OK)
        code = print_step(c, &p);
    weft_profile_free(&p);
    return code;
}

static int report(struct cli *c) {
    const char *const out = c->o.out ? c->o.out : "bench.html";
    if (c->count < 2)
        return cli_usage(c, "report needs what weft-bench --benchmark_out=FILE has written");
    const enum weft_status st = weft_bench_report(c->ctx, c->rest + 1, c->count - 1, out);
    if (st == WEFT_OK) puts(out);
    return cli_end(c, st);
}

int cmd_bench(struct cli *c) {
    const char *const what = c->rest[0];
    if (!strcmp(what, "explain")) return measure(c, true);
    if (!strcmp(what, "step")) return measure(c, false);
    if (!strcmp(what, "report")) return report(c);
    return cli_usage(c, "weft bench '%s': explain, step, report, or options of weft-bench", what);
}
