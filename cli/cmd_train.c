/* Train a model, or go on with a run. The first SIGINT, SIGTERM or SIGHUP saves and ends, the
 * second kills; SIGPIPE, when nobody reads the lines any more, saves and ends. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "runtime/onednn/onednn.h"
#include "train/trainer.h"

static volatile sig_atomic_t stop_signal;

static void on_signal(int signal) { stop_signal = signal; }

static void catch_signals(void) {
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct sigaction now, before;
        memset(&now, 0, sizeof now);
        now.sa_handler = on_signal;
        now.sa_flags = signals[i] == SIGPIPE ? SA_RESTART : (int)(SA_RESETHAND | SA_RESTART);
        sigemptyset(&now.sa_mask);
        // one that is ignored stays so, as under nohup
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(signals[i], &now, NULL);
    }
}

static void warn(void *user, const char *text) {
    (void)user;
    cli_warn("%s", text);
}

static int run(struct cli *c) {
    struct weft_trainer_io io = {.write = cli_write, .warn = warn, .signal = &stop_signal};
    io.terminal = cli_terminal(&io.columns);
    weft_trainer *t = NULL;
    enum weft_status st = weft_trainer_create(c->ctx, &c->o, &io, &t);
    if (st == WEFT_OK) st = weft_trainer_run(t);
    const int code = cli_end(c, st);
    weft_trainer_free(t);
    return code;
}

int cmd_train(struct cli *c) {
    const enum weft_status st = weft_trainer_check(c->ctx, &c->o);
    if (st == WEFT_ERR_ARG) return cli_usage(c, "%s", weft_ctx_message(c->ctx));
    if (st != WEFT_OK) return cli_end(c, st);
    if (!strcmp(c->o.backend, "onednn")) {
        if (!weft_onednn()) return cli_fail("--backend onednn: %s", WEFT_ONEDNN_HOWTO);
        weft_ctx_use_backend(c->ctx, weft_onednn());
    }
    uint64_t steps;
    if (weft_trainer_is_finished(c->ctx, &c->o, &steps)) {
        printf("this run is finished: %" PRIu64 " steps are done\n", steps);
        return CLI_OK;
    }
    catch_signals();
    return run(c);
}
