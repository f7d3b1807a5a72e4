/* Planted bugs: a build with -DWEFT_SABOTAGE=ON has all of tests/sabotage.txt, and runs bug n where
 * the environment says WEFT_SABOTAGE=n. The suite must turn red. The only header that every layer may
 * include. */
#ifndef WEFT_BASE_BUG_H
#define WEFT_BASE_BUG_H

#ifdef WEFT_SABOTAGE
extern int weft_planted; /* runtime/bug.c; 0: none */
#define WEFT_BUG(n) (weft_planted == (n))
#else
#define WEFT_BUG(n) 0
#endif

#endif
