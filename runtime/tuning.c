/* How work is cut: defaults, what a user says, what is detected. (The cost model that goes by it is
 * in product.c and plan.c.) */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/context.h"

static const struct {
    const char *name;
    size_t at, value;
} fields[] = {
#define FIELD(name, value, what) {#name, offsetof(struct weft_tuning, name), value},
    WEFT_TUNING_LIST(FIELD)
#undef FIELD
};
#define FIELDS (sizeof fields / sizeof *fields)

static size_t *field(struct weft_tuning *t, size_t i) {
    return (size_t *)(void *)((char *)t + fields[i].at);
}

/* One "name=number" at *text, which moves behind it. */
static bool read_field(struct weft_tuning *t, const char **text) {
    const size_t n = strcspn(*text, "=");
    const char *const digits = *text + n + ((*text)[n] == '=');
    char *end;
    for (size_t i = 0; i < FIELDS; i++) {
        if (strlen(fields[i].name) != n || strncmp(fields[i].name, *text, n) != 0) continue;
        if (!isdigit((unsigned char)*digits)) return false;
        *field(t, i) = strtoull(digits, &end, 10);
        *text = end;
        return (*end == 0 || *end == ',') && *field(t, i) <= SIZE_MAX / 4;
    }
    return false;
}

enum weft_status weft_tuning_set(weft_ctx *ctx, const char *text, const struct weft_cpu_info *cpu) {
    struct weft_tuning *const t = &ctx->tuning;
    for (size_t i = 0; i < FIELDS; i++) *field(t, i) = fields[i].value;
    if (text == NULL) text = getenv("WEFT_TUNE");
    for (const char *p = text; p != NULL && *p != 0; p += *p == ',') {
        if (read_field(t, &p)) continue;
        char names[128] = "";
        for (size_t i = 0; i < FIELDS; i++)
            strcat(strcat(names, i == 0 ? "" : ", "), fields[i].name);
        return weft_ctx_fail(ctx, WEFT_ERR_ARG,
                             "tuning \"%s\": must be NAME=NUMBER,... with names out of %s", text,
                             names);
    }
    if (t->l2 == 0) t->l2 = cpu->l2 != 0 ? cpu->l2 : 512 << 10;
    if (t->fma_mflops == 0) t->fma_mflops = (size_t)(1e3 * weft_fma_probe(ctx->k));
    for (size_t i = 0; i < FIELDS; i++) *field(t, i) += *field(t, i) == 0;
    return WEFT_OK;
}
