/* Checks: what a study's numbers must be, and what is said when they are not.
 *
 *   U   universal: the statistics are right, threads change nothing, no cell is lost
 *   ID  identity of the mathematics: must hold at any size, to rounding
 *   TH  prediction of theory, with a tolerance derived from the sample
 *   EF  direction of a published effect: may not come out at a small size, which is said
 *   RP  report only: our number beside the published one
 * ID, TH and U that fail, or have no data (vacuous), make the program fail. In --smoke, EF and RP
 * are left out. Checks are numbered in their class in the order of the calls, also those of parts
 * that did not run, so that an id always means the same. */
#ifndef WEFT_STUDIES_VERDICT_H
#define WEFT_STUDIES_VERDICT_H

#include "studies/study.h"

enum check_class { CHECK_U, CHECK_ID, CHECK_TH, CHECK_EF, CHECK_RP };
enum check_verdict {
    CHECK_PASS,
    CHECK_FAIL,
    CHECK_VACUOUS,
    CHECK_NOT_REPRODUCED,
    CHECK_REPORT,
};
struct study_check {
    char id[8];
    enum check_class class;
    double value, low, high; /* passes when low <= value <= high */
    enum check_verdict verdict;
    const char *what, *published, *note;
};
const char *check_class_name(enum check_class class);
const char *check_verdict_name(enum check_verdict verdict);

/* Of part `part`; published with its source, or NULL. value NaN: there was no data. RP: low and
 * high are not looked at. */
void study_check(struct study *s, enum check_class class, char part, const char *what, double value,
                 double low, double high, const char *published);
/* Add to the note of the check made last. */
void study_remark(struct study *s, const char *fmt, ...) WEFT_FORMAT(2, 3);

/* Many numbers in one check: its value is the largest |got - want| in units of its tolerance, which
 * must be at most 1; the note says where that was. A got that is not finite fails. */
struct check_worst {
    double value;
    size_t n;
    char where[120];
};
void check_near(struct check_worst *w, double got, double want, double tol, const char *fmt, ...)
    WEFT_FORMAT(5, 6);
void study_check_worst(struct study *s, enum check_class class, char part, const char *what,
                       const struct check_worst *w, const char *published);

/* Does anything stand against success? strict: EF counts too. */
bool study_failed(const struct study *s, bool strict);

#endif
