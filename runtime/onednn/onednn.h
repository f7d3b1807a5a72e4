/* oneDNN as a backend (runtime/backend.h): a library of its own, so that libweft needs none. */
#ifndef WEFT_ONEDNN_H
#define WEFT_ONEDNN_H

#include "weft/context.h"

/* NULL when this build was made without oneDNN. */
const weft_backend *weft_onednn(void);
/* Its version, "2.6.3", in buf, which is returned; NULL when there is none. */
#define WEFT_ONEDNN_VERSION 32
const char *weft_onednn_version(char buf[WEFT_ONEDNN_VERSION]);
/* One line: how to get a build with it. */
#define WEFT_ONEDNN_HOWTO                                                                          \
    "this build is without oneDNN: install Debian's libdnnl-dev, or a newer one with "             \
    "ci/onednn3.sh, and configure again (README, \"Check it against oneDNN\")"

struct weft_exec;
struct weft_node;
/* From now on the node, a linear or linear_dx, multiplies by its weight as it is now, laid out as
 * oneDNN likes it best. Until weft_onednn_unpack: for measurements. WEFT_ERR_STATE for other ops.
 */
WEFT_NODISCARD enum weft_status weft_onednn_pack(const struct weft_exec *x, struct weft_node *n);
void weft_onednn_unpack(struct weft_node *n);

#endif
