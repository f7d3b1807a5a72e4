/* Memory of a training before anything is allocated, and the largest batch that fits. Takes the
 * options of train: put `plan` where `train` stands. */
#include <stdio.h>

#include "cli/cli.h"
#include "train/fit.h"

struct plan {
    struct weft_settings settings;
    struct weft_memory memory;
    struct weft_fit_data data;
    size_t params, total, available, batch, batch_total;
};

/* What the data demands, and takes, when --data is there. */
static enum weft_status look_at_data(struct cli *c, const struct weft_settings *s,
                                     struct weft_data_needs *needs, struct weft_fit_data *memory) {
    struct weft_data_options options;
    struct weft_data *data = NULL;
    if (!weft_options_has(&c->o, WEFT_OPT_data)) return WEFT_OK;
    weft_settings_data(&c->o, s, &options);
    const enum weft_data_kind kind = s->shape.language ? WEFT_DATA_TOKENS : WEFT_DATA_FEATURES;
    const enum weft_status st = weft_data_open(c->ctx, kind, &options, &data);
    if (st != WEFT_OK) return st;
    weft_settings_needs(data, needs);
    weft_fit_data(data, memory, NULL);
    weft_data_free(data);
    return WEFT_OK;
}

/* Formats are for generation: it is what is planned then. */
static bool generates(const struct cli *c) {
    return weft_options_given(&c->o, WEFT_OPT_weights) || weft_options_given(&c->o, WEFT_OPT_kv);
}

static enum weft_status make_plan(struct cli *c, struct plan *p) {
    struct weft_data_needs needs = {.vocab = 0};
    enum weft_status st = weft_settings_make(c->ctx, &c->o, &needs, &p->settings);
    if (st == WEFT_OK) st = look_at_data(c, &p->settings, &needs, &p->data);
    if (st == WEFT_OK) st = weft_settings_make(c->ctx, &c->o, &needs, &p->settings);
    if (st == WEFT_OK && generates(c)) /* of one text */
        p->settings.training = (struct weft_training){.weights = c->o.weights, .kv = c->o.kv};
    if (st == WEFT_OK) st = weft_fit_memory(c->ctx, &p->settings, 0, &p->memory, &p->params);
    if (st != WEFT_OK || generates(c)) {
        p->total = p->memory.total;
        p->available = weft_memory_available();
        return st;
    }
    p->total = weft_fit_total(&p->data, &p->memory);
    p->available = weft_memory_available();
    if (p->available > p->data.data)
        p->batch =
            weft_fit_batch(c->ctx, &p->settings, p->available - p->data.data, &p->batch_total);
    if (p->batch) p->batch_total += p->data.data;
    return WEFT_OK;
}

static int print_json(const struct plan *p) {
    struct weft_json j = {.pretty = true};
    const struct weft_memory *m = &p->memory;
    weft_json_open(&j, NULL, '{');
    weft_json_count(&j, "parameters", p->params);
    if (p->settings.training.batch > 0) {
        weft_json_count(&j, "batch", p->settings.training.batch);
        weft_json_text(&j, "precision", p->settings.training.precision);
    } else {
        weft_json_text(&j, "weights", p->settings.training.weights);
    }
    weft_json_open(&j, "memory", '{');
    weft_json_count(&j, "params", m->params);
    weft_json_count(&j, "copies", m->copies);
    weft_json_count(&j, "grads", m->grads);
    weft_json_count(&j, "optim", m->optim);
    weft_json_count(&j, "state", m->state);
    weft_json_count(&j, "activations", m->activations);
    weft_json_count(&j, "scratch", m->scratch);
    weft_json_count(&j, "data", p->data.data);
    weft_json_count(&j, "total", p->total);
    weft_json_close(&j);
    weft_json_count(&j, "available", p->available);
    if (p->settings.training.batch == 0) return cli_json(&j);
    weft_json_count(&j, "largest_batch", p->batch);
    weft_json_count(&j, "largest_batch_total", p->batch_total);
    return cli_json(&j);
}

static void print_row(const char *label, size_t bytes, const char *note) {
    char text[32];
    printf("  %-12s %10s  %s\n", label, cli_bytes(text, bytes), note);
}

/* Generation: a text, and as many as the cache is repeated for. */
static void print_generation(const struct plan *p) {
    const struct weft_memory *m = &p->memory;
    const struct weft_training *t = &p->settings.training;
    char text[32];
    printf("%zu parameters, to generate with weights in %s\n\n", p->params, t->weights);
    print_row("weights", m->params, t->weights);
    print_row("KV cache", m->state, t->kv);
    print_row("activations", m->activations, "");
    print_row("scratch", m->scratch, "");
    print_row("total", p->total, p->available && p->total > p->available ? "does not fit" : "");
    if (p->available) printf("\navailable now: %s\n", cli_bytes(text, p->available));
}

static void print_table(const struct plan *p) {
    if (p->settings.training.batch == 0) {
        print_generation(p);
        return;
    }
    const struct weft_memory *m = &p->memory;
    char text[32];
    printf("%zu parameters, batch %zu", p->params, p->settings.training.batch);
    if (p->settings.shape.language) printf(" of %zu tokens", p->settings.training.seq);
    printf(", %s\n\n", p->settings.training.precision);
    print_row("parameters", m->params, "");
    if (m->copies > 0) print_row("bf16 copies", m->copies, "");
    print_row("gradients", m->grads, "");
    print_row("optimizer", m->optim, "");
    print_row("state", m->state, "");
    print_row("activations", m->activations, "");
    print_row("scratch", m->scratch, "");
    if (p->data.data > 0) print_row("data", p->data.data, "");
    print_row("total", p->total,
              p->available && p->total > p->available ? "does not fit"
              : p->total > m->total + p->data.data    ? "while the data is read"
                                                      : "");
    if (!p->available) return;
    printf("\navailable now: %s", cli_bytes(text, p->available));
    if (p->batch)
        printf("; largest batch that fits: %zu%s (%s)\n", p->batch,
               p->batch == WEFT_FIT_MAX_BATCH ? " or more" : "", cli_bytes(text, p->batch_total));
    else
        puts("; not even a batch of one sample fits");
}

int cmd_plan(struct cli *c) {
    struct plan p = {.available = 0};
    const enum weft_status st = make_plan(c, &p);
    if (st == WEFT_ERR_ARG) return cli_usage(c, "%s", weft_ctx_message(c->ctx));
    if (st != WEFT_OK) return cli_end(c, st);
    if (c->o.json) return print_json(&p);
    print_table(&p);
    return CLI_OK;
}
