#include "train/csv.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static char find_delimiter(const char *text, size_t size) {
    static const char candidates[] = ",;\t";
    size_t count[3] = {0};
    bool quoted = false;
    for (size_t i = 0; i < size && (quoted || text[i] != '\n'); i++) {
        quoted ^= text[i] == '"';
        for (size_t d = 0; d < 3; d++) count[d] += !quoted && text[i] == candidates[d];
    }
    size_t best = 0;
    for (size_t d = 1; d < 3; d++) best = count[d] > count[best] ? d : best;
    return candidates[best];
}

void weft_csv_rewind(struct weft_csv *csv) {
    csv->at =
        csv->size >= 3 && memcmp(csv->text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0; // byte-order mark
    csv->next_line = 1;
}

enum weft_status weft_csv_open(weft_ctx *ctx, const char *path, const char *text, size_t size,
                               struct weft_csv *out) {
    struct weft_csv csv = {.ctx = ctx, .path = path, .text = text, .size = size};
    csv.delimiter = find_delimiter(text, size);
    csv.buffer = malloc(size + 1); // a record is never longer than the file
    if (!csv.buffer) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: out of memory", path);
    weft_csv_rewind(&csv);
    *out = csv;
    return WEFT_OK;
}

void weft_csv_close(struct weft_csv *csv) {
    free(csv->field);
    free(csv->buffer);
    *csv = (struct weft_csv){0};
}

static bool at_line_end(const struct weft_csv *csv) {
    if (csv->at >= csv->size || csv->text[csv->at] == '\n') return true;
    return csv->text[csv->at] == '\r' &&
           (csv->at + 1 == csv->size || csv->text[csv->at + 1] == '\n');
}

static void skip_line_end(struct weft_csv *csv) {
    csv->at += csv->at < csv->size && csv->text[csv->at] == '\r';
    csv->at += csv->at < csv->size && csv->text[csv->at] == '\n';
    csv->next_line++;
}

static void skip_blanks(struct weft_csv *csv) {
    while (csv->at < csv->size && csv->text[csv->at] == ' ') csv->at++;
}

/* "..." with "" for a quote. */
static enum weft_status read_quoted(struct weft_csv *csv, char **out) {
    const size_t start = csv->next_line;
    for (csv->at++;; csv->at++) {
        if (csv->at >= csv->size)
            return weft_ctx_fail(csv->ctx, WEFT_ERR_FORMAT,
                                 "%s: line %zu: a quote is opened but never closed", csv->path,
                                 start);
        const char c = csv->text[csv->at];
        if (c == '"') {
            if (csv->at + 1 >= csv->size || csv->text[csv->at + 1] != '"') break;
            csv->at++;
        }
        csv->next_line += c == '\n';
        *(*out)++ = c;
    }
    csv->at++;
    skip_blanks(csv);
    if (!at_line_end(csv) && csv->text[csv->at] != csv->delimiter)
        return weft_ctx_fail(csv->ctx, WEFT_ERR_FORMAT,
                             "%s: line %zu: there is text after a closing quote", csv->path,
                             csv->next_line);
    return WEFT_OK;
}

static enum weft_status read_field(struct weft_csv *csv, char **out) {
    if (csv->n == csv->room) {
        csv->room = 2 * csv->room + 16;
        char **more = realloc(csv->field, csv->room * sizeof *more);
        if (!more) return weft_ctx_fail(csv->ctx, WEFT_ERR_NOMEM, "%s: out of memory", csv->path);
        csv->field = more;
    }
    char *const start = *out;
    csv->field[csv->n++] = start;
    skip_blanks(csv);
    if (csv->at < csv->size && csv->text[csv->at] == '"') {
        const enum weft_status st = read_quoted(csv, out);
        if (st != WEFT_OK) return st;
    } else {
        while (!at_line_end(csv) && csv->text[csv->at] != csv->delimiter)
            *(*out)++ = csv->text[csv->at++];
        while (*out > start && (*out)[-1] == ' ') --*out;
    }
    if (memchr(start, '\0', (size_t)(*out - start)))
        return weft_ctx_fail(csv->ctx, WEFT_ERR_FORMAT,
                             "%s: line %zu: has a zero byte; this is no CSV file", csv->path,
                             csv->line);
    return WEFT_OK;
}

enum weft_status weft_csv_next(struct weft_csv *csv) {
    csv->n = 0;
    for (;;) { // empty lines
        csv->line = csv->next_line;
        if (csv->at >= csv->size) return WEFT_OK;
        if (!at_line_end(csv)) break;
        skip_line_end(csv);
    }
    char *out = csv->buffer;
    for (;;) {
        const enum weft_status st = read_field(csv, &out);
        if (st != WEFT_OK) return st;
        *out++ = '\0'; // in the place of the delimiter or the line's end
        if (at_line_end(csv)) break;
        csv->at++;
    }
    skip_line_end(csv);
    return WEFT_OK;
}
