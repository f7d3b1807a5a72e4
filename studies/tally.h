/* The jobs of a study, and how far they are: a bar on a terminal, plain lines elsewhere. */
#ifndef WEFT_STUDIES_TALLY_H
#define WEFT_STUDIES_TALLY_H

#include "studies/inside.h"

enum study_job_state { STUDY_JOB_WAITING, STUDY_JOB_RUNNING, STUDY_JOB_DONE };
struct study_job {
    size_t cell;
    enum study_mode mode;
    const char *name; /* of its file */
};
/* Cells without a valid file, the longest first, then what proves them. */
struct study_job *study_jobs_missing(struct study *s, size_t *n);
/* The file of a universal check: "u1", "u2", "u3". */
const char *study_mode_name(enum study_mode mode);

struct study_tally {
    const struct study *s;
    const struct study_pool *pool;
    const struct study_job *job;
    size_t jobs, shown, turn;
    double total, begin, drawn; /* FLOPs of all jobs; seconds */
    bool on_screen;
};
void study_tally_begin(struct study_tally *t, const struct study *s, const struct study_pool *pool,
                       const struct study_job *job, size_t jobs, double now);
void study_tally_draw(struct study_tally *t, const struct study_slot *slot, size_t workers,
                      const unsigned char *state, double now);
void study_tally_end(struct study_tally *t);

#endif
