#include "train/json_out.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "train/utf8.h"

const char *weft_real_text(double x, char buf[WEFT_REAL_TEXT]) {
    if (isnan(x)) return strcpy(buf, "nan");
    if (isinf(x)) return strcpy(buf, x > 0 ? "inf" : "-inf");
    for (int digits = 15; digits <= 17; digits++) { // 17 always suffice for a double
        snprintf(buf, WEFT_REAL_TEXT, "%.*g", digits, x);
        if (strtod(buf, NULL) == x) break;
    }
    return buf;
}

static void put(struct weft_json *j, const char *text, size_t n) {
    if (j->failed) return;
    if (j->room - j->size <= n) { // one byte more for the final zero
        const size_t room = 2 * (j->size + n) + 256;
        char *data = realloc(j->data, room);
        if (!data) {
            weft_json_free(j);
            j->failed = true;
            return;
        }
        j->data = data;
        j->room = room;
    }
    memcpy(j->data + j->size, text, n);
    j->size += n;
    j->data[j->size] = '\0';
}

static void put_text(struct weft_json *j, const char *text) { put(j, text, strlen(text)); }

static void put_quoted(struct weft_json *j, const char *text, size_t size) {
    put(j, "\"", 1);
    for (size_t left = size, n; left > 0; text += n, left -= n) {
        char escape[8];
        uint32_t code;
        n = weft_utf8_decode(text, left, &code);
        if (n == 0) { // a path, say, may be any bytes; JSON may not
            n = 1;
            put_text(j, "\\ufffd");
        } else if (code == '"' || code == '\\') {
            snprintf(escape, sizeof escape, "\\%c", (char)code);
            put_text(j, escape);
        } else if (code < 0x20 || code == 0x7f) {
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)code);
            put_text(j, code == '\n' ? "\\n" : escape);
        } else {
            put(j, text, n);
        }
    }
    put(j, "\"", 1);
}

static void new_line(struct weft_json *j) {
    put(j, "\n", 1);
    for (int i = 0; i < j->depth; i++) put(j, "  ", 2);
}

/* What stands before a value: comma, line break, key. */
static void lead(struct weft_json *j, const char *key) {
    if (j->depth > 0) {
        if (j->filled[j->depth - 1]) put(j, ",", 1);
        j->filled[j->depth - 1] = true;
        if (j->pretty && j->closer[j->depth - 1] == '}') new_line(j);
    }
    if (key) {
        put_quoted(j, key, strlen(key));
        put_text(j, j->pretty ? ": " : ":");
    }
}

void weft_json_open(struct weft_json *j, const char *key, char kind) {
    lead(j, key);
    put(j, &kind, 1);
    if (j->depth == WEFT_JSON_DEPTH) { // no document of ours is that deep
        weft_json_free(j);
        j->failed = true;
        return;
    }
    j->closer[j->depth] = kind == '{' ? '}' : ']';
    j->filled[j->depth] = false;
    j->depth++;
}

void weft_json_close(struct weft_json *j) {
    if (j->depth == 0) return;
    j->depth--;
    if (j->pretty && j->filled[j->depth] && j->closer[j->depth] == '}') new_line(j);
    put(j, &j->closer[j->depth], 1);
}

void weft_json_text(struct weft_json *j, const char *key, const char *value) {
    if (value) {
        weft_json_bytes(j, key, value, strlen(value));
        return;
    }
    lead(j, key);
    put_text(j, "null");
}

void weft_json_bytes(struct weft_json *j, const char *key, const char *value, size_t size) {
    lead(j, key);
    put_quoted(j, value, size);
}

static void put_real(struct weft_json *j, const char *key, double value, const char *text) {
    if (!isfinite(value)) {
        weft_json_text(j, key, text); // JSON has no such numbers
        return;
    }
    lead(j, key);
    put_text(j, text);
}

void weft_json_real(struct weft_json *j, const char *key, double value) {
    char text[WEFT_REAL_TEXT];
    put_real(j, key, value, weft_real_text(value, text));
}

void weft_json_rounded(struct weft_json *j, const char *key, double value, int digits) {
    char text[WEFT_REAL_TEXT];
    if (isfinite(value)) {
        snprintf(text, sizeof text, "%.*g", digits < 17 ? digits : 17, value);
    } else {
        weft_real_text(value, text);
    }
    put_real(j, key, value, text);
}

void weft_json_int(struct weft_json *j, const char *key, int64_t value) {
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, value);
    lead(j, key);
    put_text(j, text);
}

void weft_json_count(struct weft_json *j, const char *key, uint64_t value) {
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, value);
    lead(j, key);
    put_text(j, text);
}

void weft_json_bool(struct weft_json *j, const char *key, bool value) {
    lead(j, key);
    put_text(j, value ? "true" : "false");
}

void weft_json_end(struct weft_json *j) {
    while (j->depth > 0) weft_json_close(j);
    if (j->pretty) put(j, "\n", 1);
}

void weft_json_reset(struct weft_json *j) {
    j->size = 0;
    j->depth = 0;
    if (j->data) j->data[0] = '\0';
}

void weft_json_free(struct weft_json *j) {
    free(j->data);
    j->data = NULL;
    j->size = j->room = 0;
    j->depth = 0;
}
