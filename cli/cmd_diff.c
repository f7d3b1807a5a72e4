/* Where two runs part: exit code 0 when they are the same, 1 when not, 2 when that cannot be said.
 */
#include <inttypes.h>
#include <stdio.h>

#include "cli/cli.h"
#include "train/run_diff.h"

static int print_json(const struct weft_run_comparison *r) {
    struct weft_json j = {.pretty = true};
    weft_json_open(&j, NULL, '{');
    weft_json_bool(&j, "same", r->differences == 0);
    weft_json_count(&j, "steps", r->steps);
    weft_json_count(&j, "checkpoints", r->checkpoints);
    weft_json_count(&j, "hashes", r->hashes);
    weft_json_count(&j, "unreadable_lines", r->unreadable);
    weft_json_open(&j, "differences", '[');
    for (size_t i = 0; i < r->differences; i++) {
        weft_json_open(&j, NULL, '{');
        weft_json_text(&j, "where", r->first[i].where);
        weft_json_count(&j, "step", r->first[i].step);
        weft_json_text(&j, "what", r->first[i].what);
        weft_json_close(&j);
    }
    weft_json_close(&j);
    return cli_json(&j);
}

int cmd_diff(struct cli *c) {
    struct weft_run_comparison r;
    const enum weft_status st = weft_run_compare(c->ctx, c->rest[0], c->rest[1], &r);
    if (st != WEFT_OK) {
        cli_end(c, st);
        return CLI_USAGE;
    }
    if (c->o.json) {
        const int code = print_json(&r);
        return code != CLI_OK ? CLI_USAGE : r.differences ? CLI_FAILED : CLI_OK;
    }
    for (size_t i = 0; i < r.differences; i++)
        printf("step %" PRIu64 ", %s: %s\n", r.first[i].step, r.first[i].where, r.first[i].what);
    printf("%s: %zu steps and %zu checkpoints compared", r.differences ? "different" : "same",
           r.steps, r.checkpoints);
    if (r.hashes) printf(", and hashes of %zu steps", r.hashes);
    putchar('\n');
    if (r.unreadable) cli_warn("%zu unreadable lines were left out", r.unreadable);
    return r.differences ? CLI_FAILED : CLI_OK;
}
