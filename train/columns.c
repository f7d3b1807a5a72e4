#include "train/columns.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

char **weft_texts_copy(char *const *text, size_t n) {
    char **copy = calloc(n + 1, sizeof *copy);
    for (size_t i = 0; copy && i < n; i++) {
        copy[i] = strdup(text[i]);
        if (!copy[i]) {
            weft_texts_free(copy, i);
            return NULL;
        }
    }
    return copy;
}

void weft_texts_free(char **text, size_t n) {
    for (size_t i = 0; text && i < n; i++) free(text[i]);
    free(text);
}

void weft_columns_free(struct weft_columns *c) {
    if (!c) return;
    weft_texts_free(c->name, c->n);
    weft_texts_free(c->class_label, c->classes);
    free(c->mean);
    free(c->scale);
    free(c->label);
    free(c);
}

/* ---- writing ---- */

static void put_texts(struct weft_json *j, const char *key, char *const *text, size_t n) {
    weft_json_open(j, key, '[');
    for (size_t i = 0; i < n; i++) weft_json_text(j, NULL, text[i]);
    weft_json_close(j);
}

static void put_reals(struct weft_json *j, const char *key, const double *x, size_t n) {
    weft_json_open(j, key, '[');
    for (size_t i = 0; i < n; i++) weft_json_real(j, NULL, x[i]);
    weft_json_close(j);
}

void weft_columns_write(const struct weft_columns *c, struct weft_json *j) {
    weft_json_open(j, "columns", '{');
    if (c->name) put_texts(j, "names", c->name, c->n);
    put_reals(j, "mean", c->mean, c->n);
    put_reals(j, "scale", c->scale, c->n);
    if (c->label) weft_json_text(j, "label", c->label);
    weft_json_count(j, "label_column", c->label_at + 1);
    if (c->classes > 0) {
        put_texts(j, "classes", c->class_label, c->classes);
    } else {
        weft_json_real(j, "target_mean", c->target_mean);
        weft_json_real(j, "target_scale", c->target_scale);
    }
    weft_json_close(j);
}

/* ---- reading ---- */

/* All n texts of an array, or NULL. */
static char **get_texts(const json_t *array, size_t n) {
    if (json_array_size(array) != n) return NULL;
    char **text = calloc(n + 1, sizeof *text);
    for (size_t i = 0; text && i < n; i++) {
        const char *item = json_string_value(json_array_get(array, i));
        text[i] = item ? strdup(item) : NULL;
        if (!text[i]) {
            weft_texts_free(text, i);
            return NULL;
        }
    }
    return text;
}

static double *get_reals(const json_t *array, size_t n) {
    double *x = json_array_size(array) == n ? calloc(n + 1, sizeof *x) : NULL;
    for (size_t i = 0; x && i < n; i++) {
        const json_t *item = json_array_get(array, i);
        x[i] = json_is_number(item) ? json_number_value(item) : (double)NAN;
        if (!isfinite(x[i])) {
            free(x);
            return NULL;
        }
    }
    return x;
}

/* NULL when everything is there, else the key that is not as it must be. */
static const char *get_all(const json_t *value, size_t inputs, size_t outputs,
                           struct weft_columns *c) {
    const json_t *names = json_object_get(value, "names");
    const json_t *label = json_object_get(value, "label");
    const json_t *at = json_object_get(value, "label_column");
    const json_t *classes = json_object_get(value, "classes");
    const json_t *mean = json_object_get(value, "target_mean");
    const json_t *scale = json_object_get(value, "target_scale");
    c->n = inputs;
    if (names && !(c->name = get_texts(names, inputs))) return "names";
    if (!(c->mean = get_reals(json_object_get(value, "mean"), inputs))) return "mean";
    if (!(c->scale = get_reals(json_object_get(value, "scale"), inputs))) return "scale";
    if (label && !(json_is_string(label) && (c->label = strdup(json_string_value(label)))))
        return "label";
    const json_int_t column = json_is_integer(at) ? json_integer_value(at) : 0;
    if (column < 1 || (uint64_t)column > inputs + 1) return "label_column";
    c->label_at = (size_t)column - 1;
    if (classes) {
        if (!(c->class_label = get_texts(classes, outputs))) return "classes";
        c->classes = outputs;
    } else {
        if (!json_is_number(mean)) return "target_mean";
        if (!json_is_number(scale)) return "target_scale";
        c->target_mean = json_number_value(mean);
        c->target_scale = json_number_value(scale);
    }
    return NULL;
}

enum weft_status weft_columns_parse(weft_ctx *ctx, const char *path, const json_t *value,
                                    size_t inputs, size_t outputs, struct weft_columns **out) {
    struct weft_columns *c = calloc(1, sizeof *c);
    if (!c) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: out of memory", path);
    const char *wrong = get_all(value, inputs, outputs, c);
    if (wrong) {
        weft_columns_free(c);
        return weft_ctx_fail(ctx, WEFT_ERR_FORMAT,
                             "%s: %s in columns is missing or not as it must be; the file is "
                             "damaged",
                             path, wrong);
    }
    *out = c;
    return WEFT_OK;
}
