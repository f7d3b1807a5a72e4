/* Tokens in, logits out: the programs of generation, chosen by how many tokens there are. */
#include <string.h>

#include "models/model.h"

static enum weft_status run(weft_model *m, struct weft_io *io, const int32_t *tokens,
                            const struct weft_place *place, size_t n, const float **logits) {
    enum weft_status st = weft_model_borrow(m, io->tokens, tokens, "tokens");
    const struct weft_run run = {.rows = n, .place = place};
    if (st == WEFT_OK) st = weft_program_run(io->program, &run);
    if (st == WEFT_OK) *logits = weft_tensor_data(m->graph, io->logits);
    return st;
}

static enum weft_status check_ready(const weft_model *m) {
    if (m->decode.program != NULL && m->committed) return WEFT_OK;
    return weft_ctx_fail(m->ctx, WEFT_ERR_STATE, "the model was not built for generation");
}

enum weft_status weft_model_prefill(weft_model *m, const int32_t *tokens, size_t n,
                                    struct weft_place from, const float **logits) {
    if (m == NULL || tokens == NULL || logits == NULL) return WEFT_ERR_NULL;
    enum weft_status st = check_ready(m);
    if (st != WEFT_OK) return st;
    if (n == 0 || from.pos > m->gpt2.context || n > m->gpt2.context - from.pos)
        return weft_ctx_fail(m->ctx, WEFT_ERR_ARG,
                             "%zu tokens at position %zu do not fit the context of %zu", n,
                             from.pos, m->gpt2.context);
    for (size_t i = 0; st == WEFT_OK && i < n;) {
        struct weft_place place[WEFT_PREFILL_TOKENS];
        struct weft_io *const io = n - i == 1 ? &m->decode : &m->prefill;
        const size_t take = n - i < io->rows ? n - i : io->rows;
        for (size_t r = 0; r < take; r++)
            place[r] = (struct weft_place){from.sequence, from.pos + i + r};
        st = run(m, io, tokens + i, place, take, logits);
        i += take;
    }
    return st;
}

size_t weft_model_score_rows(const weft_model *m) {
    return m == NULL || m->score.program == NULL ? 0 : m->score.rows;
}

enum weft_status weft_model_score(weft_model *m, const int32_t *tokens, size_t n,
                                  struct weft_place from, const float **logits) {
    if (m == NULL || tokens == NULL || logits == NULL) return WEFT_ERR_NULL;
    if (m->score.program == NULL || !m->committed)
        return weft_ctx_fail(m->ctx, WEFT_ERR_STATE, "the model was not built for scoring");
    if (n == 0 || n > m->score.rows || from.pos > m->gpt2.context - n)
        return weft_ctx_fail(m->ctx, WEFT_ERR_ARG,
                             "%zu tokens at position %zu: at most %zu at once, in a context of %zu",
                             n, from.pos, m->score.rows, m->gpt2.context);
    struct weft_place place[WEFT_SCORE_TOKENS];
    for (size_t r = 0; r < n; r++) place[r] = (struct weft_place){from.sequence, from.pos + r};
    return run(m, &m->score, tokens, place, n, logits);
}

enum weft_status weft_model_infer(weft_model *m, const int32_t *tokens, size_t n, size_t pos,
                                  float *logits) {
    if (m == NULL || logits == NULL) return WEFT_ERR_NULL;
    const float *row;
    const enum weft_status st =
        weft_model_prefill(m, tokens, n, (struct weft_place){.pos = pos}, &row);
    if (st == WEFT_OK) memcpy(logits, row, m->gpt2.vocab * sizeof *logits);
    return st;
}

enum weft_status weft_model_decode(weft_model *m, const int32_t *tokens,
                                   const struct weft_place *place, size_t n, const float **logits) {
    if (m == NULL || tokens == NULL || place == NULL || logits == NULL) return WEFT_ERR_NULL;
    const enum weft_status st = check_ready(m);
    if (st != WEFT_OK) return st;
    if (n == 0 || n > m->training.sequences)
        return weft_ctx_fail(m->ctx, WEFT_ERR_ARG,
                             "a token of each of %zu sequences: the model was built for %zu", n,
                             m->training.sequences);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++)
            if (place[i].sequence == place[k].sequence)
                return weft_ctx_fail(m->ctx, WEFT_ERR_ARG,
                                     "rows %zu and %zu are both of sequence "
                                     "%zu: one token of each at a time",
                                     k, i, place[i].sequence);
    return run(m, n == 1 ? &m->decode : &m->together, tokens, place, n, logits);
}
