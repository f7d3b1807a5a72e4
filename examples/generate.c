/* A text by the library alone: cc generate.c $(pkg-config --cflags --libs weft)
 * usage: generate MODEL.bin TOKEN... (`weft convert MODEL MODEL.bin` makes one; of a model of bytes
 * the tokens are those of the text, and it comes out as text) */
#include <stdio.h>
#include <stdlib.h>
#include <weft/weft.h>

static struct weft_gpt2_config config;

static bool show(void *user, int32_t token) { /* called for each token; false would end the text */
    (void)user;
    printf(config.vocab <= 256 ? "%c" : "%d ", token);
    return fflush(stdout) == 0;
}

static int fail(weft_ctx *ctx) {
    fprintf(stderr, "%s\n", weft_ctx_message(ctx));
    return 1;
}

int main(int argc, char **argv) {
    weft_ctx *ctx;
    weft_model *m;
    weft_generator *g;
    int32_t prompt[1024];
    size_t n = 0;
    if (argc < 3 || argc > 1024 || weft_ctx_create(NULL, &ctx)) return 2;
    while (n + 2 < (size_t)argc) prompt[n] = atoi(argv[n + 2]), n++;
    const struct weft_request request = {
        .prompt = prompt, .prompt_tokens = n, .tokens = 40, .token = show};
    if (weft_gpt2_file_config(ctx, argv[1], &config) || weft_gpt2_create(ctx, &config, NULL, &m) ||
        weft_model_commit(m) || weft_gpt2_file_read(argv[1], m) || weft_generate_create(m, 0, &g) ||
        weft_generate_add(g, &request) || weft_generate_run(g))
        return fail(ctx);
    weft_generate_free(g);
    weft_model_free(m);
    weft_ctx_free(ctx);
    return 0;
}
