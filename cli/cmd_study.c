/* The studies: list them, run one or all, draw their reports again. The first SIGINT or SIGTERM
 * ends the running cells; what is finished is kept, and the same command goes on. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

#ifdef WEFT_WITH_STUDIES
#include <signal.h>

#include "studies/driver.h"

static volatile sig_atomic_t stop_signal;

static void on_signal(int signal) { stop_signal = signal; }

static void catch_signals(void) {
    static const int signals[] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct sigaction now, before;
        memset(&now, 0, sizeof now);
        now.sa_handler = on_signal;
        now.sa_flags = (int)(SA_RESETHAND | SA_RESTART);
        sigemptyset(&now.sa_mask);
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(signals[i], &now, NULL);
    }
}

static enum weft_status run(struct cli *c, const struct study_request *q, bool *failed) {
    const char *const what = c->rest[0];
    if (!strcmp(what, "list")) return study_list(c->ctx, stdout);
    if (!strcmp(what, "report")) return study_redraw(c->ctx, c->rest + 1, c->count - 1, q, failed);
    if (!strcmp(what, "all")) return study_run_every(c->ctx, q, failed);
    return study_run_named(c->ctx, what, q, failed);
}

int cmd_study(struct cli *c) {
    const struct weft_options *o = &c->o;
    const bool report = !strcmp(c->rest[0], "report");
    struct study_request q = {
        .setting = o->smoke   ? STUDY_SMOKE
                   : o->quick ? STUDY_QUICK
                   : o->paper ? STUDY_PAPER
                              : STUDY_DEFAULT,
        .part = o->part,
        .out = o->out,
        .data = o->data,
        .isa = o->isa,
        .seeds = o->seeds,
        .threads = (unsigned)o->threads,
        .jobs = (unsigned)o->jobs,
        .strict = o->strict,
        .yes = o->yes,
        .signal = &stop_signal,
        .write = cli_write,
    };
    bool failed = false;
    if (o->smoke + o->quick + o->paper > 1)
        return cli_usage(c, "--smoke, --quick and --paper exclude each other");
    if (report && c->count < 2) return cli_usage(c, "report: which folder? weft study report DIR");
    if (!report && c->count > 1)
        return cli_usage(c, "'%s' is one argument too many: one study at a time, or all",
                         c->rest[1]);
    q.terminal = cli_terminal(&q.columns);
    catch_signals();
    const enum weft_status st = run(c, &q, &failed);
    if (st == WEFT_ERR_ARG) return cli_usage(c, "%s", weft_ctx_message(c->ctx));
    if (st != WEFT_OK) return cli_end(c, st);
    return failed ? CLI_FAILED : CLI_OK;
}

#else

int cmd_study(struct cli *c) {
    (void)c;
    return cli_fail(
        "this program was built without studies, which need GSL: ci/deps.sh study, then "
        "build again");
}

#endif
