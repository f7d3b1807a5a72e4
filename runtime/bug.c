/* Which planted bug runs (kernels/base/bug.h). Nothing but in a build with planted bugs. */
#include "kernels/base/bug.h"
#include "kernels/base/compiler.h"

#ifdef WEFT_SABOTAGE
#include <stdlib.h>

int weft_planted;

WEFT_AT_START static void choose(void) {
    const char *n = getenv("WEFT_SABOTAGE");
    weft_planted = n ? atoi(n) : 0;
}
#endif
