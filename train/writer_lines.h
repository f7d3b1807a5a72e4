/* Prompts from JSON lines, texts into JSON lines: an object a line, with "prompt" and maybe
 * "tokens", "temperature", "top_k", "top_p", "min_p", "repetition_penalty", "seed", "stop" (a
 * string or a list of them). A line comes back with all it had, and
 *
 *   "text": ..., "finish": "length" | "stop" | "end", "prompt_tokens": n, "text_tokens": n
 *
 * Lines are written in the order they were read, each as soon as those before it are. A text does
 * not depend on what is beside it: line i (from 0) without a seed of its own has the given seed +
 * i. */
#ifndef WEFT_TRAIN_WRITER_LINES_H
#define WEFT_TRAIN_WRITER_LINES_H

#include <stdio.h>
#include "train/writer.h"

struct weft_lines {
    weft_ctx *ctx;
    weft_writer *writer;
    const char *in_name; /* in messages */
    FILE *in, *out;
    struct weft_prompt usual; /* what a line does not say: tokens, sampling, stop strings */
    size_t most;              /* lines that are in memory at once */
};

/* WEFT_ERR_FORMAT or _ARG names the line; those before it may have been written. */
WEFT_NODISCARD enum weft_status weft_generate_lines(const struct weft_lines *how);

/* Stop strings from an option: one as it is, or a JSON list of them. Free the result with
 * weft_stops_free. */
struct weft_stops {
    char **text;
    size_t n;
};
WEFT_NODISCARD enum weft_status weft_stops_parse(weft_ctx *ctx, const char *option,
                                                 struct weft_stops *out);
void weft_stops_free(struct weft_stops *s);

#endif
