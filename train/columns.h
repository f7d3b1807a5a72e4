/* How the rows of a CSV file become inputs and targets of a model: which columns, with which
 * figures, and what the classes are. Made from the training rows, kept in the checkpoint's
 * config.json, and used when the model meets another file. */
#ifndef WEFT_TRAIN_COLUMNS_H
#define WEFT_TRAIN_COLUMNS_H

#include <jansson.h>
#include <stddef.h>
#include "train/json_out.h"
#include "weft/context.h"

struct weft_columns {
    size_t n;                         /* features */
    char **name;                      /* (n), or NULL: the file had no header */
    double *mean, *scale;             /* (n): x = (raw - mean) * scale */
    char *label;                      /* name of the label's column; NULL: no header */
    size_t label_at;                  /* its number, from 0 */
    size_t classes;                   /* 0: regression */
    char **class_label;               /* (classes): what the label's column says, in order */
    double target_mean, target_scale; /* regression: value = (raw - mean) * scale */
};

void weft_columns_free(struct weft_columns *c); /* and c itself; NULL is fine */

/* The member "columns" of the object that is open in j. */
void weft_columns_write(const struct weft_columns *c, struct weft_json *j);
/* Back from it, for a model with this many inputs and outputs; path names the file in messages. */
WEFT_NODISCARD enum weft_status weft_columns_parse(weft_ctx *ctx, const char *path,
                                                   const json_t *value, size_t inputs,
                                                   size_t outputs, struct weft_columns **out);

/* Texts of an array, zero-terminated, to be freed with weft_texts_free; NULL: no memory. */
char **weft_texts_copy(char *const *text, size_t n);
void weft_texts_free(char **text, size_t n);

#endif
