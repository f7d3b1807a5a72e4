/* Hashes of a run's parameters, of its checkpoints and of the steps that metrics.jsonl has them of:
 * the same bits give the same hashes on every machine. */
#include <inttypes.h>
#include <stdio.h>

#include "cli/cli.h"
#include "train/run_data.h"
#include "train/run_diff.h"

static void hash_json(struct weft_json *j, const char *key, uint64_t hash) {
    char text[17];
    snprintf(text, sizeof text, "%016" PRIx64, hash);
    weft_json_text(j, key, text);
}

static int print_json(const struct weft_checkpoint_hash *list, size_t n,
                      const struct weft_run_data *run) {
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
    for (size_t i = 0; run && i < run->hashes; i++) {
        const char *name;
        json_t *value;
        weft_json_open(&j, NULL, '{');
        weft_json_count(&j, "step", (uint64_t)run->hash[i].step);
        weft_json_text(&j, "total", run->hash[i].total);
        weft_json_open(&j, "tensors", '{');
        json_object_foreach(run->hash[i].tensors, name, value)
            weft_json_text(&j, name, json_string_value(value));
        weft_json_close(&j);
        weft_json_close(&j);
    }
    return cli_json(&j);
}

static void print_table(const struct weft_checkpoint_hash *list, size_t n,
                        const struct weft_run_data *run) {
    for (size_t i = 0; i < n; i++) {
        printf("%s\n", list[i].path);
        for (size_t t = 0; t < list[i].tensors; t++)
            printf("%016" PRIx64 "  %s %s\n", list[i].tensor[t].hash, list[i].tensor[t].name,
                   list[i].tensor[t].shape);
        printf("%016" PRIx64 "  total\n", list[i].total);
    }
    if (run && run->hashes) puts("while it was trained (all tensors with --json)");
    for (size_t i = 0; run && i < run->hashes; i++)
        printf("%s  total, step %.0f\n", run->hash[i].total, run->hash[i].step);
}

int cmd_hash(struct cli *c) {
    struct weft_checkpoint_hash *list = NULL;
    struct weft_run_data *run = NULL;
    size_t n = 0;
    if (weft_run_data_load(c->ctx, c->rest[0], &run) != WEFT_OK) run = NULL; // a checkpoint
    const enum weft_status st = weft_run_hash(c->ctx, c->rest[0], &list, &n);
    int code = CLI_OK;
    if (st != WEFT_OK && !(run && run->hashes))
        code = cli_end(c, st);
    else if (c->o.json)
        code = print_json(list, n, run);
    else
        print_table(list, n, run);
    weft_run_hash_free(list, n);
    weft_run_data_free(run);
    return code;
}
