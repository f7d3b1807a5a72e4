/* BPE: words end where GPT-2's pattern says, merges follow their ranks in words of any length,
 * every sequence of bytes comes back, vocabularies are trained as a plain count says, and hostile
 * files are refused or survived. Other tokenizers are compared by ci/parity.sh. */
#include "tests/support/unit.h"
#include "train/atomic.h"
#include "train/bpe_bytes.h"
#include "train/bpe_files.h"
#include "train/bpe_train.h"
#include "train/tokenizer.h"

static const char sample[] =
    "It's the best of times, it was the worst of times; we'll see what they've got.\n\n"
    "    if (x == 10) { return 2000; }\n\tna\xc3\xafve caf\xc3\xa9s \xe2\x80\x94 "
    "\xe4\xb8\xad\xe6\x96\x87 "
    "\xf0\x9f\x8d\xb5\xf0\x9f\x8d\xb5 the the the times times times what what see see\n";

static struct weft_bpe *train(const char *text, size_t size, size_t vocab, bool lines) {
    struct weft_bpe *b = NULL;
    const struct weft_bpe_training how = {
        .path = "text", .text = text, .size = size, .vocab = vocab, .lines = lines};
    assert_int_equal(weft_bpe_train(unit_ctx, &how, &b), WEFT_OK);
    return b;
}

/* ---- words ---- */

/* The words of a text with bars between them. */
static void split(const weft_splitter *s, const char *text, size_t size, bool plain, char *out) {
    struct weft_words w;
    size_t n = 0;
    assert_int_equal(weft_words_open(unit_ctx, s, text, size, &w), WEFT_OK);
    w.plain = plain;
    for (size_t from, length; (length = weft_words_next(&w, &from)) > 0;) {
        memcpy(out + n, text + from, length);
        n += length;
        out[n++] = '|';
    }
    out[n] = '\0';
    weft_words_close(&w);
}

static void words_end_where_the_pattern_says(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {"Hello world", "Hello| world|"},
        {"it's they'll 'x I'M", "it|'s| they|'ll| '|x| I|'|M|"},
        {"a  b   c", "a| | b|  | c|"},
        {"a \n b\n\n", "a| \n| b|\n\n|"},
        {"x=10, y", "x|=|10|,| y|"},
        {"abc123def", "abc|123|def|"},
        {" \t\n", " \t\n|"},
        {"na\xc3\xafve", "na\xc3\xafve|"}, // one word of letters
        {"a\xc2\xa0 b", "a|\xc2\xa0| b|"}, // no-break space
        {"a\xe1\xa0\x8e"
         "b",
         "a|\xe1\xa0\x8e|b|"},             // U+180E is no space
        {"a\xc2\x85 b", "a|\xc2\x85| b|"}, // U+0085 is one
        {"\xe3\x8d\xb1\xf0\xb1\x8d\x90x",
         "\xe3\x8d\xb1|\xf0\xb1\x8d\x90x|"}, // U+31350: letter since 15
        {"\xf0\x9f\x8d\xb5!", "\xf0\x9f\x8d\xb5!|"},
        {"ab\xff\xfe"
         "cd",
         "ab|\xff\xfe|cd|"}, // not UTF-8: as U+FFFD
        {"ab \xc3", "ab| \xc3|"},
    };
    weft_splitter *s;
    char out[256];
    assert_int_equal(weft_splitter_create(unit_ctx, &s), WEFT_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int plain = 0; plain < 2; plain++) {
            split(s, cases[i][0], strlen(cases[i][0]), plain, out);
            assert_string_equal(out, cases[i][1]);
        }
    weft_splitter_free(s);
}

/* The short cut for ASCII words finds what PCRE2 finds. */
static void short_cut(void **state) {
    (void)state;
    weft_splitter *s;
    char text[40], a[128], b[128];
    uint64_t seed = 5;
    static const char *const pieces[] = {"a",  "Z",        " ", "'s", "'",   "1",
                                         "\n", "\xc3\xa9", "!", "  ", "\xff"};
    assert_int_equal(weft_splitter_create(unit_ctx, &s), WEFT_OK);
    for (int i = 0; i < 5000; i++) {
        text[0] = '\0';
        for (uint32_t k = unit_random(&seed) % 12; k > 0; k--)
            strcat(text, pieces[unit_random(&seed) % (sizeof pieces / sizeof *pieces)]);
        split(s, text, strlen(text), false, a);
        split(s, text, strlen(text), true, b);
        assert_string_equal(a, b);
    }
    weft_splitter_free(s);
}

/* ---- tokens ---- */

/* The lowest rank, the first of equals, again and again: as slow and plain as the definition. */
static size_t encode_plainly(const struct weft_bpe *b, const char *word, size_t size,
                             uint16_t *token) {
    size_t n = size;
    for (size_t i = 0; i < size; i++) token[i] = b->byte[(unsigned char)word[i]];
    for (;;) {
        size_t rank = b->parts.merges, at = 0;
        for (size_t i = 0; i + 1 < n; i++)
            for (size_t m = 0; m < rank; m++)
                if (b->parts.merge[m].left == token[i] && b->parts.merge[m].right == token[i + 1]) {
                    rank = m;
                    at = i;
                }
        if (rank == b->parts.merges) return n;
        token[at] = b->parts.merge[rank].to;
        memmove(token + at + 1, token + at + 2, (n - at - 2) * sizeof *token);
        n--;
    }
}

static void merges_follow_their_ranks(void **state) {
    (void)state;
    struct weft_bpe *b = train(sample, strlen(sample), 330, false);
    uint64_t seed = 9;
    for (size_t i = 0; i < 600; i++) { // one word each: letters only
        char word[300];
        uint16_t want[300], got[300];
        const size_t size = 1 + unit_random(&seed) % (i % 10 == 0 ? 300 : 40);
        for (size_t k = 0; k < size; k++) word[k] = "thewasimbo"[unit_random(&seed) % 10];
        const size_t n = encode_plainly(b, word, size, want);
        size_t m = 0;
        assert_int_equal(weft_bpe_encode(unit_ctx, b, word, size, false, got, &m), WEFT_OK);
        assert_int_equal(n, m);
        assert_memory_equal(want, got, n * sizeof *want);
    }
    weft_bpe_free(b);
}

/* Random bytes, in a text so long that the cache of words is hit, and missed. */
static void any_bytes_come_back(void **state) {
    (void)state;
    enum { SIZE = 40000 };
    static char text[SIZE], back[SIZE];
    static uint16_t token[SIZE];
    struct weft_bpe *b = train(sample, strlen(sample), 400, true);
    uint64_t seed = 2;
    for (int kind = 0; kind < 3; kind++) {
        for (size_t i = 0; i < SIZE; i++)
            text[i] = kind == 0   ? (char)unit_random(&seed)
                      : kind == 1 ? sample[(i + i / 777) % (sizeof sample - 1)]
                                  : " aetz\xc3\xa9"[unit_random(&seed) % 7];
        size_t n = 0, size = 0;
        assert_int_equal(weft_bpe_encode(unit_ctx, b, text, SIZE, true, token, &n), WEFT_OK);
        for (size_t i = 0; i < n; i++) {
            size_t length;
            const char *piece = weft_bpe_piece(b, token[i], &length);
            assert_true(length > 0 && size + length <= SIZE);
            memcpy(back + size, piece, length);
            size += length;
        }
        assert_int_equal(size, SIZE);
        assert_memory_equal(text, back, SIZE);
        if (kind == 1) assert_true(n < SIZE * 8 / 10);
    }
    weft_bpe_free(b);
}

static void special_tokens(void **state) {
    (void)state;
    struct weft_bpe *b = train("the the the", 11, 300, false);
    const uint16_t end = (uint16_t)(b->parts.size - 1);
    uint16_t token[64];
    size_t n = 0;
    static const char text[] = "a<|endoftext|><|endoftext|>b<|endoftex";
    assert_int_equal(weft_bpe_special(b, "<|endoftext|>"), end);
    assert_int_equal(weft_bpe_special(b, "<|end"), -1);
    assert_int_equal(weft_bpe_encode(unit_ctx, b, text, strlen(text), true, token, &n), WEFT_OK);
    assert_int_equal(n, 4 + strlen("<|endoftex"));
    assert_true(token[1] == end && token[2] == end && token[3] == b->byte['b']);
    assert_int_equal(weft_bpe_encode(unit_ctx, b, text, strlen(text), false, token, &n), WEFT_OK);
    assert_int_equal(n, strlen(text));
    weft_bpe_free(b);
}

/* ---- training ---- */

/* Pairs counted anew for each merge. The text has words of letters and blanks between them. */
static void training_counts_pairs(void **state) {
    (void)state;
    enum { WORDS = 60, LENGTH = 12 };
    uint64_t seed = 4;
    for (int round = 0; round < 4; round++) {
        static uint16_t word[WORDS][LENGTH];
        size_t length[WORDS], size = 0;
        char text[WORDS * (LENGTH + 1)];
        uint16_t id[256];
        for (unsigned c = 0, n = 0; c < 324; c++)
            if (weft_char_byte(c) >= 0) id[weft_char_byte(c)] = (uint16_t)n++;
        for (size_t w = 0; w < WORDS; w++) { // "\nabc": a word, and the break one of its own
            length[w] = 2 + unit_random(&seed) % (LENGTH - 2);
            text[size++] = '\n';
            for (size_t k = 0; k < length[w]; k++) {
                text[size] = "abcd"[unit_random(&seed) % (2 + (unsigned)round % 3)];
                word[w][k] = id[(unsigned char)text[size++]];
            }
        }
        struct weft_bpe *b = train(text, size, 257 + 40, round % 2);
        assert_true(b->parts.merges > 20);
        for (size_t m = 0; m < b->parts.merges; m++) {
            const struct weft_bpe_merge *merge = &b->parts.merge[m];
            size_t best = 0;
            uint32_t pair = UINT32_MAX;
            for (uint32_t p = 0; p < 300 * 300; p++) {
                size_t count = 0;
                for (size_t w = 0; w < WORDS; w++)
                    for (size_t k = 0; k + 1 < length[w]; k++)
                        count += word[w][k] == p / 300 && word[w][k + 1] == p % 300;
                if (count > best) {
                    best = count;
                    pair = p;
                }
            }
            assert_int_equal(merge->left, pair / 300);
            assert_int_equal(merge->right, pair % 300);
            for (size_t w = 0; w < WORDS; w++)
                for (size_t k = 0; k + 1 < length[w]; k++) {
                    if (word[w][k] != merge->left || word[w][k + 1] != merge->right) continue;
                    word[w][k] = merge->to;
                    memmove(&word[w][k + 1], &word[w][k + 2],
                            (length[w] - k - 2) * sizeof(uint16_t));
                    length[w]--;
                }
            if (m == 8) break; // the plain count is slow
        }
        weft_bpe_free(b);
    }
}

static void training_ends(void **state) {
    (void)state;
    struct weft_bpe *b = train("", 0, 1000, true);
    assert_int_equal(b->parts.merges, 0);
    assert_int_equal(b->parts.size, 257);
    weft_bpe_free(b);
    b = train("abab", 4, 60000, true); // ab, abab
    assert_int_equal(b->parts.merges, 2);
    weft_bpe_free(b);
    const struct weft_bpe_training few = {
        .path = "t", .text = "ab ab", .size = 5, .vocab = 999, .min_count = 3};
    assert_int_equal(weft_bpe_train(unit_ctx, &few, &b), WEFT_OK);
    assert_int_equal(b->parts.merges, 0);
    weft_bpe_free(b);
    const struct weft_bpe_training small = {.path = "t", .text = "a", .size = 1, .vocab = 256};
    assert_int_equal(weft_bpe_train(unit_ctx, &small, &b), WEFT_ERR_ARG);
    unit_says("from 257 to 65536 tokens, not 256");
}

/* ---- files ---- */

static void tokenizers_survive_files(void **state) {
    (void)state;
    struct weft_bpe *b = train(sample, strlen(sample), 320, true);
    struct weft_tokenizer t, read;
    assert_int_equal(weft_tokenizer_of_bpe(unit_ctx, "t", b, 0, &t), WEFT_OK);
    assert_int_equal(weft_make_folder(unit_ctx, "tok"), WEFT_OK);
    assert_int_equal(weft_tokenizer_save(unit_ctx, "tok", &t), WEFT_OK);
    assert_int_equal(weft_tokenizer_open(unit_ctx, "tok", 0, &read), WEFT_OK);
    assert_true(weft_tokenizer_same(&t, &read));
    weft_tokenizer_free(&read);
    /* The checksum is the model's: Hugging Face's reader refuses members of the document that it does
     * not know. */
    size_t size;
    char *const text = unit_get("tok/tokenizer.json", &size);
    assert_non_null(strstr(text, "\n    \"weft_xxh64\": "));
    strstr(text, "\"1.0\"")[1] = '2';
    unit_put("tok/tokenizer.json", text, size);
    assert_int_equal(weft_tokenizer_open(unit_ctx, "tok", 0, &read), WEFT_ERR_FORMAT);
    unit_says("tok/tokenizer.json: its checksum is wrong");
    free(text);
    assert_int_equal(unlink("tok/tokenizer.json"), 0);
    assert_int_equal(weft_tokenizer_open(unit_ctx, "tok", 0, &read), WEFT_OK);
    assert_true(weft_tokenizer_same(&t, &read));
    weft_tokenizer_free(&read);
    assert_int_equal(weft_tokenizer_open(unit_ctx, "tok", 384, &read), WEFT_OK);
    assert_int_equal(read.vocab, 384);
    weft_tokenizer_free(&read);
    assert_int_equal(weft_tokenizer_open(unit_ctx, "tok", 300, &read), WEFT_ERR_ARG);
    assert_int_equal(rename("tok/vocab.json", "tok/encoder.json"), 0);
    assert_int_equal(rename("tok/merges.txt", "tok/vocab.bpe"), 0);
    assert_int_equal(weft_tokenizer_open(unit_ctx, "tok", 0, &read), WEFT_OK);
    assert_true(weft_tokenizer_same(&t, &read));
    weft_tokenizer_free(&read);
    assert_int_equal(unlink("tok/vocab.bpe"), 0);
    assert_int_equal(weft_tokenizer_open(unit_ctx, "tok", 0, &read), WEFT_ERR_IO);
    unit_says("neither tokenizer.json nor vocab.json");
    weft_tokenizer_free(&t);
}

/* Every truncation is refused; flipped bits are refused or make another tokenizer. */
static void damaged_files(void **state) {
    (void)state;
    struct weft_bpe *b = train("the cat the cat", 15, 262, true);
    struct weft_json j[2] = {{0}, {0}};
    size_t size;
    char *merges = weft_bpe_write_merges(b, &size);
    weft_bpe_write(b, &j[0]);
    weft_json_end(&j[0]);
    weft_bpe_write_vocab(b, &j[1]);
    assert_true(merges && !j[0].failed && !j[1].failed);
    unit_put("merges", merges, size);
    uint64_t seed = 7;
    for (int file = 0; file < 2; file++)
        for (size_t i = 0; i < 200; i++) {
            struct weft_tokenizer t = {0};
            struct weft_bpe *bpe = NULL;
            const size_t n = i % 2 ? j[file].size : unit_random(&seed) % j[file].size;
            const size_t at = unit_random(&seed) % j[file].size;
            const char old = j[file].data[at];
            if (i % 2) j[file].data[at] = (char)(old ^ 1 << unit_random(&seed) % 8);
            unit_put("bad.json", j[file].data, n);
            j[file].data[at] = old;
            if (file == 0) {
                const bool good = weft_tokenizer_load(unit_ctx, "bad.json", &t) == WEFT_OK;
                assert_true(i % 2 || !good);
                if (good) weft_tokenizer_free(&t);
            } else {
                const bool good = weft_bpe_load(unit_ctx, "bad.json", "merges", &bpe) == WEFT_OK;
                assert_true(i % 2 || !good);
                if (good) weft_bpe_free(bpe);
            }
        }
    free(merges);
    weft_json_free(&j[0]);
    weft_json_free(&j[1]);
    weft_bpe_free(b);
}

/* vocab.json with the bytes, and more at its end. */
static void put_vocab(const char *more) {
    struct weft_bpe *b = train("", 0, 257, true);
    struct weft_json j = {0};
    weft_bpe_write_vocab(b, &j);
    assert_int_equal(j.data[j.size - 1], '}');
    FILE *file = fopen("vocab", "wb");
    assert_non_null(file);
    fprintf(file, "%.*s%s}", (int)j.size - 1, j.data, more);
    fclose(file);
    weft_json_free(&j);
    weft_bpe_free(b);
}

static void hostile_files(void **state) {
    (void)state;
    static const struct {
        const char *vocab, *merges, *message;
    } cases[] = {
        {"", "a", "merge 1 is 'a', but must be two tokens"},
        {"", "a b c", "must be two tokens"},
        {"", "a b", "what they make is not in the vocabulary"},
        {",\"ab\":300", "a b\nb a\n", "merge 2, 'b' and 'a': what they make"},
        {",\"ab\":300", "a \n", "merge 1 is not two tokens"},
        {",\"ab\":65536", "a b", "is not a number from 0 to 65535"},
        {",\"ab\":-1", "a b", "is not a number"},
        {",\"ab\":\"x\"", "a b", "is not a number"},
        {",\"ab\":0", "a b", "have one id: 0"},
        {",\"a b\":300", "a b", "stands for no byte"},
        {",\"\xe4\xb8\xad\":300", "a b", "stands for no byte"},
        {",\"ab\":300,\"a\":64", "a b", "duplicate"},
        {",\"ab\":300", "a\xe4\xb8\xad b", "not two tokens of characters"},
        {",\"ab\":300", "\xff b", "not two tokens of characters"},
    };
    struct weft_bpe *b;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_vocab(cases[i].vocab);
        unit_put("merges", cases[i].merges, strlen(cases[i].merges));
        assert_int_equal(weft_bpe_load(unit_ctx, "vocab", "merges", &b), WEFT_ERR_FORMAT);
        unit_says(cases[i].message);
    }
    put_vocab(",\"ab\":300");
    unit_put("merges", "#version: 9\r\na b\r\n\r\n", 20);
    assert_int_equal(weft_bpe_load(unit_ctx, "vocab", "merges", &b), WEFT_OK);
    assert_int_equal(b->parts.merges, 1);
    weft_bpe_free(b);
    unit_put("vocab", "{\"a\":0}", 7);
    assert_int_equal(weft_bpe_load(unit_ctx, "vocab", "merges", &b), WEFT_ERR_FORMAT);
    unit_put("merges", "", 0);
    assert_int_equal(weft_bpe_load(unit_ctx, "vocab", "merges", &b), WEFT_ERR_FORMAT);
    unit_says("has no token: this is no byte-level vocabulary");
    char *deep = malloc(1 << 20); // nested too deeply, and too many values
    assert_non_null(deep);
    memset(deep, '[', 1 << 20);
    unit_put("deep", deep, 1 << 20);
    assert_int_equal(weft_bpe_load(unit_ctx, "deep", "merges", &b), WEFT_ERR_FORMAT);
    unit_says("deep: has more than the 1048576 JSON values");
    unit_put("deep", deep, 100000);
    assert_int_equal(weft_bpe_load(unit_ctx, "deep", "merges", &b), WEFT_ERR_FORMAT);
    free(deep);
}

static void what_weft_does_not_do_is_refused(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"{\"model\":{\"type\":\"BPE\",\"ignore_merges\":true}}", "ignore_merges"},
        {"{\"model\":{\"type\":\"BPE\",\"byte_fallback\":true}}", "byte_fallback"},
        {"{\"model\":{\"type\":\"BPE\",\"dropout\":0.1}}", "dropout"},
        {"{\"model\":{\"type\":\"BPE\",\"end_of_word_suffix\":\"</w>\"}}", "end_of_word_suffix"},
        {"{\"normalizer\":{\"type\":\"NFC\"},\"model\":{\"type\":\"BPE\"}}", "normalizer"},
        {"{\"model\":{\"type\":\"BPE\"}}", "pre-tokenizer"},
        {"{\"pre_tokenizer\":{\"type\":\"Whitespace\"},\"model\":{\"type\":\"BPE\"}}",
         "pre-tokenizer"},
        {"{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true},\"model\":{"
         "\"type\":\"BPE\"}}",
         "pre-tokenizer"},
        {"{\"pre_tokenizer\":{\"type\":\"ByteLevel\"},\"post_processor\":{\"type\":"
         "\"TemplateProcessing\"},"
         "\"model\":{\"type\":\"BPE\"}}",
         "post-processor"},
        {"{\"pre_tokenizer\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":[]}}",
         "no vocabulary"},
        {"{\"pre_tokenizer\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":{}}}",
         "no merges"},
        {"{\"pre_tokenizer\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":{},"
         "\"merges\":[]}}",
         "no token"},
        {"{\"pre_tokenizer\":{\"type\":\"ByteLevel\"},\"added_tokens\":[{\"id\":1,\"content\":"
         "\"x\","
         "\"lstrip\":true}],\"model\":{\"type\":\"BPE\",\"vocab\":{}}}",
         "lstrip"},
        {"{\"pre_tokenizer\":{\"type\":\"ByteLevel\"},\"added_tokens\":[{\"id\":1}],\"model\":{"
         "\"type\":\"BPE\","
         "\"vocab\":{}}}",
         "no content"},
        {"{\"model\":{\"type\":\"Unigram\"}}", "type is unknown"},
    };
    struct weft_tokenizer t;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unit_put("t.json", cases[i][0], strlen(cases[i][0]));
        assert_int_equal(weft_tokenizer_load(unit_ctx, "t.json", &t), WEFT_ERR_FORMAT);
        unit_says(cases[i][1]);
    }
}

static void characters_for_bytes(void **state) {
    (void)state;
    size_t seen = 0;
    for (int byte = 0; byte < 256; byte++)
        assert_int_equal(weft_char_byte(weft_byte_char((unsigned)byte)), byte);
    for (uint32_t code = 0; code < 0x3000; code++) seen += weft_char_byte(code) >= 0;
    assert_int_equal(seen, 256);
    assert_int_equal(weft_byte_char(' '), 0x120);
    assert_int_equal(weft_byte_char('\n'), 0x10a);
    assert_int_equal(weft_byte_char(0xad), 0x143);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_for_bytes),
        cmocka_unit_test(words_end_where_the_pattern_says),
        cmocka_unit_test(short_cut),
        cmocka_unit_test(merges_follow_their_ranks),
        cmocka_unit_test(any_bytes_come_back),
        cmocka_unit_test(special_tokens),
        cmocka_unit_test(training_counts_pairs),
        cmocka_unit_test(training_ends),
        cmocka_unit_test(tokenizers_survive_files),
        cmocka_unit_test(damaged_files),
        cmocka_unit_test(hostile_files),
        cmocka_unit_test(what_weft_does_not_do_is_refused),
    };
    return cmocka_run_group_tests(tests, unit_start, unit_stop);
}
