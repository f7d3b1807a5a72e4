/* Studies as the program runs them: list, run, redraw, all. */
#ifndef WEFT_STUDIES_DRIVER_H
#define WEFT_STUDIES_DRIVER_H

#include <signal.h>
#include <stdio.h>
#include "studies/study.h"

struct study_request {
    enum study_setting setting;
    const char *part; /* NULL: all parts of the study */
    const char *out;  /* NULL: runs/studies-SETTING/NAME (runs/studies/NAME for the default) */
    const char *data; /* NULL: data */
    const char *isa;  /* NULL: the best */
    uint64_t seeds;   /* 0: the setting's own */
    unsigned threads, jobs; /* 0: as many as pay */
    bool strict, yes;
    bool terminal;
    unsigned columns;
    const volatile sig_atomic_t *signal; /* not 0: stop, keep what is finished */
    void (*write)(void *user, const char *text);
    void *user;
};

/* Question, FLOPs and estimated time of every study and setting. */
WEFT_NODISCARD enum weft_status study_list(weft_ctx *ctx, FILE *out);
/* Run what is missing, judge, draw. *failed: a check says that something is wrong. WEFT_ERR_ARG:
 * called wrongly. No parallel region may have run in this process before. */
WEFT_NODISCARD enum weft_status study_run_named(weft_ctx *ctx, const char *name,
                                                const struct study_request *q, bool *failed);
/* Every study, each in a process of its own, and an index page. */
WEFT_NODISCARD enum weft_status study_run_every(weft_ctx *ctx, const struct study_request *q,
                                                bool *failed);
/* Judge and draw again from the records in DIR...; several: also one page with all of them, at
 * q->out or the first one's studies.html. */
WEFT_NODISCARD enum weft_status study_redraw(weft_ctx *ctx, const char *const *dirs, size_t n,
                                             const struct study_request *q, bool *failed);

#endif
