/* Planted bugs: a build with -DWEFT_SABOTAGE=n has bug n of tests/sabotage.txt, and the suite must
 * turn red. The only header that every layer may include. */
#ifndef WEFT_BASE_BUG_H
#define WEFT_BASE_BUG_H

#ifndef WEFT_SABOTAGE
#define WEFT_SABOTAGE 0
#endif
#define WEFT_BUG(n) (WEFT_SABOTAGE == (n)) /* a constant; false in any build but that one */

#endif
