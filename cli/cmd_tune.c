/* Find how this machine likes its work cut, and keep it for later runs. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "train/tune.h"

static void print_trial(void *user, const struct weft_tune_trial *t) {
    (void)user;
    printf("%-12s %12zu %8.3f%s\n", t->name, t->value, t->ratio, t->kept ? "  kept" : "");
    fflush(stdout);
}

int cmd_tune(struct cli *c) {
    char text[WEFT_TUNE_TEXT];
    printf("%s, %d thread%s; time over that of the default\n%-12s %12s %8s\n", weft_ctx_isa(c->ctx),
           weft_ctx_threads(c->ctx), weft_ctx_threads(c->ctx) == 1 ? "" : "s", "setting", "value",
           "time");
    fflush(stdout);
    enum weft_status st = weft_tune(c->ctx, print_trial, NULL, text);
    if (st != WEFT_OK) return cli_end(c, st);
    printf("tuning       %s\n", *text ? text : "the defaults serve this machine well");
    char *const path = weft_tuning_path();
    if (path == NULL)
        return cli_fail(
            "neither XDG_CACHE_HOME nor HOME is set: nothing kept; use WEFT_TUNE=\"%s\"", text);
    st = weft_tuning_save(c->ctx, path, text);
    if (st == WEFT_OK) printf("kept in      %s (remove it to go back to the defaults)\n", path);
    free(path);
    return cli_end(c, st);
}
