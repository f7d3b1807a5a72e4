/* The framework's own: what a study file does not see. */
#ifndef WEFT_STUDIES_INSIDE_H
#define WEFT_STUDIES_INSIDE_H

#include <signal.h>
#include <stdatomic.h>
#include "studies/corpus.h"
#include "studies/study.h"
#include "studies/verdict.h"

#define WEFT_STUDY(name) extern const struct weft_study study_##name;
#include "studies/studies.def"
#undef WEFT_STUDY

struct study_note { /* a setting (text), or a number of the summary */
    const char *key, *text;
    double value;
};

const char *study_setting_name(enum study_setting setting);
/* Room for one more element behind `used` ones; the list may move. */
void *study_grow(struct study *s, void *list, size_t used, size_t size);
/* One of few texts that live as long as the study. */
const char *study_word(struct study *s, const char *text, size_t n);
void study_free(struct study *s);

/* ---- records.c: a cell's file ---- */
/* The run of a cell: lines are collected until they are written. */
WEFT_NODISCARD enum weft_status study_lines_begin(struct study_run *r);
void study_lines_end(struct study_run *r);
/* Write the lines as DIR/cells/<name>.jsonl, whole or not at all. */
WEFT_NODISCARD enum weft_status study_lines_save(struct study_run *r, const char *name);
/* Read a cell's file into *record (to be freed). WEFT_ERR_IO: there is none; WEFT_ERR_FORMAT: it is
 * not what study_lines_save writes for this cell. */
WEFT_NODISCARD enum weft_status study_lines_load(struct study *s, const struct study_cell *c,
                                                 const char *name, struct study_record **record,
                                                 size_t *n);
/* metrics.jsonl: all cells in the order of the grid. */
WEFT_NODISCARD enum weft_status study_lines_join(struct study *s);

/* ---- pool.c: cells on workers ---- */
struct study_slot { /* what one worker is doing, in shared memory */
    int job;        /* index of the cell; -1: idle */
    uint64_t step, steps;
    double loss;
    const atomic_int *stop; /* not 0: end at once */
};
struct study_pool {
    unsigned jobs;    /* workers; 0: as many as pay */
    unsigned threads; /* of all workers together; 0: all cores */
    const char *isa;
    bool terminal;
    unsigned columns;
    const volatile sig_atomic_t *signal;
    void (*write)(void *user, const char *text);
    void *user;
    double rate; /* FLOPs a second of one worker, for the first ETA; 0: unknown */
};
/* Runs what is missing. WEFT_ERR_STATE: stopped by the signal, with a message. */
WEFT_NODISCARD enum weft_status study_pool_run(struct study *s, const struct study_pool *pool);
/* FLOPs a second of a small net and of a small GPT-2 on one thread, measured in a process of its
 * own in about a second; 0 when that fails. */
void study_measure(double *mlp, double *gpt);

/* ---- result.c: what a folder holds ---- */
struct study_mark { /* study.json */
    char name[64], parts[16], data[1024];
    enum study_setting setting;
    uint64_t seeds, hash, bytes;
    size_t vocab;
    bool has_data;
    double h1, h2;
};
WEFT_NODISCARD enum weft_status study_mark_write(struct study *s);
/* WEFT_ERR_FORMAT: there is none that can be understood. */
WEFT_NODISCARD enum weft_status study_mark_read(weft_ctx *ctx, const char *dir,
                                                struct study_mark *out);
double study_flops(const struct study *s);   /* of all cells, as the grid says */
double study_seconds(const struct study *s); /* that its cells took */

/* ---- the judgement ---- */
/* The judgement of one study that has run: universal checks first. */
WEFT_NODISCARD enum weft_status study_judge(struct study *s);
WEFT_NODISCARD enum weft_status study_result_write(struct study *s);

#endif
