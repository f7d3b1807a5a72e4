/* Reports as HTML: one file, pictures inside, light and dark, no script, nothing from outside. */
#ifndef WEFT_STUDIES_STUDY_PAGE_H
#define WEFT_STUDIES_STUDY_PAGE_H

#include <stdio.h>
#include "studies/study.h"

void page_begin(FILE *out, const char *title);
/* Question, answer, checks, figures, settings, machine. alone: it is the page's only study. */
void page_study(FILE *out, const struct study *s, bool alone);
void page_end(FILE *out);

/* DIR/report.html of a judged study. */
WEFT_NODISCARD enum weft_status page_write(const struct study *s);
#endif
