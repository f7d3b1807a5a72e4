/* Reading CSV (RFC 4180): quoted fields with doubled quotes and line breaks inside, LF or CRLF,
 * empty lines skipped. The delimiter is the one of , ; and tab that the first line has most of. */
#ifndef WEFT_TRAIN_CSV_H
#define WEFT_TRAIN_CSV_H

#include <stddef.h>
#include "weft/context.h"

struct weft_csv {
    weft_ctx *ctx;
    const char *path;
    const char *text; /* the whole file */
    size_t size, at;
    size_t line; /* number of the record's first line, from 1 */
    size_t next_line;
    char delimiter;
    size_t n;     /* fields of the record; 0 at the end of the file */
    char **field; /* (n) zero-terminated, without quotes and outer blanks */
    size_t room;
    char *buffer;
};

/* path and text must outlive it. */
WEFT_NODISCARD enum weft_status weft_csv_open(weft_ctx *ctx, const char *path, const char *text,
                                              size_t size, struct weft_csv *out);
/* The next record, in n and field, valid until the next call. */
WEFT_NODISCARD enum weft_status weft_csv_next(struct weft_csv *csv);
void weft_csv_rewind(struct weft_csv *csv);
void weft_csv_close(struct weft_csv *csv);

#endif
