/* Text by a trained GPT-2: the prompt, and what the model makes of it, as it comes. */
#include <stdio.h>

#include "cli/cli.h"
#include "train/generate.h"
#include "train/loaded.h"

static bool put(void *user, const char *text, size_t size) {
    (void)user;
    return fwrite(text, 1, size, stdout) == size && fflush(stdout) == 0;
}

static int generate(const struct cli *c, const struct weft_loaded *l) {
    if (!l->shape.language)
        return cli_fail("%s is not a language model: it cannot write text", c->o.model);
    const struct weft_generation g = {
        .ctx = c->ctx,
        .model = l->model,
        .vocab = l->shape.gpt2.vocab,
        .context = l->shape.gpt2.context,
        .tokenizer = l->tokenizer,
        .temperature = c->o.temperature,
        .top_k = (size_t)c->o.top_k,
        .top_p = c->o.top_p,
        .seed = c->o.seed,
        .put = put,
    };
    const enum weft_status st = weft_generate(&g, c->o.prompt, (size_t)c->o.tokens);
    if (st == WEFT_OK) putchar('\n');
    return cli_end(c, st);
}

int cmd_generate(struct cli *c) {
    if (!c->o.model)
        return cli_usage(c,
                         "--model is missing: a checkpoint, as in --model runs/x/checkpoints/last");
    struct weft_loaded l;
    const enum weft_status st = weft_loaded_open(c->ctx, c->o.model, NULL, &l);
    if (st != WEFT_OK) return cli_end(c, st);
    const int code = generate(c, &l);
    weft_loaded_close(&l);
    return code;
}
