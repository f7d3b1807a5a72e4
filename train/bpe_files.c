/* Reading; bpe_write.c writes. */
#include "train/bpe_files.h"

#include <stdlib.h>
#include <string.h>
#include "train/bpe_bytes.h"
#include "train/file_map.h"
#include "train/json_in.h"
#include "train/utf8.h"

#define FILE_MOST  ((size_t)64 << 20)
#define END_TEXT   "<|endoftext|>"
#define TOKEN_MOST 65535 /* bytes of a token */

struct reader {
    weft_ctx *ctx;
    const char *path;
    struct weft_bpe_parts parts;
    const char **key; /* (parts.size) as the file spells it; NULL: no such token */
    bool *raw;        /* (parts.size) the key is the text itself */
    uint32_t *slot;   /* (mask + 1) ids + 1 by their bytes; 0: empty */
    size_t mask;
};

static enum weft_status refuse(const struct reader *r, const char *what) {
    return weft_ctx_fail(r->ctx, WEFT_ERR_FORMAT,
                         "%s: %s; the file is damaged or of a kind that is "
                         "not read",
                         r->path, what);
}

static enum weft_status no_memory(const struct reader *r) {
    return weft_ctx_fail(r->ctx, WEFT_ERR_NOMEM, "%s: out of memory", r->path);
}

static void close_reader(struct reader *r) {
    free(r->key);
    free(r->raw);
    free(r->slot);
    weft_bpe_parts_free(&r->parts);
}

/* ---- the vocabulary ---- */

static enum weft_status set_key(struct reader *r, const char *key, const json_t *id, bool raw) {
    const json_int_t at = json_is_integer(id) ? json_integer_value(id) : -1;
    if (at < 0 || at >= WEFT_BPE_MAX)
        return weft_ctx_fail(r->ctx, WEFT_ERR_FORMAT,
                             "%s: the id of token '%.40s' is not a number from 0 to %d", r->path,
                             key, WEFT_BPE_MAX - 1);
    const char *old = r->key[at];
    if (old && strcmp(old, key) != 0)
        return weft_ctx_fail(r->ctx, WEFT_ERR_FORMAT,
                             "%s: tokens '%.40s' and '%.40s' have one id: %d", r->path, old, key,
                             (int)at);
    r->key[at] = key;
    r->raw[at] |= raw;
    if ((size_t)at >= r->parts.size) r->parts.size = (size_t)at + 1;
    return WEFT_OK;
}

static enum weft_status open_keys(struct reader *r, const json_t *vocab) {
    const char *key;
    json_t *id;
    r->key = calloc(WEFT_BPE_MAX, sizeof *r->key);
    r->raw = calloc(WEFT_BPE_MAX, sizeof *r->raw);
    if (!r->key || !r->raw) return no_memory(r);
    if (!json_is_object(vocab)) return refuse(r, "there is no vocabulary");
    enum weft_status st = WEFT_OK;
    json_object_foreach((json_t *)(uintptr_t)vocab, key, id) {
        st = set_key(r, key, id, false);
        if (st != WEFT_OK) break;
    }
    return st;
}

/* Characters to bytes; SIZE_MAX when one stands for none. */
static size_t unspell(const char *key, size_t size, char *out) {
    size_t n = 0;
    for (size_t at = 0, length; at < size; at += length) {
        uint32_t code;
        length = weft_utf8_decode(key + at, size - at, &code);
        const int byte = length == 0 ? -1 : weft_char_byte(code);
        if (byte < 0) return SIZE_MAX;
        out[n++] = (char)byte;
    }
    return n;
}

static enum weft_status make_pieces(struct reader *r) {
    struct weft_bpe_parts *p = &r->parts;
    size_t room = 1;
    for (size_t i = 0; i < p->size; i++) {
        const size_t size = r->key[i] ? strlen(r->key[i]) : 0;
        if (size > TOKEN_MOST) return refuse(r, "a token is longer than 65535 bytes");
        room += size;
    }
    p->start = calloc(p->size + 1, sizeof *p->start);
    p->text = malloc(room);
    if (!p->start || !p->text) return no_memory(r);
    size_t at = 0;
    for (size_t i = 0; i < p->size; i++) {
        const size_t size = r->key[i] ? strlen(r->key[i]) : 0;
        size_t n = size;
        if (r->raw[i])
            memcpy(p->text + at, r->key[i], size);
        else if (size > 0)
            n = unspell(r->key[i], size, p->text + at);
        if (n == SIZE_MAX)
            return weft_ctx_fail(
                r->ctx, WEFT_ERR_FORMAT,
                "%s: token '%.40s' has a character that stands for no byte: this is "
                "no byte-level vocabulary",
                r->path, r->key[i]);
        at += n;
        p->start[i + 1] = (uint32_t)at; // 65536 tokens of 65535 bytes: below 2^32
    }
    return WEFT_OK;
}

/* ---- tokens by their bytes ---- */

static bool is_piece(const struct weft_bpe_parts *p, size_t id, const char *bytes, size_t size) {
    return p->start[id + 1] - p->start[id] == size &&
           memcmp(p->text + p->start[id], bytes, size) == 0;
}

/* The slot of these bytes, or the empty one where they would be. */
static size_t find_slot(const struct reader *r, const char *bytes, size_t size) {
    size_t i = weft_hash(bytes, size, 0) & r->mask;
    while (r->slot[i] != 0 && !is_piece(&r->parts, r->slot[i] - 1, bytes, size))
        i = (i + 1) & r->mask;
    return i;
}

static enum weft_status index_pieces(struct reader *r) {
    const struct weft_bpe_parts *p = &r->parts;
    r->mask = 1023;
    while (r->mask < 2 * p->size) r->mask = 2 * r->mask + 1;
    r->slot = calloc(r->mask + 1, sizeof *r->slot);
    if (!r->slot) return no_memory(r);
    for (size_t i = 0; i < p->size; i++) {
        const size_t size = p->start[i + 1] - p->start[i];
        if (size == 0) continue;
        const size_t at = find_slot(r, p->text + p->start[i], size);
        if (r->slot[at] == 0 || r->raw[r->slot[at] - 1]) r->slot[at] = (uint32_t)i + 1;
    }
    return WEFT_OK;
}

/* ---- merges ---- */

/* "left right", or the two apart (right NULL otherwise). */
static enum weft_status add_merge(struct reader *r, const char *left, size_t left_size,
                                  const char *right, size_t right_size, char *bytes) {
    struct weft_bpe_parts *p = &r->parts;
    const size_t n = unspell(left, left_size, bytes);
    const size_t m = n == SIZE_MAX ? n : unspell(right, right_size, bytes + n);
    const size_t number = p->merges + 1;
    if (n == SIZE_MAX || m == SIZE_MAX || n == 0 || m == 0)
        return weft_ctx_fail(r->ctx, WEFT_ERR_FORMAT,
                             "%s: merge %zu is not two tokens of characters that stand for bytes",
                             r->path, number);
    const uint32_t a = r->slot[find_slot(r, bytes, n)], b = r->slot[find_slot(r, bytes + n, m)];
    const uint32_t to = r->slot[find_slot(r, bytes, n + m)];
    if (a == 0 || b == 0 || to == 0)
        return weft_ctx_fail(r->ctx, WEFT_ERR_FORMAT,
                             "%s: merge %zu, '%.*s' and '%.*s': %s is not in the vocabulary",
                             r->path, number, (int)(left_size < 40 ? left_size : 40), left,
                             (int)(right_size < 40 ? right_size : 40), right,
                             a == 0   ? "the first"
                             : b == 0 ? "the second"
                                      : "what they make");
    p->merge[p->merges++] =
        (struct weft_bpe_merge){(uint16_t)(a - 1), (uint16_t)(b - 1), (uint16_t)(to - 1)};
    return WEFT_OK;
}

static enum weft_status add_line(struct reader *r, const char *line, size_t size, char *bytes) {
    const char *blank = memchr(line, ' ', size);
    const size_t left = blank ? (size_t)(blank - line) : size;
    if (!blank || size > 2 * TOKEN_MOST || memchr(blank + 1, ' ', size - left - 1))
        return weft_ctx_fail(r->ctx, WEFT_ERR_FORMAT,
                             "%s: merge %zu is '%.*s', but must be two tokens with a blank between",
                             r->path, r->parts.merges + 1, (int)(size < 40 ? size : 40), line);
    return add_merge(r, line, left, blank + 1, size - left - 1, bytes);
}

/* Room for n merges, and for the bytes of one. */
static char *merge_room(struct reader *r, size_t n, enum weft_status *st) {
    if (n > WEFT_BPE_MERGES_MAX) {
        *st = refuse(r, "there are more than 1048576 merges");
        return NULL;
    }
    r->parts.merge = malloc((n + 1) * sizeof *r->parts.merge);
    char *bytes = malloc(4 * (size_t)TOKEN_MOST);
    *st = r->parts.merge && bytes ? WEFT_OK : no_memory(r);
    return bytes;
}

/* merges.txt: a line each; the first may tell a version. */
static enum weft_status read_merges(struct reader *r, const char *text, size_t size) {
    static const char version[] = "#version";
    size_t lines = 1;
    for (size_t i = 0; i < size; i++) lines += text[i] == '\n';
    enum weft_status st;
    char *bytes = merge_room(r, lines, &st);
    size_t at = 0;
    if (size >= strlen(version) && memcmp(text, version, strlen(version)) == 0) {
        const char *end = memchr(text, '\n', size);
        at = end ? (size_t)(end - text) + 1 : size;
    }
    while (st == WEFT_OK && at < size) {
        const char *end = memchr(text + at, '\n', size - at);
        const size_t next = end ? (size_t)(end - text) + 1 : size;
        size_t length = next - at - (end != NULL);
        if (length > 0 && text[at + length - 1] == '\r') length--;
        if (length > 0) st = add_line(r, text + at, length, bytes);
        at = next;
    }
    free(bytes);
    return st;
}

static enum weft_status parse_merges(struct reader *r, const json_t *merges) {
    enum weft_status st;
    if (!json_is_array(merges)) return refuse(r, "there are no merges");
    const size_t n = json_array_size(merges);
    char *bytes = merge_room(r, n, &st);
    for (size_t i = 0; st == WEFT_OK && i < n; i++) {
        const json_t *m = json_array_get(merges, i);
        const char *left = json_string_value(json_array_get(m, 0));
        const char *right = json_string_value(json_array_get(m, 1));
        if (json_is_string(m)) {
            st = add_line(r, json_string_value(m), json_string_length(m), bytes);
        } else if (json_array_size(m) == 2 && left && right && strlen(left) <= TOKEN_MOST &&
                   strlen(right) <= TOKEN_MOST) {
            st = add_merge(r, left, strlen(left), right, strlen(right), bytes);
        } else {
            st = refuse(r, "a merge is neither a text nor two");
        }
    }
    free(bytes);
    return st;
}

/* ---- tokenizer.json ---- */

static bool is_null(const json_t *value) { return !value || json_is_null(value); }
static bool is_absent(const json_t *value) {
    const char *text = json_string_value(value);
    return is_null(value) || json_is_false(value) || (text && !*text) ||
           (json_is_number(value) && json_number_value(value) == 0);
}

static bool has_type(const json_t *value, const char *type) {
    const char *text = json_string_value(json_object_get(value, "type"));
    return text && strcmp(text, type) == 0;
}

/* What changes tokens and is not done here must not be asked for. */
static enum weft_status check_pipeline(struct reader *r, const json_t *root, const json_t *model) {
    static const char *const unknown[] = {"continuing_subword_prefix",
                                          "end_of_word_suffix",
                                          "dropout",
                                          "byte_fallback",
                                          "ignore_merges",
                                          "fuse_unk"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        if (!is_absent(json_object_get(model, unknown[i])))
            return weft_ctx_fail(r->ctx, WEFT_ERR_FORMAT,
                                 "%s: model has %s, which weft does not do", r->path, unknown[i]);
    const json_t *split = json_object_get(root, "pre_tokenizer");
    const json_t *after = json_object_get(root, "post_processor");
    if (!is_null(json_object_get(root, "normalizer")))
        return weft_ctx_fail(r->ctx, WEFT_ERR_FORMAT,
                             "%s: has a normalizer, which weft does not do", r->path);
    const bool whole = json_is_false(json_object_get(split, "use_regex"));
    if (!has_type(split, "ByteLevel") || json_is_true(json_object_get(split, "add_prefix_space")) ||
        (whole && json_array_size(json_object_get(model, "merges")) > 0))
        return weft_ctx_fail(r->ctx, WEFT_ERR_FORMAT,
                             "%s: the pre-tokenizer is not GPT-2's: ByteLevel with its pattern and "
                             "without a space in front",
                             r->path);
    if (!is_null(after) && !has_type(after, "ByteLevel"))
        return weft_ctx_fail(r->ctx, WEFT_ERR_FORMAT,
                             "%s: the post-processor is not ByteLevel: weft adds no tokens",
                             r->path);
    return WEFT_OK;
}

static enum weft_status add_added(struct reader *r, const json_t *token) {
    static const char *const unknown[] = {"lstrip", "rstrip", "single_word"};
    const char *content = json_string_value(json_object_get(token, "content"));
    if (!content || !*content) return refuse(r, "an added token has no content");
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        if (json_is_true(json_object_get(token, unknown[i])))
            return weft_ctx_fail(r->ctx, WEFT_ERR_FORMAT,
                                 "%s: token '%.40s' has %s, which weft does not do", r->path,
                                 content, unknown[i]);
    if (r->parts.specials == WEFT_BPE_SPECIALS) return refuse(r, "there are over 256 added tokens");
    const json_t *id = json_object_get(token, "id");
    const enum weft_status st = set_key(r, content, id, true);
    if (st == WEFT_OK) r->parts.special[r->parts.specials++] = (uint16_t)json_integer_value(id);
    return st;
}

static enum weft_status parse_added(struct reader *r, const json_t *added) {
    enum weft_status st = WEFT_OK;
    if (!is_null(added) && !json_is_array(added)) return refuse(r, "added_tokens is not a list");
    for (size_t i = 0; st == WEFT_OK && i < json_array_size(added); i++)
        st = add_added(r, json_array_get(added, i));
    return st;
}

enum weft_status weft_bpe_parse(weft_ctx *ctx, const char *path, const json_t *root,
                                struct weft_bpe **out) {
    struct reader r = {.ctx = ctx, .path = path};
    const json_t *model = json_object_get(root, "model");
    enum weft_status st = check_pipeline(&r, root, model);
    if (st == WEFT_OK) st = open_keys(&r, json_object_get(model, "vocab"));
    if (st == WEFT_OK) st = parse_added(&r, json_object_get(root, "added_tokens"));
    if (st == WEFT_OK) st = make_pieces(&r);
    if (st == WEFT_OK) st = index_pieces(&r);
    if (st == WEFT_OK) st = parse_merges(&r, json_object_get(model, "merges"));
    if (st == WEFT_OK) st = weft_bpe_create(ctx, path, &r.parts, out);
    close_reader(&r);
    return st;
}

/* ---- vocab.json and merges.txt ---- */

static enum weft_status load_vocab(struct reader *r, const json_t *vocab) {
    const json_t *end = json_object_get(vocab, END_TEXT);
    enum weft_status st = open_keys(r, vocab);
    if (st == WEFT_OK && end) st = set_key(r, END_TEXT, end, true);
    if (st == WEFT_OK && end)
        r->parts.special[r->parts.specials++] = (uint16_t)json_integer_value(end);
    if (st == WEFT_OK) st = make_pieces(r);
    return st == WEFT_OK ? index_pieces(r) : st;
}

enum weft_status weft_bpe_load(weft_ctx *ctx, const char *vocab, const char *merges,
                               struct weft_bpe **out) {
    json_t *root = NULL;
    struct weft_file file = {0};
    struct reader r = {.ctx = ctx, .path = vocab};
    enum weft_status st = weft_json_read(ctx, vocab, FILE_MOST, &root);
    if (st == WEFT_OK) st = load_vocab(&r, root);
    if (st == WEFT_OK) st = weft_file_open(ctx, merges, &file);
    r.path = merges;
    if (st == WEFT_OK) st = read_merges(&r, (const char *)file.data, file.size);
    if (st == WEFT_OK) st = weft_bpe_create(ctx, vocab, &r.parts, out);
    weft_file_close(&file);
    close_reader(&r);
    json_decref(root);
    return st;
}
