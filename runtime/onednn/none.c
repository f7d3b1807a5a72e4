/* A build without oneDNN. */
#include "runtime/onednn/onednn.h"

const weft_backend *weft_onednn(void) { return NULL; }

const char *weft_onednn_version(char buf[WEFT_ONEDNN_VERSION]) {
    (void)buf;
    return NULL;
}

enum weft_status weft_onednn_pack(const struct weft_exec *x, struct weft_node *n) {
    (void)x, (void)n;
    return WEFT_ERR_STATE;
}

void weft_onednn_unpack(struct weft_node *n) { (void)n; }
