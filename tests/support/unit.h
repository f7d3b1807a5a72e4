/* What unit tests share: cmocka with its prerequisites, a context, scratch files. */
#ifndef WEFT_TESTS_UNIT_H
#define WEFT_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "weft/context.h"

/* A folder of this test's own, made by unit_start (a group setup) and the current one; removed by
 * unit_stop unless something failed. *state is the context. */
static char unit_folder[] = "/tmp/weft-unit-XXXXXX";
static weft_ctx *unit_ctx;

static inline int unit_start(void **state) {
    if (!mkdtemp(unit_folder) || chdir(unit_folder) != 0) return -1;
    if (weft_ctx_create(&(struct weft_ctx_options){.threads = 1}, &unit_ctx) != WEFT_OK) return -1;
    *state = unit_ctx;
    return 0;
}

static inline int unit_stop(void **state) {
    (void)state;
    char command[64];
    weft_ctx_free(unit_ctx);
    snprintf(command, sizeof command, "rm -rf %s", unit_folder);
    return chdir("/") == 0 ? system(command) : -1;
}

static inline void unit_put(const char *path, const void *data, size_t size) {
    unlink(path); // file systems flush a file that is truncated and rewritten: slow
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* The whole file, zero-terminated, to be freed. */
static inline char *unit_get(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    const long n = ftell(file);
    assert_true(n >= 0);
    rewind(file);
    char *data = malloc((size_t)n + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, (size_t)n, file), n);
    data[n] = '\0';
    fclose(file);
    if (size) *size = (size_t)n;
    return data;
}

/* The last message is one line and contains this. */
static inline void unit_says(const char *text) {
    const char *message = weft_ctx_message(unit_ctx);
    if (!strstr(message, text) || strchr(message, '\n'))
        fail_msg("expected '%s' in the message '%s'", text, message);
}

/* A small generator for test data. */
static inline uint32_t unit_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

#endif
