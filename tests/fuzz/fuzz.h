/* What the fuzz targets share: a context, and a file or folder with the bytes of the fuzzer. */
#ifndef WEFT_TESTS_FUZZ_H
#define WEFT_TESTS_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "weft/context.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char fuzz_folder[64];

static void fuzz_clean(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", fuzz_folder);
    if (system(command) != 0) fprintf(stderr, "%s is left behind\n", fuzz_folder);
}

/* The context of this process; the first call also makes a folder, in memory where there is one. */
static inline weft_ctx *fuzz_ctx(void) {
    static weft_ctx *ctx;
    if (ctx) return ctx;
    snprintf(fuzz_folder, sizeof fuzz_folder, "%s/weft-fuzz-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(fuzz_folder) || chdir(fuzz_folder) != 0) abort();
    atexit(fuzz_clean);
    if (weft_ctx_create(&(struct weft_ctx_options){.threads = 1, .isa = "emu"}, &ctx) != WEFT_OK)
        abort();
    return ctx;
}

static inline void fuzz_put(const char *path, const void *data, size_t size) {
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0) abort();
}

/* A refusal says something, on one line; success says nothing wrong. */
static inline void fuzz_check(weft_ctx *ctx, enum weft_status st) {
    const char *message = weft_ctx_message(ctx);
    if (st != WEFT_OK && (!*message || strchr(message, '\n'))) abort();
}

#endif
