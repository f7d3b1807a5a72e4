/* Figures drawn by gnuplot, one process for all of a study. */
#ifndef WEFT_STUDIES_GNUPLOT_H
#define WEFT_STUDIES_GNUPLOT_H

#include <stdio.h>
#include "studies/figure.h"

/* *drawn false and WEFT_OK: there is no gnuplot. */
WEFT_NODISCARD enum weft_status gnuplot_draw(struct study *s, bool *drawn);
/* The picture of a figure as it stands in a page: colours are the page's variables, ids are its
 * own. false: it is not there. */
bool gnuplot_inline(FILE *out, const char *dir, const char *name);

#endif
