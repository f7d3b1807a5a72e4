#include <stdlib.h>
#include <string.h>
#include "train/bpe_bytes.h"
#include "train/bpe_files.h"
#include "train/utf8.h"

size_t weft_bpe_spell(const char *bytes, size_t size, char *out) {
    size_t n = 0;
    for (size_t i = 0; i < size; i++)
        n += weft_utf8_encode(weft_byte_char((unsigned char)bytes[i]), out + n);
    out[n] = '\0';
    return n;
}

static bool is_special(const struct weft_bpe *b, size_t token) {
    for (size_t i = 0; i < b->parts.specials; i++)
        if (b->parts.special[i] == token) return true;
    return false;
}

/* A token as the vocabulary spells it, special ones as they are; to be freed, NULL when there is no
 * memory. */
static char *spell_token(const struct weft_bpe *b, size_t token) {
    size_t size;
    const char *piece = weft_bpe_piece(b, token, &size);
    char *text = malloc(2 * size + 1);
    if (!text) return NULL;
    if (is_special(b, token)) {
        memcpy(text, piece, size);
        text[size] = '\0';
    } else {
        weft_bpe_spell(piece, size, text);
    }
    return text;
}

static void put_vocab(const struct weft_bpe *b, struct weft_json *j) {
    for (size_t i = 0; i < b->parts.size; i++) {
        if (b->parts.start[i + 1] == b->parts.start[i]) continue;
        char *text = spell_token(b, i);
        if (text)
            weft_json_count(j, text, i);
        else
            j->failed = true;
        free(text);
    }
}

void weft_bpe_write_vocab(const struct weft_bpe *bpe, struct weft_json *j) {
    weft_json_open(j, NULL, '{');
    put_vocab(bpe, j);
    weft_json_end(j);
}

/* "left right" of a merge into text, which grows. */
static bool spell_merge(const struct weft_bpe *b, size_t i, char **text, size_t *room) {
    const struct weft_bpe_merge *m = &b->parts.merge[i];
    size_t left, right;
    const char *a = weft_bpe_piece(b, m->left, &left), *c = weft_bpe_piece(b, m->right, &right);
    if (2 * (left + right) + 2 > *room) {
        *room = 4 * (left + right) + 64;
        char *more = realloc(*text, *room);
        if (!more) return false;
        *text = more;
    }
    const size_t n = weft_bpe_spell(a, left, *text);
    (*text)[n] = ' ';
    weft_bpe_spell(c, right, *text + n + 1);
    return true;
}

char *weft_bpe_write_merges(const struct weft_bpe *bpe, size_t *size) {
    static const char version[] = "#version: 0.2\n";
    size_t most = sizeof version, room = 0, n = strlen(version);
    char *line = NULL;
    for (size_t i = 0; i < bpe->parts.merges; i++) {
        size_t made;
        weft_bpe_piece(bpe, bpe->parts.merge[i].to, &made);
        most += 2 * made + 2;
    }
    char *text = malloc(most);
    if (text) memcpy(text, version, n);
    for (size_t i = 0; text && i < bpe->parts.merges; i++) {
        if (!spell_merge(bpe, i, &line, &room)) {
            free(text);
            text = NULL;
            break;
        }
        const size_t length = strlen(line);
        memcpy(text + n, line, length);
        text[n + length] = '\n';
        n += length + 1;
    }
    free(line);
    *size = n;
    return text;
}

static void put_byte_level(struct weft_json *j, const char *key, bool words) {
    weft_json_open(j, key, '{');
    weft_json_text(j, "type", "ByteLevel");
    weft_json_bool(j, "add_prefix_space", false);
    weft_json_bool(j, "trim_offsets", false);
    weft_json_bool(j, "use_regex", words);
    weft_json_close(j);
}

static void put_added(const struct weft_bpe *b, struct weft_json *j) {
    weft_json_open(j, "added_tokens", '[');
    for (size_t i = 0; i < b->parts.specials; i++) {
        char *text = spell_token(b, b->parts.special[i]);
        if (!text) j->failed = true;
        weft_json_open(j, NULL, '{');
        weft_json_count(j, "id", b->parts.special[i]);
        weft_json_text(j, "content", text);
        weft_json_bool(j, "single_word", false);
        weft_json_bool(j, "lstrip", false);
        weft_json_bool(j, "rstrip", false);
        weft_json_bool(j, "normalized", false);
        weft_json_bool(j, "special", true);
        weft_json_close(j);
        free(text);
    }
    weft_json_close(j);
}

void weft_bpe_write(const struct weft_bpe *bpe, struct weft_json *j) {
    char *line = NULL;
    size_t room = 0;
    weft_json_open(j, NULL, '{');
    weft_json_text(j, "version", "1.0");
    weft_json_text(j, "truncation", NULL);
    weft_json_text(j, "padding", NULL);
    put_added(bpe, j);
    weft_json_text(j, "normalizer", NULL);
    put_byte_level(j, "pre_tokenizer", true);
    put_byte_level(j, "post_processor", true);
    put_byte_level(j, "decoder", true);
    weft_json_open(j, "model", '{');
    weft_json_text(j, "type", "BPE");
    weft_json_text(j, "dropout", NULL);
    weft_json_text(j, "unk_token", NULL);
    weft_json_text(j, "continuing_subword_prefix", NULL);
    weft_json_text(j, "end_of_word_suffix", NULL);
    weft_json_bool(j, "fuse_unk", false);
    weft_json_bool(j, "byte_fallback", false);
    weft_json_bool(j, "ignore_merges", false);
    weft_json_open(j, "vocab", '{');
    put_vocab(bpe, j);
    weft_json_close(j);
    weft_json_open(j, "merges", '[');
    for (size_t i = 0; i < bpe->parts.merges; i++) {
        if (!spell_merge(bpe, i, &line, &room)) {
            j->failed = true;
            break;
        }
        weft_json_text(j, NULL, line);
    }
    free(line);
    weft_json_end(j);
}
