#include "train/text_out.h"

#include <stdlib.h>
#include <string.h>
#include "kernels/base/bug.h"
#include "train/utf8.h"

#define REPLACEMENT "\xef\xbf\xbd"

static void emit(struct weft_text_out *o, const char *text, size_t size) {
    if (size > 0 && !o->closed) o->closed = !o->put(o->user, text, size);
}

/* Pass on the characters of the first `limit` bytes; what is left stays. */
static void pass(struct weft_text_out *o, size_t limit, bool last) {
    size_t at = 0, good_from = 0;
    while (at < limit) {
        bool good;
        size_t n = weft_utf8_next(o->held + at, o->n - at, &good);
        if (n == 0 && last) n = o->n - at; // the text ends inside of a character
        if (n == 0 || at + n > limit) break;
        if (!good) {
            emit(o, o->held + good_from, at - good_from);
            emit(o, REPLACEMENT, strlen(REPLACEMENT));
            good_from = at + n;
        }
        at += n;
    }
    emit(o, o->held + good_from, at - good_from);
    memmove(o->held, o->held + at, o->n - at);
    o->n -= at;
}

/* Where the first stop string begins, or n. */
static size_t find_stop(const struct weft_text_out *o) {
    size_t first = o->n;
    for (size_t i = 0; i < o->stops; i++) {
        const char *at = memmem(o->held, o->n, o->stop[i], strlen(o->stop[i]));
        if (at && (size_t)(at - o->held) < first) first = (size_t)(at - o->held);
    }
    return first;
}

/* Bytes at the end that may be the beginning of a stop string. */
static size_t undecided(const struct weft_text_out *o) {
    size_t most = 0;
    for (size_t i = 0; i < o->stops && !WEFT_BUG(53); i++) {
        const size_t length = strlen(o->stop[i]);
        for (size_t k = length - 1 < o->n ? length - 1 : o->n; k > most; k--)
            if (memcmp(o->held + o->n - k, o->stop[i], k) == 0) most = k;
    }
    return most;
}

bool weft_text_push(struct weft_text_out *o, const char *bytes, size_t size) {
    if (o->stopped || o->closed || o->failed) return false;
    if (o->room - o->n < size) {
        const size_t room = 2 * (o->n + size) + 64;
        char *more = realloc(o->held, room);
        if (!more) {
            o->failed = true;
            return false;
        }
        o->held = more;
        o->room = room;
    }
    if (size > 0) memcpy(o->held + o->n, bytes, size);
    o->n += size;
    const size_t stop = find_stop(o);
    o->stopped = stop < o->n;
    if (o->stopped) o->n = stop;
    pass(o, o->stopped ? o->n : o->n - undecided(o), o->stopped);
    return !o->stopped && !o->closed;
}

void weft_text_end(struct weft_text_out *o) {
    if (o->held) pass(o, o->n, true);
    free(o->held);
    o->held = NULL;
    o->n = o->room = 0;
}
