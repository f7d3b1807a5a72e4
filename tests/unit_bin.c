/* Token files: llm.c shards with their header, bare ones, folders; windows tile what is there. */
#include "tests/support/unit.h"
#include "train/data.h"

/* n tokens start, start+1, ..., with llm.c's header or without. */
static void put_tokens(const char *path, bool header, uint16_t start, size_t n) {
    unsigned char *file = calloc(1, 1024 + 2 * n);
    size_t at = 0;
    if (header) {
        const uint32_t head[3] = {20240520, 1, (uint32_t)n};
        memcpy(file, head, sizeof head);
        at = 1024;
    }
    for (size_t i = 0; i < n; i++) {
        const uint16_t token = (uint16_t)(start + i);
        memcpy(file + at + 2 * i, &token, 2);
    }
    unit_put(path, file, at + 2 * n);
    free(file);
}

static struct weft_data *open_bin(struct weft_data_options o, enum weft_status want) {
    struct weft_data *data = NULL;
    if (o.seq == 0) o.seq = 16;
    assert_int_equal(weft_data_open(unit_ctx, WEFT_DATA_TOKENS, &o, &data), want);
    return data;
}

/* Every epoch: windows start `seq` apart, each once, none leaves its run; epochs are shifted. */
static void windows_tile_the_tokens(void **state) {
    (void)state;
    put_tokens("all.bin", false, 0, 900);
    struct weft_data *data = open_bin((struct weft_data_options){.path = "all.bin"}, WEFT_OK);
    int32_t tokens[16], targets[16];
    const struct weft_samples out = {.tokens = tokens, .targets = targets};
    const uint64_t n = data->n[WEFT_SPLIT_TRAIN];
    uint32_t offsets = 0, first_windows = 0;
    assert_int_equal(n, 55);
    for (uint64_t epoch = 0; epoch < 60; epoch++) {
        bool seen[56] = {false};
        int32_t offset = -1;
        for (uint64_t i = 0; i < n; i++) {
            assert_int_equal(weft_data_batch(data, WEFT_SPLIT_TRAIN, epoch * n + i, 1, &out), 1);
            for (int32_t t = 0; t < 16; t++) {
                assert_int_equal(tokens[t], tokens[0] + t);
                assert_int_equal(targets[t], tokens[0] + t + 1);
            }
            if (offset < 0) offset = tokens[0] % 16;
            assert_int_equal(tokens[0] % 16, offset);
            assert_true(targets[15] < 900 && !seen[tokens[0] / 16]);
            seen[tokens[0] / 16] = true;
            if (i == 0) first_windows |= 1u << tokens[0] / 16 % 32;
        }
        offsets |= 1u << offset;
    }
    assert_true(__builtin_popcount(offsets) > 12);
    assert_true(__builtin_popcount(first_windows) > 16);
    weft_data_free(data);
}

static void shards_in_a_folder(void **state) {
    (void)state;
    assert_int_equal(mkdir("shards", 0777), 0);
    put_tokens("shards/x_train_000001.bin", true, 1000, 40);
    put_tokens("shards/x_train_000000.bin", true, 0, 70);
    put_tokens("shards/x_val_000000.bin", true, 500, 33);
    put_tokens("shards/x_test.bin", true, 0, 5);
    struct weft_data *data =
        open_bin((struct weft_data_options){.path = "shards", .val_fraction = 0.1}, WEFT_OK);
    assert_string_equal(data->format, "llm.c shards");
    assert_int_equal(data->tokens[WEFT_SPLIT_TRAIN], 110);
    assert_int_equal(data->tokens[WEFT_SPLIT_VAL], 33);
    assert_int_equal(data->n[WEFT_SPLIT_TRAIN], 3 + 1);
    assert_int_equal(data->n[WEFT_SPLIT_VAL], 2);
    assert_int_equal(data->vocab, 1040);
    int32_t tokens[2 * 16], targets[2 * 16];
    const struct weft_samples out = {.tokens = tokens, .targets = targets};
    bool second = false;
    for (uint64_t i = 0; i < 80; i++) { // no window crosses from one shard into another
        weft_data_batch(data, WEFT_SPLIT_TRAIN, i, 1, &out);
        assert_int_equal(targets[15], tokens[0] + 16);
        assert_true(targets[15] < 70 || (tokens[0] >= 1000 && targets[15] < 1040));
        second |= tokens[0] >= 1000;
    }
    assert_true(second);
    assert_int_equal(weft_data_batch(data, WEFT_SPLIT_VAL, 0, 2, &out), 2);
    assert_int_equal(tokens[0], 500);
    assert_int_equal(tokens[16], 516);
    weft_data_free(data);
    assert_int_equal(unlink("shards/x_val_000000.bin"), 0);
    open_bin((struct weft_data_options){.path = "shards", .val_fraction = 0.1}, WEFT_ERR_IO);
    unit_says("shards: has no .bin file with \"val\" in its name");
    data = open_bin((struct weft_data_options){.path = "shards"}, WEFT_OK);
    assert_int_equal(data->n[WEFT_SPLIT_VAL], 0);
    weft_data_free(data);
    assert_int_equal(mkdir("empty", 0777), 0);
    open_bin((struct weft_data_options){.path = "empty"}, WEFT_ERR_IO);
    unit_says("empty: has no .bin file with \"train\"");
}

static void one_file_keeps_its_tail(void **state) {
    (void)state;
    put_tokens("one.bin", true, 0, 1000);
    struct weft_data *data =
        open_bin((struct weft_data_options){.path = "one.bin", .val_fraction = 0.25, .vocab = 1000},
                 WEFT_OK);
    int32_t tokens[16], targets[16];
    assert_int_equal(data->tokens[WEFT_SPLIT_TRAIN], 750);
    weft_data_batch(data, WEFT_SPLIT_VAL, 0, 1,
                    &(struct weft_samples){.tokens = tokens, .targets = targets});
    assert_int_equal(tokens[0], 750);
    const uint64_t hash = data->hash;
    weft_data_free(data);
    put_tokens("one.bin", true, 1, 1000);
    data = open_bin((struct weft_data_options){.path = "one.bin"}, WEFT_OK);
    assert_true(data->hash != hash && data->vocab == 1001);
    weft_data_free(data);
}

static void bad_files(void **state) {
    (void)state;
    size_t n;
    put_tokens("good.bin", true, 0, 100);
    char *good = unit_get("good.bin", &n);
    for (size_t i = 1; i < n; i++) { // any truncation that still has the magic
        if (i < 4) continue;
        unit_put("bad.bin", good, i);
        open_bin((struct weft_data_options){.path = "bad.bin"}, WEFT_ERR_FORMAT);
        unit_says(i < 1024 ? "bad.bin: ends inside its header" : "the header says 100 tokens, but");
    }
    good[4] = 2;
    unit_put("bad.bin", good, n);
    open_bin((struct weft_data_options){.path = "bad.bin"}, WEFT_ERR_VERSION);
    unit_says("bad.bin: is version 2 of the format; weft reads version 1");
    const uint32_t llama[3] = {20240801, 7, 0};
    unit_put("bad.bin", llama, sizeof llama);
    open_bin((struct weft_data_options){.path = "bad.bin"}, WEFT_ERR_VERSION);
    unit_says("32-bit tokens");
    unit_put("bad.bin", "odd", 3);
    open_bin((struct weft_data_options){.path = "bad.bin"}, WEFT_ERR_FORMAT);
    unit_says("3 bytes are not a whole, positive number of 16-bit tokens");
    unit_put("bad.bin", "", 0);
    open_bin((struct weft_data_options){.path = "bad.bin"}, WEFT_ERR_FORMAT);
    free(good);
    open_bin((struct weft_data_options){.path = "good.bin", .vocab = 64}, WEFT_ERR_ARG);
    unit_says("good.bin: token 64 at position 64 is not below the vocabulary (64)");
    open_bin((struct weft_data_options){.path = "none.bin"}, WEFT_ERR_IO);
    unit_says("none.bin: cannot be opened");
    open_bin((struct weft_data_options){.path = "good.bin", .seq = 100}, WEFT_ERR_ARG);
    unit_says("good.bin: the training part has 100 tokens, too few for samples of 100");
}

/* What happens to a file while it is in use: nothing to one that was read; one that is too large
 * for that is watched. */
static void files_that_change(void **state) {
    (void)state;
    int32_t before[16], after[16], targets[16];
    put_tokens("live.bin", false, 0, 900);
    struct weft_data *data = open_bin((struct weft_data_options){.path = "live.bin"}, WEFT_OK);
    weft_data_batch(data, WEFT_SPLIT_TRAIN, 7, 1,
                    &(struct weft_samples){.tokens = before, .targets = targets});
    struct weft_file large;
    assert_int_equal(weft_file_load(unit_ctx, "live.bin", 1799, &large), WEFT_OK);
    assert_true(data->files[0].owned && !large.owned);
    assert_int_equal(weft_file_check(unit_ctx, &large), WEFT_OK);
    assert_int_equal(truncate("live.bin", 4), 0);
    weft_data_batch(data, WEFT_SPLIT_TRAIN, 7, 1,
                    &(struct weft_samples){.tokens = after, .targets = targets});
    assert_memory_equal(before, after, sizeof before);
    assert_int_equal(weft_data_check(unit_ctx, data), WEFT_OK);
    assert_int_equal(weft_file_check(unit_ctx, &large), WEFT_ERR_STATE);
    unit_says("live.bin: was changed while it is in use");
    assert_int_equal(truncate("live.bin", 1800), 0); // the size is right again, the time is not
    assert_int_equal(weft_file_check(unit_ctx, &large), WEFT_ERR_STATE);
    weft_file_close(&data->files[0]);
    data->files[0] = large; // and the data of a run looks after it
    assert_int_equal(weft_data_check(unit_ctx, data), WEFT_ERR_STATE);
    weft_data_free(data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_tile_the_tokens), cmocka_unit_test(shards_in_a_folder),
        cmocka_unit_test(one_file_keeps_its_tail), cmocka_unit_test(bad_files),
        cmocka_unit_test(files_that_change),
    };
    return cmocka_run_group_tests(tests, unit_start, unit_stop);
}
