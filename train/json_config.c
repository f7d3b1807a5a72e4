/* Settings from a JSON file. The file is an object of options, or a run.json whose "settings" are.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include "train/options.h"

/* A JSON value as a user would type it: 5, 1e-3, relu, 256,128 (from an array). false: neither. */
static bool value_text(const json_t *value, char *buf, size_t size) {
    char number[WEFT_REAL_TEXT];
    buf[0] = '\0';
    switch (json_typeof(value)) {
    case JSON_STRING: return (size_t)snprintf(buf, size, "%s", json_string_value(value)) < size;
    case JSON_INTEGER:
        snprintf(buf, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL:
        snprintf(buf, size, "%s", weft_real_text(json_real_value(value), number));
        break;
    case JSON_TRUE: snprintf(buf, size, "true"); break;
    case JSON_FALSE: snprintf(buf, size, "false"); break;
    case JSON_ARRAY:
        for (size_t i = 0, n = 0; i < json_array_size(value); i++) {
            const json_t *item = json_array_get(value, i);
            if (!json_is_integer(item) || n >= size) return false;
            n += (size_t)snprintf(buf + n, size - n, "%s%" JSON_INTEGER_FORMAT, i ? "," : "",
                                  json_integer_value(item));
        }
        return json_array_size(value) > 0;
    case JSON_OBJECT:
    case JSON_NULL: return false;
    }
    return true;
}

/* Put the file's name before the message that is there. */
static enum weft_status in_file(struct weft_options *o, const char *path, enum weft_status st) {
    char message[sizeof o->message];
    memcpy(message, o->message, sizeof message);
    snprintf(o->message, sizeof o->message, "%.300s: %.700s", path, message);
    return st;
}

/* Is the key in the list "derived" of a run.json? */
static bool is_derived(const json_t *root, const char *key) {
    const json_t *list = json_object_get(root, "derived");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        if (name && strcmp(name, key) == 0) return true;
    }
    return false;
}

static enum weft_status set_all(struct weft_options *o, const json_t *root, json_t *settings,
                                bool derived) {
    const char *key;
    json_t *value;
    json_object_foreach(settings, key, value) {
        char text[4096];
        const enum weft_option_id id = weft_option_find(o, key, strlen(key), "");
        if (id == WEFT_OPTION_COUNT) return WEFT_ERR_ARG;
        if (weft_option_table[id].where & WEFT_OPTION_UNSAVED || id == WEFT_OPT_help) {
            snprintf(o->message, sizeof o->message, "%s can be given on the command line only",
                     key);
            return WEFT_ERR_ARG;
        }
        if (!value_text(value, text, sizeof text)) {
            snprintf(o->message, sizeof o->message,
                     "the value of %s must be a number, a text, or a list of whole numbers", key);
            return WEFT_ERR_ARG;
        }
        const bool theirs = settings != root && is_derived(root, key);
        if (theirs && !derived) continue;
        const enum weft_status st =
            weft_options_set(o, id, text, theirs ? WEFT_FROM_DERIVED : WEFT_FROM_CONFIG);
        if (st != WEFT_OK) return st;
    }
    return WEFT_OK;
}

/* Beside "settings" only a run.json has more, and that says its model. */
static enum weft_status check_rest(struct weft_options *o, const json_t *root) {
    const char *key;
    json_t *value;
    if (json_object_get(root, "model")) return WEFT_OK;
    json_object_foreach((json_t *)(uintptr_t)root, key, value) {
        if (strcmp(key, "settings") == 0) continue;
        snprintf(o->message, sizeof o->message, "%s stands beside \"settings\": put it inside",
                 key);
        return WEFT_ERR_ARG;
    }
    return WEFT_OK;
}

enum weft_status weft_options_load(struct weft_options *o, const char *path, bool derived) {
    FILE *file = fopen(path, "rb");
    if (!file) {
        snprintf(o->message, sizeof o->message, "%s: cannot be opened: %s", path, strerror(errno));
        return WEFT_ERR_IO;
    }
    json_error_t error;
    json_t *root = json_loadf(file, JSON_REJECT_DUPLICATES, &error);
    fclose(file);
    if (!root) {
        snprintf(o->message, sizeof o->message, "%s: line %d, column %d: %s", path, error.line,
                 error.column, error.text);
        return WEFT_ERR_FORMAT;
    }
    json_t *settings = json_object_get(root, "settings");
    if (!json_is_object(settings)) settings = root;
    enum weft_status st = WEFT_OK;
    if (json_is_object(settings)) {
        if (settings != root) st = check_rest(o, root);
        if (st == WEFT_OK) st = set_all(o, root, settings, derived);
        if (st != WEFT_OK) in_file(o, path, st);
    } else {
        snprintf(o->message, sizeof o->message,
                 "%s: a JSON object is expected, as in {\"lr\": 1e-3}", path);
        st = WEFT_ERR_FORMAT;
    }
    json_decref(root);
    return st;
}
