/* A model from one program's files into another's. */
#include <stdio.h>

#include "cli/cli.h"
#include "train/convert.h"

int cmd_convert(struct cli *c) {
    struct weft_loaded l;
    const struct weft_conversion how = {
        .to = c->rest[1], .dtype = c->o.dtype, .shard_bytes = (size_t)c->o.shard_mib << 20};
    enum weft_status st = weft_loaded_open(c->ctx, c->rest[0], c->o.tokenizer, NULL, &l);
    if (st != WEFT_OK) return cli_end(c, st);
    st = weft_convert(c->ctx, &l, &how);
    if (st == WEFT_OK)
        printf("%s: %zu parameters in %s%s\n", how.to, weft_model_param_count(l.model), how.dtype,
               l.shape.language && !l.tokenizer ? ", no tokenizer" : "");
    weft_loaded_close(&l);
    return cli_end(c, st);
}
