#include "train/bpe.h"

#include <stdlib.h>
#include <string.h>
#include "kernels/base/bug.h"
#include "train/file_map.h"

#define NONE        UINT32_MAX
#define SHORT_WORD  32         /* bytes of a word that is merged by looking at all its pairs */
#define CACHE_MOST  (1u << 15) /* words remembered during an encoding */
#define CACHE_WORD  38         /* bytes of such a word, at most */
#define CACHE_COUNT 12         /* tokens of it, at most */

/* ---- making one ---- */

void weft_bpe_parts_free(struct weft_bpe_parts *p) {
    free(p->start);
    free(p->text);
    free(p->merge);
    *p = (struct weft_bpe_parts){.size = 0};
}

static size_t slot_of(const struct weft_bpe *b, uint32_t pair) {
    size_t i = (pair * 0x9e3779b1u >> 8) & b->mask;
    while (b->slot[i].rank != NONE && b->slot[i].pair != pair) i = (i + 1) & b->mask;
    return i;
}

static uint32_t pair_of(uint16_t left, uint16_t right) { return (uint32_t)left << 16 | right; }

static uint32_t rank_of(const struct weft_bpe *b, uint16_t left, uint16_t right) {
    return b->slot[slot_of(b, pair_of(left, right))].rank;
}

static bool is_sum(const struct weft_bpe_parts *p, const struct weft_bpe_merge *m) {
    const uint32_t *s = p->start;
    if (m->left >= p->size || m->right >= p->size || m->to >= p->size) return false;
    const size_t left = s[m->left + 1] - s[m->left], right = s[m->right + 1] - s[m->right];
    return left > 0 && right > 0 && s[m->to + 1] - s[m->to] == left + right &&
           memcmp(p->text + s[m->to], p->text + s[m->left], left) == 0 &&
           memcmp(p->text + s[m->to] + left, p->text + s[m->right], right) == 0;
}

static bool is_special(const struct weft_bpe_parts *p, size_t token) {
    for (size_t i = 0; i < p->specials; i++)
        if (p->special[i] == token) return true;
    return false;
}

static enum weft_status find_bytes(weft_ctx *ctx, const char *path, struct weft_bpe *b) {
    bool has[256] = {false};
    for (size_t i = 0; i < b->parts.size; i++) {
        size_t size;
        const unsigned char *piece = (const unsigned char *)weft_bpe_piece(b, i, &size);
        if (size != 1 || is_special(&b->parts, i)) continue;
        if (has[piece[0]])
            return weft_ctx_fail(ctx, WEFT_ERR_FORMAT, "%s: byte %u has two tokens", path,
                                 piece[0]);
        has[piece[0]] = true;
        b->byte[piece[0]] = (uint16_t)i;
    }
    for (size_t i = 0; i < 256; i++)
        if (!has[i])
            return weft_ctx_fail(ctx, WEFT_ERR_FORMAT,
                                 "%s: byte %zu has no token: this is no byte-level vocabulary",
                                 path, i);
    return WEFT_OK;
}

static enum weft_status fill_table(weft_ctx *ctx, const char *path, struct weft_bpe *b) {
    const struct weft_bpe_parts *p = &b->parts;
    b->mask = 63;
    while (b->mask < 2 * p->merges) b->mask = 2 * b->mask + 1;
    b->slot = malloc((b->mask + 1) * sizeof *b->slot);
    if (!b->slot) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: out of memory", path);
    for (size_t i = 0; i <= b->mask; i++) b->slot[i] = (struct weft_bpe_slot){0, NONE};
    for (size_t i = 0; i < p->merges; i++) {
        const struct weft_bpe_merge *m = &p->merge[i];
        if (!is_sum(p, m))
            return weft_ctx_fail(ctx, WEFT_ERR_FORMAT,
                                 "%s: merge %zu does not make the token it should", path, i + 1);
        const uint32_t pair = pair_of(m->left, m->right);
        // of two merges of a pair the last one counts, as in other readers of such files
        b->slot[slot_of(b, pair)] = (struct weft_bpe_slot){pair, (uint32_t)i};
    }
    for (size_t i = 0; i < p->specials; i++) {
        size_t size;
        const char *text = weft_bpe_piece(b, p->special[i], &size);
        if (size == 0)
            return weft_ctx_fail(ctx, WEFT_ERR_FORMAT, "%s: special token %u is empty", path,
                                 p->special[i]);
        b->leads[(unsigned char)text[0]] = true;
    }
    return WEFT_OK;
}

enum weft_status weft_bpe_create(weft_ctx *ctx, const char *path, struct weft_bpe_parts *parts,
                                 struct weft_bpe **out) {
    struct weft_bpe *b = calloc(1, sizeof *b);
    if (!b) {
        weft_bpe_parts_free(parts);
        return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: out of memory", path);
    }
    b->parts = *parts;
    b->shares = 1;
    *parts = (struct weft_bpe_parts){.size = 0};
    enum weft_status st = find_bytes(ctx, path, b);
    if (st == WEFT_OK) st = fill_table(ctx, path, b);
    if (st == WEFT_OK) st = weft_splitter_create(ctx, &b->splitter);
    if (st != WEFT_OK) {
        weft_bpe_free(b);
        return st;
    }
    *out = b;
    return WEFT_OK;
}

struct weft_bpe *weft_bpe_share(struct weft_bpe *bpe) {
    bpe->shares++;
    return bpe;
}

void weft_bpe_free(struct weft_bpe *bpe) {
    if (!bpe || --bpe->shares > 0) return;
    weft_splitter_free(bpe->splitter);
    weft_bpe_parts_free(&bpe->parts);
    free(bpe->slot);
    free(bpe);
}

int32_t weft_bpe_special(const struct weft_bpe *bpe, const char *text) {
    for (size_t i = 0; i < bpe->parts.specials; i++) {
        size_t size;
        const char *piece = weft_bpe_piece(bpe, bpe->parts.special[i], &size);
        if (size == strlen(text) && memcmp(piece, text, size) == 0) return bpe->parts.special[i];
    }
    return -1;
}

/* ---- a word ---- */

struct pending { /* a merge that may be done, unless its pair has changed by then */
    uint32_t rank, at;
};

struct slot { /* of the cache: 64 bytes */
    uint8_t size, n;
    char word[CACHE_WORD];
    uint16_t token[CACHE_COUNT];
};

struct encoder {
    const struct weft_bpe *bpe;
    struct slot *cache; /* (mask + 1) */
    size_t mask;
    /* for a long word */
    struct pending *heap; /* (2 room) */
    uint32_t *next, *before;
    uint16_t *token;
    size_t pending, room;
};

/* Tokens of a word of n bytes, which are in token[0..n). Returns how many are left. */
static size_t merge_short(const struct weft_bpe *b, uint16_t *token, size_t n) {
    uint32_t rank[SHORT_WORD];
    for (size_t i = 0; i + 1 < n; i++) rank[i] = rank_of(b, token[i], token[i + 1]);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (rank[i] < rank[best]) best = i;
        if (rank[best] == NONE) break;
        token[best] = b->parts.merge[rank[best]].to;
        n--;
        for (size_t i = best + 1; i < n; i++) {
            token[i] = token[i + 1];
            rank[i - 1] = rank[i];
        }
        if (best > 0) rank[best - 1] = rank_of(b, token[best - 1], token[best]);
        if (best + 1 < n) rank[best] = rank_of(b, token[best], token[best + 1]);
    }
    return n;
}

static bool is_before(struct pending a, struct pending b) {
    return a.rank != b.rank || WEFT_BUG(52) ? a.rank < b.rank : a.at < b.at;
}

static void push(struct encoder *e, size_t at) {
    const uint32_t rank = rank_of(e->bpe, e->token[at], e->token[e->next[at]]);
    if (rank == NONE) return;
    const struct pending x = {rank, (uint32_t)at};
    size_t i = e->pending++;
    for (; i > 0 && is_before(x, e->heap[(i - 1) / 2]); i = (i - 1) / 2)
        e->heap[i] = e->heap[(i - 1) / 2];
    e->heap[i] = x;
}

static struct pending pop(struct encoder *e) {
    const struct pending top = e->heap[0], x = e->heap[--e->pending];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < e->pending; i = child) {
        if (child + 1 < e->pending && is_before(e->heap[child + 1], e->heap[child])) child++;
        if (!is_before(e->heap[child], x)) break;
        e->heap[i] = e->heap[child];
    }
    e->heap[i] = x;
    return top;
}

static bool make_room(struct encoder *e, size_t n) {
    if (n <= e->room) return true;
    free(e->heap);
    free(e->next);
    free(e->before);
    free(e->token);
    e->room = n + n / 4;
    // a merge takes one pending entry away and adds at most two: fewer than 2 n in all
    e->heap = malloc(2 * e->room * sizeof *e->heap);
    e->next = malloc(e->room * sizeof *e->next);
    e->before = malloc(e->room * sizeof *e->before);
    e->token = malloc(e->room * sizeof *e->token);
    return e->heap && e->next && e->before && e->token;
}

/* The same for a word of any length: the tokens are a list, the merges wait in a heap. */
static size_t merge_long(struct encoder *e, uint16_t *token, size_t n) {
    const struct weft_bpe *b = e->bpe;
    memcpy(e->token, token, n * sizeof *token);
    e->pending = 0;
    for (size_t i = 0; i < n; i++) {
        e->next[i] = (uint32_t)(i + 1);
        e->before[i] = (uint32_t)i; // of the token before: one less; 0: none
    }
    for (size_t i = 0; i + 1 < n; i++) push(e, i);
    while (e->pending > 0) {
        const struct pending p = pop(e);
        const size_t right = e->next[p.at];
        if (right >= n) continue; // swallowed by the token before it, or the last one now
        if (rank_of(b, e->token[p.at], e->token[right]) != p.rank) continue;
        e->token[p.at] = b->parts.merge[p.rank].to;
        e->next[p.at] = e->next[right];
        e->next[right] = NONE;
        if (e->next[p.at] < n) {
            e->before[e->next[p.at]] = p.at + 1;
            push(e, p.at);
        }
        if (e->before[p.at] > 0) push(e, e->before[p.at] - 1);
    }
    size_t left = 0;
    for (size_t i = 0; i < n; i = e->next[i]) token[left++] = e->token[i];
    return left;
}

/* Tokens of a word into out; SIZE_MAX: out of memory. */
static size_t encode_word(struct encoder *e, const char *word, size_t size, uint16_t *out) {
    const unsigned char *bytes = (const unsigned char *)word;
    for (size_t i = 0; i < size; i++) out[i] = e->bpe->byte[bytes[i]];
    if (size == 1) return 1;
    if (size > SHORT_WORD) {
        if (size >= NONE || !make_room(e, size)) return SIZE_MAX;
        return merge_long(e, out, size);
    }
    return merge_short(e->bpe, out, size);
}

/* ---- a text ---- */

static size_t encode_cached(struct encoder *e, const char *word, size_t size, uint16_t *out) {
    if (size > CACHE_WORD || size == 1) return encode_word(e, word, size, out);
    struct slot *s = &e->cache[weft_hash(word, size, 0) & e->mask];
    if (s->size != size || memcmp(s->word, word, size) != 0) {
        const size_t n = encode_word(e, word, size, out);
        if (n > CACHE_COUNT) return n;
        s->size = (uint8_t)size;
        s->n = (uint8_t)n;
        memcpy(s->word, word, size);
        memcpy(s->token, out, n * sizeof *out);
        return n;
    }
    for (size_t i = 0; i < s->n; i++) out[i] = s->token[i];
    return s->n;
}

/* Text without special tokens. */
static enum weft_status encode_plain(weft_ctx *ctx, struct encoder *e, const char *text,
                                     size_t size, uint16_t *out, size_t *n) {
    struct weft_words words;
    enum weft_status st =
        size == 0 ? WEFT_OK : weft_words_open(ctx, e->bpe->splitter, text, size, &words);
    if (st != WEFT_OK || size == 0) return st;
    for (size_t from, word; (word = weft_words_next(&words, &from)) > 0;) {
        const size_t made = encode_cached(e, text + from, word, out + *n);
        if (made == SIZE_MAX) {
            st = weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory for a word of %zu bytes", word);
            break;
        }
        *n += made;
    }
    weft_words_close(&words);
    return st;
}

/* The longest special token at the start of text; -1: none. */
static int32_t special_at(const struct weft_bpe *b, const char *text, size_t left, size_t *size) {
    int32_t found = -1;
    *size = 0;
    for (size_t i = 0; i < b->parts.specials; i++) {
        size_t length;
        const char *piece = weft_bpe_piece(b, b->parts.special[i], &length);
        if (length <= *size || length > left || memcmp(piece, text, length) != 0) continue;
        *size = length;
        found = b->parts.special[i];
    }
    return found;
}

static enum weft_status encode_all(weft_ctx *ctx, struct encoder *e, const char *text, size_t size,
                                   bool specials, uint16_t *out, size_t *n) {
    const struct weft_bpe *b = e->bpe;
    size_t from = 0;
    enum weft_status st = WEFT_OK;
    for (size_t at = 0; specials && st == WEFT_OK && at < size;) {
        size_t length;
        const int32_t token =
            b->leads[(unsigned char)text[at]] ? special_at(b, text + at, size - at, &length) : -1;
        if (token < 0) {
            at++;
            continue;
        }
        st = encode_plain(ctx, e, text + from, at - from, out, n);
        if (st == WEFT_OK) out[(*n)++] = (uint16_t)token;
        from = at += length;
    }
    return st == WEFT_OK ? encode_plain(ctx, e, text + from, size - from, out, n) : st;
}

enum weft_status weft_bpe_encode(weft_ctx *ctx, const struct weft_bpe *bpe, const char *text,
                                 size_t size, bool specials, uint16_t *out, size_t *n) {
    struct encoder e = {.bpe = bpe, .mask = 15};
    while (e.mask + 1 < CACHE_MOST && e.mask < size / 16) e.mask = 2 * e.mask + 1;
    e.cache = calloc(e.mask + 1, sizeof *e.cache);
    size_t made = 0;
    enum weft_status st = e.cache ? encode_all(ctx, &e, text, size, specials, out, &made)
                                  : weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory for a text");
    free(e.cache);
    free(e.heap);
    free(e.next);
    free(e.before);
    free(e.token);
    if (st == WEFT_OK) *n = made;
    return st;
}
