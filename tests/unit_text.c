/* Texts: tokenizers, windows, order of samples; what is wrong is named with its place. */
#include "tests/support/unit.h"
#include "train/data.h"
#include "train/shuffle.h"
#include "train/utf8.h"

static struct weft_data *open_text(const char *text, size_t size, struct weft_data_options o,
                                   enum weft_status want) {
    struct weft_data *data = NULL;
    unit_put("t.txt", text, size);
    o.path = "t.txt";
    assert_int_equal(weft_data_open(unit_ctx, WEFT_DATA_TOKENS, &o, &data), want);
    return data;
}

static void shuffling_is_a_permutation(void **state) {
    (void)state;
    for (uint64_t n = 1; n < 300; n += n < 20 ? 1 : 37) {
        char seen[300] = {0};
        for (uint64_t i = 0; i < n; i++) {
            const uint64_t to = weft_shuffle(7, n, i, n);
            assert_true(to < n && !seen[to]);
            seen[to] = 1;
        }
    }
    assert_true(weft_shuffle(1, 2, 5, UINT64_MAX) < UINT64_MAX);
    // neighbours part, epochs and seeds differ: about 1 of 1000 stays where it was
    size_t same_epoch = 0, same_seed = 0, fixed = 0, neighbours = 0;
    for (uint64_t i = 0; i < 1000; i++) {
        const uint64_t to = weft_shuffle(1, 1, i, 1000);
        fixed += to == i;
        same_epoch += to == weft_shuffle(1, 2, i, 1000);
        same_seed += to == weft_shuffle(2, 1, i, 1000);
        neighbours += to + 1 == weft_shuffle(1, 1, (i + 1) % 1000, 1000);
    }
    assert_true(fixed < 10 && same_epoch < 10 && same_seed < 10 && neighbours < 10);
}

static void utf8_is_strict(void **state) {
    (void)state;
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc3",
                                      "\xe0\x80\x80",
                                      "\xed\xa0\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf0\x80\x80\x80",
                                      "\xff",
                                      "\xe2\x82"};
    uint32_t code;
    char buf[4];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(weft_utf8_decode(bad[i], strlen(bad[i]), &code), 0);
    for (uint32_t c = 0; c < 0x110000; c += c < 0x3000 ? 1 : 97) {
        if (c >= 0xd800 && c < 0xe000) continue;
        const size_t n = weft_utf8_encode(c, buf);
        assert_int_equal(weft_utf8_decode(buf, n, &code), n);
        assert_int_equal(code, c);
    }
}

static void the_tail_is_for_validation(void **state) {
    (void)state;
    char text[1000];
    for (size_t i = 0; i < sizeof text; i++) text[i] = (char)(i % 251);
    struct weft_data *data =
        open_text(text, sizeof text,
                  (struct weft_data_options){.seq = 16, .val_fraction = 0.1, .seed = 3}, WEFT_OK);
    assert_int_equal(data->tokens[WEFT_SPLIT_TRAIN], 900);
    assert_int_equal(data->tokens[WEFT_SPLIT_VAL], 100);
    assert_int_equal(data->n[WEFT_SPLIT_VAL], 6); // 99 / 16
    assert_int_equal(data->n[WEFT_SPLIT_TRAIN], 55);
    assert_int_equal(data->vocab, 256);
    int32_t tokens[2][16], targets[2][16];
    const struct weft_samples out = {.tokens = tokens[0], .targets = targets[0]};
    // validation: in order, fixed, ends
    assert_int_equal(weft_data_batch(data, WEFT_SPLIT_VAL, 5, 2, &out), 1);
    assert_int_equal(tokens[0][0], (unsigned char)text[900 + 80]);
    assert_int_equal(weft_data_batch(data, WEFT_SPLIT_VAL, 6, 2, &out), 0);
    weft_data_free(data);
}

static void samples_depend_on_their_number_alone(void **state) {
    (void)state;
    char text[5000];
    uint64_t seed = 9;
    for (size_t i = 0; i < sizeof text; i++) text[i] = (char)(unit_random(&seed) % 256);
    const struct weft_data_options o = {.seq = 8, .val_fraction = 0, .seed = 3};
    struct weft_data *a = open_text(text, sizeof text, o, WEFT_OK);
    struct weft_data *b = open_text(text, sizeof text, o, WEFT_OK);
    int32_t big[20 * 8], small[8], targets[20 * 8], t2[8];
    assert_int_equal(a->n[WEFT_SPLIT_VAL], 0);
    for (uint64_t first = 0; first < 2000; first += 331) {
        weft_data_batch(a, WEFT_SPLIT_TRAIN, first, 20,
                        &(struct weft_samples){.tokens = big, .targets = targets});
        for (size_t i = 20; i-- > 0;) {
            weft_data_batch(b, WEFT_SPLIT_TRAIN, first + i, 1,
                            &(struct weft_samples){.tokens = small, .targets = t2});
            assert_memory_equal(big + 8 * i, small, sizeof small);
            assert_memory_equal(targets + 8 * i, t2, sizeof t2);
        }
    }
    b->seed = 4; // another seed, another order
    weft_data_batch(b, WEFT_SPLIT_TRAIN, 0, 1,
                    &(struct weft_samples){.tokens = small, .targets = t2});
    weft_data_batch(a, WEFT_SPLIT_TRAIN, 0, 1,
                    &(struct weft_samples){.tokens = big, .targets = targets});
    assert_memory_not_equal(big, small, sizeof small);
    weft_data_free(a);
    weft_data_free(b);
}

static void smallest_texts(void **state) {
    (void)state;
    for (size_t n = 5; n < 30; n++) {
        struct weft_data *data = open_text("abcdefghijklmnopqrstuvwxyz0123", n,
                                           (struct weft_data_options){.seq = 4}, WEFT_OK);
        int32_t tokens[4], targets[4];
        for (uint64_t i = 0; i < 40; i++) // out-of-bounds reads are ASan's to find
            weft_data_batch(data, WEFT_SPLIT_TRAIN, i, 1,
                            &(struct weft_samples){.tokens = tokens, .targets = targets});
        weft_data_free(data);
    }
    open_text("abcd", 4, (struct weft_data_options){.seq = 4}, WEFT_ERR_ARG);
    unit_says("t.txt: the training part has 4 tokens, too few for samples of 4");
    open_text("abcdefghij", 10, (struct weft_data_options){.seq = 4, .val_fraction = 0.2},
              WEFT_ERR_ARG);
    unit_says("the validation part has 2 tokens");
    open_text("", 0, (struct weft_data_options){.seq = 4}, WEFT_ERR_FORMAT);
    unit_says("t.txt: is empty");
    struct weft_data *data;
    const struct weft_data_options o = {.path = "no/such.txt", .seq = 4};
    assert_int_equal(weft_data_open(unit_ctx, WEFT_DATA_TOKENS, &o, &data), WEFT_ERR_IO);
    unit_says("no/such.txt: cannot be opened: No such file");
}

static void characters(void **state) {
    (void)state;
    const char *text = "na\xc3\xafve caf\xc3\xa9 \xf0\x9f\x8d\xb5\n"; // naïve café 🍵
    const struct weft_data_options o = {.seq = 2, .tokens = "char"};
    struct weft_data *data = open_text(text, strlen(text), o, WEFT_OK);
    assert_int_equal(data->tokens[WEFT_SPLIT_TRAIN], 13);
    assert_int_equal(data->vocab, 11); // \n space a c e f n v é ï 🍵
    char back[64] = {0}, buf[4];
    for (uint64_t i = 0; i < 13; i++) {
        size_t n;
        const char *piece = weft_tokenizer_piece(data->tokenizer, data->encoded[i], buf, &n);
        strncat(back, piece, n);
    }
    assert_string_equal(back, text);
    uint16_t *tokens;
    size_t n;
    weft_tokenizer_piece(data->tokenizer, 11, buf, &n);
    assert_int_equal(n, 0);
    assert_int_equal(
        weft_tokenizer_encode(unit_ctx, data->tokenizer, "prompt", "cafx", 4, &tokens, &n),
        WEFT_ERR_ARG);
    unit_says("prompt: character U+0078 at byte 3 is not among the 11");
    assert_int_equal(
        weft_tokenizer_encode(unit_ctx, data->tokenizer, "prompt", "\xc3", 1, &tokens, &n),
        WEFT_ERR_FORMAT);
    weft_data_free(data);
    struct weft_data_options with = o;
    with.vocab = 10;
    open_text(text, strlen(text), with, WEFT_ERR_ARG);
    unit_says("has 11 distinct characters, more than --vocab 10");
    with.vocab = 64;
    data = open_text(text, strlen(text), with, WEFT_OK);
    assert_int_equal(data->vocab, 64);
    assert_int_equal(data->tokenizer->size, 11);
    weft_data_free(data);
    open_text("abc\xff def", 8, o, WEFT_ERR_FORMAT);
    unit_says("t.txt: byte 3 is not valid UTF-8; use --tokenizer byte");
    open_text("abc\0def", 7, o, WEFT_ERR_FORMAT);
    unit_says("t.txt: byte 3 is zero");
}

static void byte_vocabularies(void **state) {
    (void)state;
    struct weft_data_options o = {.seq = 2, .vocab = 128};
    weft_data_free(open_text("plain ascii", 11, o, WEFT_OK));
    open_text("caf\xc3\xa9!", 6, o, WEFT_ERR_ARG);
    unit_says("t.txt: byte 3 is 195, not below --vocab 128");
    o.vocab = 512;
    struct weft_data *data = open_text("caf\xc3\xa9!", 6, o, WEFT_OK);
    assert_int_equal(data->vocab, 512);
    assert_int_equal(data->tokenizer->size, 256);
    weft_data_free(data);
}

static void tokenizers_are_kept_in_files(void **state) {
    (void)state;
    const char *text = "b\"\\\n\t\x7f\xc3\xa9\xf0\x9f\x8d\xb5";
    struct weft_tokenizer made[2], read;
    assert_int_equal(weft_tokenizer_bytes(unit_ctx, 300, &made[0]), WEFT_OK);
    assert_int_equal(weft_tokenizer_chars(unit_ctx, "x", text, strlen(text), 20, &made[1]),
                     WEFT_OK);
    for (int i = 0; i < 2; i++) {
        struct weft_json j = {0};
        weft_tokenizer_write(&made[i], &j);
        unit_put("tokenizer.json", j.data, j.size);
        assert_int_equal(weft_tokenizer_load(unit_ctx, "tokenizer.json", &read), WEFT_OK);
        assert_int_equal(read.vocab, made[i].vocab);
        assert_int_equal(read.size, made[i].size);
        assert_int_equal(read.kind, i == 1 ? WEFT_TOKENS_CHAR : WEFT_TOKENS_BYTE);
        if (i == 1) {
            assert_memory_equal(read.code, made[i].code, made[i].size * sizeof *read.code);
            assert_memory_equal(read.ascii, made[i].ascii, sizeof read.ascii);
        }
        for (size_t n = 0; n + 1 < j.size; n++) { // every truncation is refused
            unit_put("cut.json", j.data, n);
            struct weft_tokenizer cut;
            assert_int_not_equal(weft_tokenizer_load(unit_ctx, "cut.json", &cut), WEFT_OK);
        }
        for (size_t bit = 0; bit < 8 * j.size; bit++) { // every bit flip is survived
            j.data[bit / 8] = (char)(j.data[bit / 8] ^ 1 << bit % 8);
            unit_put("cut.json", j.data, j.size);
            struct weft_tokenizer cut = {0};
            if (weft_tokenizer_load(unit_ctx, "cut.json", &cut) == WEFT_OK)
                weft_tokenizer_free(&cut);
            j.data[bit / 8] = (char)(j.data[bit / 8] ^ 1 << bit % 8);
        }
        weft_json_free(&j);
        weft_tokenizer_free(&read);
        weft_tokenizer_free(&made[i]);
    }
    static const char *const bad[] = {
        "{}",
        "[]",
        "{\"model\":{\"type\":\"BPE\",\"vocab_size\":5}}",
        "{\"model\":{\"type\":\"WeftByte\",\"vocab_size\":0}}",
        "{\"model\":{\"type\":\"WeftByte\",\"vocab_size\":65537}}",
        "{\"model\":{\"type\":\"WeftChar\",\"vocab_size\":5}}",
        "{\"model\":{\"type\":\"WeftChar\",\"vocab_size\":5,\"vocab\":{}}}",
        "{\"model\":{\"type\":\"WeftChar\",\"vocab_size\":5,\"vocab\":{\"ab\":0}}}",
        "{\"model\":{\"type\":\"WeftChar\",\"vocab_size\":5,\"vocab\":{\"\":0}}}",
        "{\"model\":{\"type\":\"WeftChar\",\"vocab_size\":5,\"vocab\":{\"a\":1}}}",
        "{\"model\":{\"type\":\"WeftChar\",\"vocab_size\":5,\"vocab\":{\"a\":0,\"b\":0}}}",
        "{\"model\":{\"type\":\"WeftChar\",\"vocab_size\":5,\"vocab\":{\"b\":0,\"a\":1}}}",
        "{\"model\":{\"type\":\"WeftChar\",\"vocab_size\":1,\"vocab\":{\"a\":0,\"b\":1}}}",
        "{\"model\":{\"type\":\"WeftChar\",\"vocab_size\":5,\"vocab\":{\"a\":-1}}}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        unit_put("bad.json", bad[i], strlen(bad[i]));
        assert_int_equal(weft_tokenizer_load(unit_ctx, "bad.json", &read), WEFT_ERR_FORMAT);
        unit_says("bad.json: ");
    }
    assert_int_equal(weft_tokenizer_load(unit_ctx, "none.json", &read), WEFT_ERR_IO);
    unit_says("none.json");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shuffling_is_a_permutation),
        cmocka_unit_test(utf8_is_strict),
        cmocka_unit_test(the_tail_is_for_validation),
        cmocka_unit_test(samples_depend_on_their_number_alone),
        cmocka_unit_test(smallest_texts),
        cmocka_unit_test(characters),
        cmocka_unit_test(byte_vocabularies),
        cmocka_unit_test(tokenizers_are_kept_in_files),
    };
    return cmocka_run_group_tests(tests, unit_start, unit_stop);
}
