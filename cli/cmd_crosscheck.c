/* weft against oneDNN, op by op or a small model node by node. Exit code 1 when a check fails. */
#include <stdio.h>

#include "cli/cli.h"
#include "crosscheck/crosscheck.h"
#include "train/progress.h"

struct show {
    struct weft_progress bar;
    bool headed; /* the head of the table is printed */
};

static void on_next(void *user, const char *what, size_t i, size_t n) {
    struct show *const s = user;
    s->bar.total = n;
    weft_progress_task(&s->bar, i, what, weft_clock());
}

static void on_done(void *user, const struct weft_cross_check *c) {
    struct show *const s = user;
    weft_progress_end(&s->bar);
    if (!s->headed) weft_cross_table_head(stdout);
    s->headed = true;
    weft_cross_table_row(stdout, c);
}

int cmd_crosscheck(struct cli *c) {
    struct show s = {.bar = {.write = cli_write}};
    s.bar.terminal = cli_terminal(&s.bar.columns);
    const struct weft_cross_options o = {.quick = c->o.quick,
                                         .ops = c->o.ops,
                                         .model = c->o.model_,
                                         .done = on_done,
                                         .next = on_next,
                                         .user = &s};
    struct weft_cross_report r;
    if (o.ops && o.model) return cli_usage(c, "--ops and --model exclude each other");
    weft_progress_start(&s.bar, weft_clock());
    enum weft_status st = weft_cross_run(c->ctx, &o, &r);
    weft_progress_end(&s.bar);
    if (st == WEFT_OK) weft_cross_table_end(stdout, &r);
    if (st == WEFT_OK && c->o.json_) st = weft_cross_json(c->ctx, &r, c->o.json_);
    if (st == WEFT_OK && c->o.html) st = weft_cross_html(c->ctx, &r, c->o.html);
    const bool failed = r.failed > 0;
    weft_cross_free(&r);
    if (st == WEFT_ERR_ARG) return cli_usage(c, "%s", weft_ctx_message(c->ctx));
    const int code = cli_end(c, st);
    return code == CLI_OK && failed ? CLI_FAILED : code;
}
