/* MNIST folders: plain and gz, either spelling; headers that lie; order and scaling of samples. */
#include <zlib.h>
#include <math.h>
#include "tests/support/unit.h"
#include "train/data.h"

#define N 7 /* images of 2 x 3 pixels */

static void put_idx(const char *path, bool gz, uint32_t magic, uint32_t n, uint32_t extra,
                    size_t cut) {
    unsigned char file[256] = {0};
    const uint32_t head[4] = {magic, n, 2, 3};
    const size_t words = magic != 0x801 ? 4 : 2, each = magic != 0x801 ? 6 : 1;
    for (size_t i = 0; i < 4 * words; i++)
        file[i] = (unsigned char)(head[i / 4] >> (24 - 8 * (i % 4)));
    for (size_t i = 0; i < N * each; i++)
        file[4 * words + i] = (unsigned char)(magic != 0x801 ? 40 * (i / 6) + i % 6 : i % 3);
    const size_t size = 4 * words + N * each + extra - cut;
    if (gz) {
        gzFile out = gzopen(path, "wb");
        assert_int_equal(gzwrite(out, file, (unsigned)size), size);
        gzclose(out);
    } else {
        unit_put(path, file, size);
    }
}

static void put_all(bool gz, char c) {
    char path[64];
    const char *end = gz ? ".gz" : "";
    mkdir("m", 0777);
    snprintf(path, sizeof path, "m/train-images%cidx3-ubyte%s", c, end);
    put_idx(path, gz, 0x803, N, 0, 0);
    snprintf(path, sizeof path, "m/train-labels%cidx1-ubyte%s", c, end);
    put_idx(path, gz, 0x801, N, 0, 0);
    snprintf(path, sizeof path, "m/t10k-images%cidx3-ubyte%s", c, end);
    put_idx(path, gz, 0x803, N, 0, 0);
    snprintf(path, sizeof path, "m/t10k-labels%cidx1-ubyte%s", c, end);
    put_idx(path, gz, 0x801, N, 0, 0);
}

static struct weft_data *open_mnist(struct weft_data_options o, enum weft_status want) {
    struct weft_data *data = NULL;
    o.path = "m";
    assert_int_equal(weft_data_open(unit_ctx, WEFT_DATA_FEATURES, &o, &data), want);
    return data;
}

/* Within two roundings of a number of size 1. */
static bool is_near(float x, double want) { return fabs((double)x - want) <= 2.4e-7; }

static void plain_and_packed(void **state) {
    (void)state;
    for (int variant = 0; variant < 4; variant++) {
        assert_int_equal(system("rm -rf m"), 0);
        put_all(variant & 1, variant & 2 ? '.' : '-');
        struct weft_data *data =
            open_mnist((struct weft_data_options){.unit_pixels = true}, WEFT_OK);
        assert_true(data->n[0] == N && data->n[1] == N && data->features == 6);
        assert_int_equal(data->classes, 3);
        float x[N * 6];
        int32_t y[N];
        const struct weft_samples out = {.x = x, .targets = y};
        assert_int_equal(weft_data_batch(data, WEFT_SPLIT_VAL, 2, N, &out), N - 2);
        for (int i = 0; i < N - 2; i++) { // in order
            assert_int_equal(y[i], (i + 2) % 3);
            for (int p = 0; p < 6; p++)
                assert_true(is_near(x[6 * i + p], (40 * (i + 2) + p) / 255.0));
        }
        uint32_t orders = 0;
        for (uint64_t epoch = 0; epoch < 9; epoch++) { // each once an epoch, label with its image
            assert_int_equal(weft_data_batch(data, WEFT_SPLIT_TRAIN, epoch * N, N, &out), N);
            uint32_t seen = 0;
            for (int i = 0; i < N; i++) {
                const int image = (int)(x[6 * i] * 255 / 40 + 0.5f);
                assert_int_equal(y[i], image % 3);
                seen |= 1u << image;
            }
            assert_int_equal(seen, (1u << N) - 1);
            orders |= 1u << (int)(x[0] * 255 / 40 + 0.5f);
        }
        assert_true(__builtin_popcount(orders) > 2);
        weft_data_free(data);
    }
    struct weft_data *data = open_mnist((struct weft_data_options){0}, WEFT_OK);
    float x[6];
    int32_t y[1];
    const struct weft_samples out = {.x = x, .targets = y};
    assert_int_equal(weft_data_batch(data, WEFT_SPLIT_VAL, 0, 1, &out), 1);
    for (int p = 0; p < 6; p++) assert_true(is_near(x[p], (p / 255.0 - 0.1307) / 0.3081));
    weft_data_free(data);
}

static void bad_folders(void **state) {
    (void)state;
    assert_int_equal(system("rm -rf m"), 0);
    put_all(false, '-');
    for (size_t cut = 1; cut <= 16 + 6 * N; cut++) {
        put_idx("m/t10k-images-idx3-ubyte", false, 0x803, N, 0, cut);
        open_mnist((struct weft_data_options){0}, WEFT_ERR_FORMAT);
        unit_says("m/t10k-images-idx3-ubyte: ");
    }
    put_idx("m/t10k-images-idx3-ubyte", false, 0x803, N, 1, 0);
    open_mnist((struct weft_data_options){0}, WEFT_ERR_FORMAT);
    unit_says("the header says 7 items of 6 bytes, but 43 bytes follow");
    put_idx("m/t10k-images-idx3-ubyte", false, 0x803, 0xffffffff, 0, 0);
    open_mnist((struct weft_data_options){0}, WEFT_ERR_FORMAT);
    put_idx("m/t10k-images-idx3-ubyte", false, 0x804, N, 0, 0);
    open_mnist((struct weft_data_options){0}, WEFT_ERR_FORMAT);
    unit_says("starts with 0x00000804 instead of 0x00000803");
    put_idx("m/t10k-images-idx3-ubyte", false, 0x803, N - 1, 0, 6);
    open_mnist((struct weft_data_options){0}, WEFT_ERR_FORMAT);
    unit_says("t10k-images has 6 images, but t10k-labels has 7 labels");
    put_all(false, '-');
    open_mnist((struct weft_data_options){.regression = true}, WEFT_ERR_ARG);
    assert_int_equal(unlink("m/train-labels-idx1-ubyte"), 0);
    open_mnist((struct weft_data_options){0}, WEFT_ERR_IO);
    unit_says("m: has no train-labels-idx1-ubyte");
}

static void broken_gz(void **state) {
    (void)state;
    size_t n;
    assert_int_equal(system("rm -rf m"), 0);
    put_all(true, '-');
    char *good = unit_get("m/train-images-idx3-ubyte.gz", &n);
    for (size_t i = 0; i < n; i++) { // every truncation
        unit_put("m/train-images-idx3-ubyte.gz", good, i);
        open_mnist((struct weft_data_options){0}, WEFT_ERR_FORMAT);
        unit_says("m/train-images-idx3-ubyte.gz: ");
    }
    for (size_t bit = 0; bit < 8 * n; bit++) { // every flip is survived
        good[bit / 8] = (char)(good[bit / 8] ^ 1 << bit % 8);
        unit_put("m/train-images-idx3-ubyte.gz", good, n);
        struct weft_data *data = NULL;
        const struct weft_data_options o = {.path = "m"};
        if (weft_data_open(unit_ctx, WEFT_DATA_FEATURES, &o, &data) == WEFT_OK)
            weft_data_free(data);
        good[bit / 8] = (char)(good[bit / 8] ^ 1 << bit % 8);
    }
    free(good);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_and_packed),
        cmocka_unit_test(bad_folders),
        cmocka_unit_test(broken_gz),
    };
    return cmocka_run_group_tests(tests, unit_start, unit_stop);
}
