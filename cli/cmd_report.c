/* Pictures of runs: one HTML page, by default report.html in the first run's directory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "train/report.h"

static int print_tables(const struct cli *c) {
    for (size_t i = 0; i < c->count; i++) {
        if (c->count > 1) printf("%s%s\n", i ? "\n" : "", c->rest[i]);
        const enum weft_status st = weft_report_table(c->ctx, c->rest[i], stdout);
        if (st != WEFT_OK) return cli_end(c, st);
    }
    return CLI_OK;
}

int cmd_report(struct cli *c) {
    if (c->o.table) return print_tables(c);
    const char *path = c->o.out;
    char *own = NULL;
    if (!path) {
        const size_t bytes = strlen(c->rest[0]) + sizeof "/report.html";
        own = malloc(bytes);
        if (!own) return cli_fail("out of memory");
        snprintf(own, bytes, "%s/report.html", c->rest[0]);
        path = own;
    }
    const enum weft_status st = weft_report_write(c->ctx, c->rest, c->count, path);
    const int code =
        st == WEFT_ERR_ARG ? cli_usage(c, "%s", weft_ctx_message(c->ctx)) : cli_end(c, st);
    if (code == CLI_OK) printf("%s\n", path);
    free(own);
    return code;
}
