/* A study: a grid of cells, what each of them records, and the judgement over all records.
 *
 *   grid   adds the cells of a setting; cheap, also called by `weft study list`
 *   run    runs one cell, in a worker process with a context of its own; it records numbers
 *   judge  looks at records only (a report can be redrawn without running anything) and makes
 *          figures, checks, the summary and the answer
 *
 * A cell is data: part, arm, up to four numbers, a seed, FLOPs. Its records are one file in
 * DIR/cells, there whole or not at all, so a study that was stopped goes on with what is missing.
 * Random numbers depend on the seed and the step only: arms of one seed share initial draws and
 * data, and who runs a cell, beside how many others, changes no bit.
 *
 * To add a study: a file, a line in studies.def. */
#ifndef WEFT_STUDIES_STUDY_H
#define WEFT_STUDIES_STUDY_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "train/data.h"
#include "train/json_out.h"
#include "weft/weft.h"

enum study_setting { STUDY_SMOKE, STUDY_QUICK, STUDY_DEFAULT, STUDY_PAPER, STUDY_SETTINGS };

enum study_kind {
#define STUDY_KIND(name) KIND_##name,
#include "studies/kinds.def"
#undef STUDY_KIND
    STUDY_KINDS
};
const char *study_kind_name(enum study_kind kind);
bool study_kind_named(const char *name, enum study_kind *out);

/* ---- cells ---- */
#define STUDY_NUMBERS 4
#define STUDY_ANY     ((double)NAN) /* a number that a cell has not, or that does not matter */
struct study_record {
    int64_t step;
    int layer; /* -1: none */
    enum study_kind kind;
    const char *tensor; /* "" : none */
    double value;
};
struct study_cell {
    char part;
    const char *arm;
    double number[STUDY_NUMBERS]; /* as named by weft_study.numbers */
    uint64_t seed;
    double flops;                /* estimate, for progress */
    char *name;                  /* of its file */
    struct study_record *record; /* (records), in the order they were made; NULL: not run */
    size_t records;
};

struct study;
struct study_run;
struct weft_study {
    const char *name;     /* with dashes */
    const char *question; /* one sentence */
    const char *source;   /* what is reproduced, and where it was published */
    const char *parts;    /* "abc"; what each is stands in part[] */
    const char *part[8];
    const char *slow;                   /* the parts that --quick leaves out; NULL: none */
    const char *numbers[STUDY_NUMBERS]; /* names of a cell's numbers; NULL: unused */
    const char *data;                   /* "mnist wine text": what is needed; NULL: nothing */
    bool language;                      /* cells train GPT-2: another speed than small nets have */
    bool paper;                         /* a published size exists */
    void (*grid)(struct study *s);
    enum weft_status (*run)(struct study_run *r);
    void (*judge)(struct study *s);
};
/* The studies in their order; NULL past the last one, and for a name that there is not. */
const struct weft_study *study_at(size_t i);
const struct weft_study *study_named(const char *name);

struct study_settings { /* what a user says */
    enum study_setting setting;
    const char *parts; /* the parts that run; all: those of the study */
    uint64_t seeds;    /* 0: the setting's own */
};

struct study_corpus; /* what is in --data (corpus.h) */
struct study {
    const struct weft_study *def;
    struct study_settings set;
    weft_ctx *ctx; /* for messages */
    struct study_corpus *corpus;
    struct study_cell *cell;
    size_t cells, room;
    size_t proof; /* the cell that proves the statistics and is run twice (U1-U3) */
    bool plain;   /* no kernel's statistics are used by what runs: U1 and U3 have no object */
    struct study_note *note;
    size_t notes;
    struct study_check *check;
    size_t checks, numbered[5];
    bool checked; /* the check made last is in the list */
    struct study_figure **figure;
    size_t figures;
    char *answer;
    struct study_chunk *chunks;
    const char **word; /* names of tensors in records, each once */
    size_t words;
    double epochs;           /* most passes over the data that a cell makes; 0: none */
    const char *dir;         /* where results go; NULL while listing */
    enum weft_status status; /* of the first failure in grid or judge; ctx has its message */
};

/* ---- for grid ---- */
/* Does a part run: wanted by the user, and by the setting? */
bool study_has(const struct study *s, char part);
/* The value of this setting. */
double study_pick(const struct study *s, double smoke, double quick, double normal, double paper);
/* --seeds, or the value of this setting. */
size_t study_seeds(const struct study *s, size_t smoke, size_t quick, size_t normal);
/* Adds a cell, unless its part is not wanted: then NULL. Valid until the next one. */
struct study_cell *study_add(struct study *s, char part, const char *arm, uint64_t seed,
                             double flops, double n0, double n1);
/* A setting as the report shows it. */
void study_note(struct study *s, const char *key, const char *fmt, ...) WEFT_FORMAT(3, 4);
/* FLOPs of a training sample: 6 per weight of a dense layer; of a GPT token with its attention. */
double study_mlp_flops(const size_t *widths, size_t n);
double study_gpt_flops(size_t layers, size_t width, size_t seq, size_t vocab);

/* ---- for run ---- */
enum study_mode {
    STUDY_RUN,
    STUDY_PROVE, /* U1: compare statistics with recomputations in double (trial.h does it) */
    STUDY_TWIN,  /* U2: the same with other threads, first steps only */
    STUDY_COST,  /* U3: time with and without statistics */
};
struct study_run {
    const struct study *s;
    const struct study_cell *cell;
    weft_ctx *ctx;
    enum study_mode mode;
    char *lines; /* what was recorded, as text */
    size_t size, room, records;
    struct study_slot *slot; /* shared with the process that draws the progress; may be NULL */
    char *prefix;            /* of every line */
    bool stopped;            /* by study_step: what was recorded is not kept */
};
#define STUDY_TWIN_STEPS 25
void study_put(struct study_run *r, int64_t step, int layer, const char *tensor,
               enum study_kind kind, double value);
/* After each step. false: stop now, somebody wants the program to end. */
bool study_step(struct study_run *r, uint64_t step, uint64_t steps, double loss);

/* ---- for judge ---- */
#define STUDY_LAST INT64_MIN
/* The value of a record; step STUDY_LAST: the latest one. NaN: there is none. */
double study_value(const struct study_cell *c, enum study_kind kind, int layer, const char *tensor,
                   int64_t step);
/* All values of a kind over steps into x and y (at most max); returns how many. */
size_t study_series(const struct study_cell *c, enum study_kind kind, int layer, const char *tensor,
                    double *x, double *y, size_t max);
/* Number of records of a kind, for room. */
size_t study_count(const struct study_cell *c, enum study_kind kind);
/* Zeroed memory that lives as long as the study. Out of memory ends the program: what is finished
 * is on disk. */
void *study_room(struct study *s, size_t n, size_t size);
double *study_doubles(struct study *s, size_t n);
char *study_text(struct study *s, const char *fmt, ...) WEFT_FORMAT(2, 3);
/* The first cell with these; number NaN and seed 0: any. NULL: none. */
const struct study_cell *study_find(const struct study *s, char part, const char *arm, double n0,
                                    double n1, uint64_t seed);
/* All cells with these (the seeds of an arm), in the order of the grid; at most max. */
size_t study_seeds_of(const struct study *s, char part, const char *arm, double n0, double n1,
                      const struct study_cell **out, size_t max);
#define STUDY_MAX_SEEDS 64
/* A number over the seeds of an arm; those that are not finite are left out. */
struct study_spread {
    size_t n; /* finite ones */
    size_t all;
    double mean, low, high, sd;
};
struct study_spread study_spread_of(const struct study *s, char part, const char *arm, double n0,
                                    double n1, double (*value)(const struct study_cell *c));
/* Mean of the last 5% of a cell's losses; NaN when it diverged. */
double study_final_loss(const struct study_cell *c);
/* A number for result.json's summary. */
void study_sum(struct study *s, const char *key, double value);
/* The one sentence that answers the question. */
void study_answer(struct study *s, const char *fmt, ...) WEFT_FORMAT(2, 3);

#endif
