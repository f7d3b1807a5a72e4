#include "train/json_in.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "train/file_map.h"
#include "train/json_out.h"

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

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/* The last place of the seal's name, which a document that has one ends with; 0: none. */
static size_t find_seal(const char *text, size_t size) {
    static const char name[] = "\"" WEFT_JSON_SEAL "\"";
    for (size_t at = size; at-- > 0;)
        if (size - at >= sizeof name - 1 && !memcmp(text + at, name, sizeof name - 1)) return at;
    return 0;
}

/* Is the checksum that a document has of itself right? One without it is fine. */
static enum weft_status check_seal(weft_ctx *ctx, const char *path, const char *text, size_t size,
                                   const json_t *root) {
    const json_t *seal = json_object_get(root, WEFT_JSON_SEAL);
    if (!seal) seal = json_object_get(json_object_get(root, "model"), WEFT_JSON_SEAL);
    if (!seal) return WEFT_OK;
    char want[17];
    const char *has = json_string_value(seal);
    size_t end = find_seal(text, size);
    while (end > 0 && is_blank(text[end - 1])) end--;
    end -= end > 0 && text[end - 1] == ',';
    snprintf(want, sizeof want, "%016" PRIx64, weft_hash(text, end, 0));
    if (has && strcmp(has, want) == 0) return WEFT_OK;
    return weft_ctx_fail(
        ctx, WEFT_ERR_FORMAT,
        "%s: its checksum is wrong: the file is damaged, or was changed by hand or "
        "another program (then remove its member " WEFT_JSON_SEAL ")",
        path);
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
    const enum weft_status st = check_seal(ctx, path, data, size, root);
    if (st != WEFT_OK) {
        json_decref(root);
        return st;
    }
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
