/* A self-contained HTML page in the project's look: light and dark, readable on a phone, nothing
 * fetched from outside. Charts (plot.h) go inside. */
#ifndef WEFT_TRAIN_PAGE_H
#define WEFT_TRAIN_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include "weft/context.h"

/* From the document's head to its <h1>; from the footer to the document's end. */
void weft_page_begin(FILE *out, const char *title);
void weft_page_end(FILE *out, const char *footer);
/* A section with a grid of three columns for charts: title, and a line under it or NULL. */
void weft_page_section(FILE *out, const char *title, const char *text);
void weft_page_section_end(FILE *out);

/* A page in memory, which becomes a file whole or not at all. */
struct weft_page {
    FILE *out;
    char *text;
    size_t size;
    bool failed; /* what is written is of no use */
};
WEFT_NODISCARD enum weft_status weft_page_open(weft_ctx *ctx, struct weft_page *page);
/* Ends the page, also on failure. */
WEFT_NODISCARD enum weft_status weft_page_commit(weft_ctx *ctx, struct weft_page *page,
                                                 const char *path);

#endif
