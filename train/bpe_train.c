/* Words are counted once; then each merge visits only the words that have its pair. A queue holds
 * the pairs by their counts when they were put in; one whose count has changed since goes back. */
#include "train/bpe_train.h"

#include <stdlib.h>
#include <string.h>
#include "train/bpe_bytes.h"
#include "train/file_map.h"

#define END_TEXT "<|endoftext|>"

struct word {
    const char *text; /* of its first occurrence */
    uint32_t size;    /* bytes */
    uint32_t n;       /* tokens now */
    size_t at;        /* of them in trainer.token */
    int64_t count;
};

struct list { /* of words, ascending */
    uint32_t *word;
    size_t n, room;
};

struct pair {
    uint64_t key; /* left << 32 | right, + 1; 0: an empty slot */
    int64_t count;
    struct list fresh; /* words in which this merge has made it */
};

struct entry { /* of the queue */
    uint64_t key;
    int64_t count;
    struct list in; /* words that may have it */
};

struct piece { /* a token */
    size_t at; /* of its bytes in trainer.bytes */
    uint32_t size;
};

struct trainer {
    weft_ctx *ctx;
    const struct weft_bpe_training *how;
    struct word *word;
    size_t words, word_room;
    uint32_t *word_slot; /* (word_mask + 1) numbers of words + 1 */
    size_t word_mask;
    uint16_t *token; /* of all words */
    struct pair *pair;
    size_t pairs, pair_mask;
    uint64_t *touched; /* keys with fresh words */
    size_t touches, touch_room;
    struct entry *queue;
    size_t queued, queue_room;
    struct piece *piece; /* (vocab) */
    size_t pieces;
    char *bytes;
    size_t n_bytes, byte_room;
    uint32_t *piece_slot; /* (piece_mask + 1) tokens + 1 by their bytes */
    size_t piece_mask;
    struct weft_bpe_merge *merge;
    size_t merges, merge_room;
    bool failed; /* out of memory */
};

/* Room for one more element of *p. */
static bool grow(struct trainer *t, void **p, size_t *room, size_t used, size_t size) {
    if (used < *room) return true;
    const size_t more = *room == 0 ? 64 : 2 * *room;
    void *q = realloc(*p, more * size);
    if (!q) {
        t->failed = true;
        return false;
    }
    *p = q;
    *room = more;
    return true;
}

/* ---- words ---- */

static bool same_word(const struct word *w, const char *text, size_t size) {
    return w->size == size && memcmp(w->text, text, size) == 0;
}

static bool rehash_words(struct trainer *t) {
    const size_t mask = t->word_mask == 0 ? 4095 : 2 * t->word_mask + 1;
    uint32_t *slot = calloc(mask + 1, sizeof *slot);
    if (!slot) return false;
    for (size_t i = 0; i < t->words; i++) {
        size_t at = weft_hash(t->word[i].text, t->word[i].size, 0) & mask;
        while (slot[at] != 0) at = (at + 1) & mask;
        slot[at] = (uint32_t)i + 1;
    }
    free(t->word_slot);
    t->word_slot = slot;
    t->word_mask = mask;
    return true;
}

static void count_word(struct trainer *t, const char *text, size_t size) {
    if (size > UINT32_MAX || t->words >= UINT32_MAX - 1 ||
        (2 * t->words >= t->word_mask && !rehash_words(t))) {
        t->failed = true;
        return;
    }
    size_t at = weft_hash(text, size, 0) & t->word_mask;
    for (; t->word_slot[at] != 0; at = (at + 1) & t->word_mask) {
        struct word *w = &t->word[t->word_slot[at] - 1];
        if (!same_word(w, text, size)) continue;
        w->count++;
        return;
    }
    if (!grow(t, (void **)&t->word, &t->word_room, t->words, sizeof *t->word)) return;
    t->word[t->words++] = (struct word){.text = text, .size = (uint32_t)size, .count = 1};
    t->word_slot[at] = (uint32_t)t->words;
}

static enum weft_status count_words(struct trainer *t) {
    const struct weft_bpe_training *how = t->how;
    weft_splitter *splitter = NULL;
    struct weft_words words = {.size = 0};
    enum weft_status st = weft_splitter_create(t->ctx, &splitter);
    if (st == WEFT_OK) st = weft_words_open(t->ctx, splitter, how->text, how->size, &words);
    for (size_t at = 0; st == WEFT_OK && !t->failed && at < how->size; at = words.size) {
        const char *end = how->lines ? memchr(how->text + at, '\n', how->size - at) : NULL;
        words.size = end ? (size_t)(end - how->text) + 1 : how->size;
        for (size_t from, n; !t->failed && (n = weft_words_next(&words, &from)) > 0;)
            count_word(t, how->text + from, n);
    }
    weft_words_close(&words);
    weft_splitter_free(splitter);
    return st;
}

/* ---- pairs and their queue ---- */

static uint64_t key_of(uint16_t left, uint16_t right) { return ((uint64_t)left << 32 | right) + 1; }

static size_t pair_slot(const struct trainer *t, uint64_t key) {
    size_t at = (key * 0x9e3779b97f4a7c15u >> 20) & t->pair_mask;
    while (t->pair[at].key != 0 && t->pair[at].key != key) at = (at + 1) & t->pair_mask;
    return at;
}

static bool rehash_pairs(struct trainer *t) {
    struct pair *old = t->pair;
    const size_t n = t->pair_mask + 1;
    const bool first = !old;
    t->pair_mask = first ? 4095 : 2 * t->pair_mask + 1;
    t->pair = calloc(t->pair_mask + 1, sizeof *t->pair);
    if (!t->pair) {
        t->pair = old;
        t->pair_mask = n - 1;
        return false;
    }
    for (size_t i = 0; !first && i < n; i++)
        if (old[i].key != 0) t->pair[pair_slot(t, old[i].key)] = old[i];
    free(old);
    return true;
}

/* A word has the pair so often more. */
static void change(struct trainer *t, uint16_t left, uint16_t right, int64_t by, uint32_t word) {
    const uint64_t key = key_of(left, right);
    if (2 * t->pairs >= t->pair_mask && !rehash_pairs(t)) {
        t->failed = true;
        return;
    }
    struct pair *p = &t->pair[pair_slot(t, key)];
    if (p->key == 0) {
        p->key = key;
        t->pairs++;
    }
    p->count += by;
    struct list *l = &p->fresh;
    if (by <= 0 || (l->n > 0 && l->word[l->n - 1] == word)) return;
    if (l->n == 0) {
        if (!grow(t, (void **)&t->touched, &t->touch_room, t->touches, sizeof *t->touched)) return;
        t->touched[t->touches++] = key;
    }
    if (grow(t, (void **)&l->word, &l->room, l->n, sizeof *l->word)) l->word[l->n++] = word;
}

static bool is_before(const struct entry *a, const struct entry *b) {
    return a->count != b->count ? a->count > b->count : a->key < b->key;
}

static void push(struct trainer *t, struct entry e) {
    if (!grow(t, (void **)&t->queue, &t->queue_room, t->queued, sizeof *t->queue)) {
        free(e.in.word);
        return;
    }
    size_t i = t->queued++;
    for (; i > 0 && is_before(&e, &t->queue[(i - 1) / 2]); i = (i - 1) / 2)
        t->queue[i] = t->queue[(i - 1) / 2];
    t->queue[i] = e;
}

static struct entry pop(struct trainer *t) {
    const struct entry top = t->queue[0], x = t->queue[--t->queued];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < t->queued; i = child) {
        if (child + 1 < t->queued && is_before(&t->queue[child + 1], &t->queue[child])) child++;
        if (!is_before(&t->queue[child], &x)) break;
        t->queue[i] = t->queue[child];
    }
    t->queue[i] = x;
    return top;
}

/* Pairs that a merge has made go into the queue. */
static void enqueue_fresh(struct trainer *t) {
    for (size_t i = 0; i < t->touches; i++) {
        struct pair *p = &t->pair[pair_slot(t, t->touched[i])];
        const struct list fresh = p->fresh;
        p->fresh = (struct list){0};
        if (p->count > 0)
            push(t, (struct entry){.key = p->key, .count = p->count, .in = fresh});
        else
            free(fresh.word);
    }
    t->touches = 0;
}

/* ---- tokens ---- */

/* The token of these bytes, made when there is none. */
static uint16_t token_of(struct trainer *t, const char *bytes, size_t size) {
    size_t at = weft_hash(bytes, size, 0) & t->piece_mask;
    for (; t->piece_slot[at] != 0; at = (at + 1) & t->piece_mask) {
        const struct piece *p = &t->piece[t->piece_slot[at] - 1];
        if (p->size == size && memcmp(t->bytes + p->at, bytes, size) == 0)
            return (uint16_t)(t->piece_slot[at] - 1);
    }
    if (t->byte_room - t->n_bytes < size) {
        const size_t room = 2 * (t->n_bytes + size) + 4096;
        char *more = realloc(t->bytes, room);
        if (!more) {
            t->failed = true;
            return 0;
        }
        t->bytes = more;
        t->byte_room = room;
    }
    memcpy(t->bytes + t->n_bytes, bytes, size);
    t->piece[t->pieces] = (struct piece){t->n_bytes, (uint32_t)size};
    t->n_bytes += size;
    t->piece_slot[at] = (uint32_t)++t->pieces;
    return (uint16_t)(t->pieces - 1);
}

/* Bytes in the order of the characters that spell them: GPT-2's first 256 tokens. */
static bool make_alphabet(struct trainer *t, uint16_t token[256]) {
    t->piece_mask = 1023;
    while (t->piece_mask < 2 * t->how->vocab) t->piece_mask = 2 * t->piece_mask + 1;
    t->piece = calloc(t->how->vocab, sizeof *t->piece);
    t->piece_slot = calloc(t->piece_mask + 1, sizeof *t->piece_slot);
    if (!t->piece || !t->piece_slot) return false;
    for (uint32_t code = 0; code < 324; code++) {
        const int byte = weft_char_byte(code);
        const char c = (char)byte;
        if (byte >= 0) token[byte] = token_of(t, &c, 1);
    }
    return !t->failed;
}

static bool make_words(struct trainer *t, const uint16_t token[256]) {
    size_t n = 0;
    for (size_t i = 0; i < t->words; i++) {
        t->word[i].at = n;
        t->word[i].n = t->word[i].size;
        n += t->word[i].size;
    }
    t->token = malloc((n + 1) * sizeof *t->token);
    if (!t->token) return false;
    for (size_t i = 0; i < t->words && !t->failed; i++) {
        uint16_t *to = t->token + t->word[i].at;
        for (size_t k = 0; k < t->word[i].size; k++) {
            to[k] = token[(unsigned char)t->word[i].text[k]];
            if (k > 0) change(t, to[k - 1], to[k], t->word[i].count, (uint32_t)i);
        }
    }
    enqueue_fresh(t);
    return !t->failed;
}

/* Every left, right of a word becomes one; from the left. */
static void merge_word(struct trainer *t, uint32_t index, uint16_t left, uint16_t right,
                       uint16_t to) {
    struct word *w = &t->word[index];
    uint16_t *token = t->token + w->at;
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++) {
        if (token[i] != left || i + 1 == w->n || token[i + 1] != right) {
            token[n++] = token[i];
            continue;
        }
        if (n > 0) {
            change(t, token[n - 1], left, -w->count, index);
            change(t, token[n - 1], to, w->count, index);
        }
        i++;
        if (i + 1 < w->n) {
            change(t, right, token[i + 1], -w->count, index);
            change(t, to, token[i + 1], w->count, index);
        }
        token[n++] = to;
    }
    w->n = (uint32_t)n;
}

/* The pair becomes a token in the words that have it. */
static void merge_pair(struct trainer *t, const struct entry *e) {
    const uint16_t left = (uint16_t)((e->key - 1) >> 32), right = (uint16_t)(e->key - 1);
    const struct piece a = t->piece[left], b = t->piece[right];
    char *both = malloc((size_t)a.size + b.size);
    if (!both || !grow(t, (void **)&t->merge, &t->merge_room, t->merges, sizeof *t->merge)) {
        t->failed = true;
        free(both);
        return;
    }
    memcpy(both, t->bytes + a.at, a.size);
    memcpy(both + a.size, t->bytes + b.at, b.size);
    const uint16_t to = token_of(t, both, (size_t)a.size + b.size);
    free(both);
    t->merge[t->merges++] = (struct weft_bpe_merge){left, right, to};
    for (size_t i = 0; i < e->in.n && !t->failed; i++)
        merge_word(t, e->in.word[i], left, right, to);
    enqueue_fresh(t);
}

static void merge_all(struct trainer *t) {
    while (!t->failed && t->pieces + 1 < t->how->vocab && t->queued > 0 &&
           t->merges < WEFT_BPE_MERGES_MAX) {
        struct entry e = pop(t);
        const int64_t count = t->pair[pair_slot(t, e.key)].count;
        if (e.count != count) {
            e.count = count;
            push(t, e);
            continue;
        }
        const bool enough = count >= 1 && (uint64_t)count >= t->how->min_count;
        if (enough) merge_pair(t, &e);
        free(e.in.word);
        if (!enough) break;
    }
}

/* ---- all of it ---- */

static bool make_parts(struct trainer *t, struct weft_bpe_parts *p) {
    p->start = malloc((t->pieces + 2) * sizeof *p->start);
    p->text = malloc(t->n_bytes + strlen(END_TEXT));
    if (!p->start || !p->text || t->n_bytes > UINT32_MAX - 100) return false;
    for (size_t i = 0; i < t->pieces; i++) p->start[i] = (uint32_t)t->piece[i].at;
    memcpy(p->text, t->bytes, t->n_bytes);
    memcpy(p->text + t->n_bytes, END_TEXT, strlen(END_TEXT));
    p->start[t->pieces] = (uint32_t)t->n_bytes;
    p->start[t->pieces + 1] = (uint32_t)(t->n_bytes + strlen(END_TEXT));
    p->size = t->pieces + 1;
    p->special[p->specials++] = (uint16_t)t->pieces;
    p->merge = t->merge;
    p->merges = t->merges;
    t->merge = NULL;
    return true;
}

static void free_trainer(struct trainer *t) {
    for (size_t i = 0; t->pair && i <= t->pair_mask; i++) free(t->pair[i].fresh.word);
    for (size_t i = 0; i < t->queued; i++) free(t->queue[i].in.word);
    free(t->word);
    free(t->word_slot);
    free(t->token);
    free(t->pair);
    free(t->touched);
    free(t->queue);
    free(t->piece);
    free(t->bytes);
    free(t->piece_slot);
    free(t->merge);
}

enum weft_status weft_bpe_train(weft_ctx *ctx, const struct weft_bpe_training *how,
                                struct weft_bpe **out) {
    if (how->vocab < WEFT_BPE_TRAIN_LEAST || how->vocab > WEFT_BPE_MAX)
        return weft_ctx_fail(ctx, WEFT_ERR_ARG,
                             "a BPE vocabulary has from %d to %d tokens, not %zu",
                             WEFT_BPE_TRAIN_LEAST, WEFT_BPE_MAX, how->vocab);
    struct trainer t = {.ctx = ctx, .how = how};
    struct weft_bpe_parts parts = {.size = 0};
    uint16_t token[256];
    enum weft_status st = count_words(&t);
    t.failed |= st == WEFT_OK && !(make_alphabet(&t, token) && make_words(&t, token));
    if (st == WEFT_OK && !t.failed) merge_all(&t);
    if (st == WEFT_OK && !t.failed) t.failed = !make_parts(&t, &parts);
    if (st == WEFT_OK && t.failed)
        st = weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: out of memory for a vocabulary", how->path);
    if (st == WEFT_OK) st = weft_bpe_create(ctx, how->path, &parts, out);
    weft_bpe_parts_free(&parts);
    free_trainer(&t);
    return st;
}
