/* The data of studies: MNIST, Wine and a text, in --data FOLDER (default data/, which ci/data.sh
 * fills) or, for a study that needs one file only, --data FILE. */
#ifndef WEFT_STUDIES_CORPUS_H
#define WEFT_STUDIES_CORPUS_H

#include "train/data.h"

struct study_corpus {
    const char *path;        /* as the user said */
    uint64_t bytes, hash;    /* of everything that is used */
    struct weft_data *mnist; /* read once, shared by all workers */
    char *wine, *text;       /* paths */
    size_t vocab;            /* of the text */
    double h1, h2;           /* nats a token: entropy of one token, of one given the token before */
};

/* Looks for what `needs` names ("mnist wine text"), reads MNIST, counts the text. needs NULL gives
 * an empty one. */
WEFT_NODISCARD enum weft_status study_corpus_open(weft_ctx *ctx, const char *path,
                                                  const char *needs, struct study_corpus **out);
void study_corpus_free(struct study_corpus *c);

/* What a cell trains on: "mnist", "wine" or "text" with its own order of samples. seq: of a text.
 * Free with study_source_close. */
struct study_source {
    struct weft_data *data;
    struct weft_data shared; /* MNIST: the corpus' one with another seed */
};
WEFT_NODISCARD enum weft_status study_source_open(weft_ctx *ctx, const struct study_corpus *c,
                                                  const char *name, uint64_t seed, size_t seq,
                                                  struct study_source *out);
void study_source_close(struct study_source *source);

#endif
