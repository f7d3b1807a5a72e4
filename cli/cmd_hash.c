/* Hashes of a run's parameters: the same bits give the same hashes on every machine. */
#include <inttypes.h>
#include <stdio.h>

#include "cli/cli.h"
#include "train/run_diff.h"

static void hash_json(struct weft_json *j, const char *key, uint64_t hash) {
    char text[17];
    snprintf(text, sizeof text, "%016" PRIx64, hash);
    weft_json_text(j, key, text);
}

static int print_json(const struct weft_checkpoint_hash *list, size_t n) {
    struct weft_json j = {.pretty = true};
    weft_json_open(&j, NULL, '[');
    for (size_t i = 0; i < n; i++) {
        weft_json_open(&j, NULL, '{');
        weft_json_count(&j, "step", list[i].step);
        weft_json_text(&j, "path", list[i].path);
        hash_json(&j, "total", list[i].total);
        weft_json_open(&j, "tensors", '{');
        for (size_t t = 0; t < list[i].tensors; t++)
            hash_json(&j, list[i].tensor[t].name, list[i].tensor[t].hash);
        weft_json_close(&j);
        weft_json_close(&j);
    }
    return cli_json(&j);
}

int cmd_hash(struct cli *c) {
    struct weft_checkpoint_hash *list = NULL;
    size_t n = 0;
    const enum weft_status st = weft_run_hash(c->ctx, c->rest[0], &list, &n);
    if (st != WEFT_OK) return cli_end(c, st);
    int code = CLI_OK;
    if (c->o.json)
        code = print_json(list, n);
    else
        for (size_t i = 0; i < n; i++) {
            printf("%s\n", list[i].path);
            for (size_t t = 0; t < list[i].tensors; t++)
                printf("%016" PRIx64 "  %s %s\n", list[i].tensor[t].hash, list[i].tensor[t].name,
                       list[i].tensor[t].shape);
            printf("%016" PRIx64 "  total\n", list[i].total);
        }
    weft_run_hash_free(list, n);
    return code;
}
