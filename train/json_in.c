#include "train/json_in.h"

#include <stdbool.h>
#include <string.h>
#include "train/file_map.h"

/* No fewer than the values of the document: what separates them, outside of texts. */
static size_t count_values(const char *text, size_t size) {
    size_t n = 1;
    bool quoted = false;
    for (size_t i = 0; i < size; i++) {
        if (quoted && text[i] == '\\') {
            i++;
        } else if (text[i] == '"') {
            quoted = !quoted;
        } else if (!quoted) {
            n += text[i] == ',' || text[i] == ':' || text[i] == '[' || text[i] == '{';
        }
    }
    return n;
}

enum weft_status weft_json_parse(weft_ctx *ctx, const char *path, const void *data, size_t size,
                                 json_t **out) {
    json_error_t error;
    if (size == 0) return weft_ctx_fail(ctx, WEFT_ERR_FORMAT, "%s: is empty", path);
    if (count_values(data, size) > WEFT_JSON_VALUES)
        return weft_ctx_fail(ctx, WEFT_ERR_FORMAT,
                             "%s: has more than the %zu JSON values that are "
                             "read; the file is damaged or of another kind",
                             path, WEFT_JSON_VALUES);
    json_t *root = json_loadb(data, size, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return weft_ctx_fail(ctx, WEFT_ERR_FORMAT, "%s: line %d, column %d: %s", path, error.line,
                             error.column, error.text);
    *out = root;
    return WEFT_OK;
}

enum weft_status weft_json_read(weft_ctx *ctx, const char *path, size_t most, json_t **out) {
    struct weft_file file;
    enum weft_status st = weft_file_open(ctx, path, &file);
    if (st != WEFT_OK) return st;
    if (file.size > most) {
        st =
            weft_ctx_fail(ctx, WEFT_ERR_FORMAT,
                          "%s: has %zu bytes, more than the %zu that are read; the file is damaged "
                          "or of another kind",
                          path, file.size, most);
    } else {
        st = weft_json_parse(ctx, path, file.data, file.size, out);
    }
    weft_file_close(&file);
    return st;
}
