/* JSON output into a growing buffer: fixed member order, numbers as the shortest decimal that reads
 * back as the same double, NaN and infinities as the strings "nan", "inf", "-inf".
 *
 *   struct weft_json j = {0};
 *   weft_json_open(&j, NULL, '{');
 *   weft_json_count(&j, "step", 3);
 *   weft_json_real(&j, "loss", 2.5);
 *   weft_json_close(&j);                     // {"step":3,"loss":2.5}
 *   ... j.data, j.size ...; weft_json_free(&j);
 *
 * Out of memory: j.failed is set and data is NULL; nothing else needs checking. */
#ifndef WEFT_TRAIN_JSON_OUT_H
#define WEFT_TRAIN_JSON_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEFT_JSON_DEPTH 32

struct weft_json {
    char *data; /* zero-terminated */
    size_t size, room;
    bool failed;
    bool pretty; /* set before the first call: one member a line, two spaces a level */
    int depth;
    char closer[WEFT_JSON_DEPTH];
    bool filled[WEFT_JSON_DEPTH]; /* this level has a member already */
};

/* key is NULL inside arrays and at the top. kind is '{' or '['. */
void weft_json_open(struct weft_json *j, const char *key, char kind);
void weft_json_close(struct weft_json *j);
void weft_json_text(struct weft_json *j, const char *key,
                    const char *value); /* UTF-8; NULL: null */
/* The same for text that may have zeros in it. */
void weft_json_bytes(struct weft_json *j, const char *key, const char *value, size_t size);
void weft_json_real(struct weft_json *j, const char *key, double value);
/* To this many significant digits: for what is measured, in lines that are many. */
void weft_json_rounded(struct weft_json *j, const char *key, double value, int digits);
void weft_json_int(struct weft_json *j, const char *key, int64_t value);
void weft_json_count(struct weft_json *j, const char *key, uint64_t value);
void weft_json_bool(struct weft_json *j, const char *key, bool value);
/* End the document: closes what is open and, when pretty, ends the line. */
void weft_json_end(struct weft_json *j);
/* The last member of a document that is to show damage, or of its last member "model": the xxHash64
 * of all bytes before it, but for the comma and blanks in front of it. weft_json_parse checks it
 * where it is. */
#define WEFT_JSON_SEAL "weft_xxh64"
void weft_json_seal(struct weft_json *j);
void weft_json_reset(struct weft_json *j); /* empty again, memory kept */
void weft_json_free(struct weft_json *j);

/* The shortest decimal that strtod reads back as x; "nan", "inf", "-inf". Returns buf. */
#define WEFT_REAL_TEXT 32
const char *weft_real_text(double x, char buf[WEFT_REAL_TEXT]);

#endif
