/* Hashes of parameters and the first difference of two runs. */
#include "tests/support/unit.h"

#include "train/run_diff.h"
#include "train/safetensors.h"

static float weights[6] = {1, 2, 3, 4, 5, 6};
static float bias[2] = {0.5f, -0.5f};

static void make_run(const char *dir, const char *metrics, const char *stats) {
    char path[200];
    assert_int_equal(mkdir(dir, 0777), 0);
    snprintf(path, sizeof path, "%s/metrics.jsonl", dir);
    unit_put(path, metrics, strlen(metrics));
    snprintf(path, sizeof path, "%s/stats.jsonl", dir);
    unit_put(path, stats, strlen(stats));
    snprintf(path, sizeof path, "%s/checkpoints", dir);
    assert_int_equal(mkdir(path, 0777), 0);
}

static void make_checkpoint(const char *dir, int step, const char *second, size_t rows) {
    char path[200];
    snprintf(path, sizeof path, "%s/checkpoints/step-%06d", dir, step);
    assert_int_equal(mkdir(path, 0777), 0);
    snprintf(path, sizeof path, "%s/checkpoints/step-%06d/model.safetensors", dir, step);
    const struct weft_st_tensor tensors[] = {
        {.name = "w", .dtype = WEFT_ST_F32, .rank = 2, .shape = {rows, 6 / rows}, .data = weights},
        {.name = second, .dtype = WEFT_ST_F32, .rank = 1, .shape = {2}, .data = bias},
    };
    assert_int_equal(weft_st_write(unit_ctx, path, tensors, 2, NULL, 0), WEFT_OK);
}

static struct weft_run_comparison compare(const char *a, const char *b) {
    struct weft_run_comparison r;
    assert_int_equal(weft_run_compare(unit_ctx, a, b, &r), WEFT_OK);
    return r;
}

static const char metrics[] = "{\"step\":0,\"loss\":5,\"step_ms\":3}\n"
                              "{\"step\":1,\"loss\":4,\"step_ms\":3}\n"
                              "{\"step\":2,\"loss\":\"nan\",\"step_ms\":3}\n";
static const char stats[] =
    "{\"step\":1,\"layer\":0,\"tensor\":\"q\",\"kind\":\"std\",\"value\":0.5}\n";

static void same_runs(void **state) {
    (void)state;
    make_run("a", metrics, stats);
    make_checkpoint("a", 1, "b", 2);
    make_checkpoint("a", 2, "b", 2);
    /* other times, and a checkpoint the other run has not */
    make_run("b",
             "{\"step\":0,\"loss\":5,\"step_ms\":9}\n{\"step\":1,\"loss\":4,\"step_ms\":9}\n"
             "{\"step\":2,\"loss\":\"nan\",\"tokens_per_s\":9}\n",
             stats);
    make_checkpoint("b", 2, "b", 2);
    const struct weft_run_comparison r = compare("a", "b");
    assert_int_equal(r.differences, 0);
    assert_int_equal(r.steps, 3);
    assert_int_equal(r.checkpoints, 1);
}

static void earliest_first(void **state) {
    (void)state;
    make_run("c",
             "{\"step\":0,\"loss\":5}\n{\"step\":1,\"loss\":4}\n"
             "{\"step\":2,\"loss\":3}\n",
             "{\"step\":1,\"layer\":0,\"tensor\":\"q\",\"kind\":\"std\",\"value\":0.25}\n");
    weights[4] += 0.5f;
    make_checkpoint("c", 2, "b", 2);
    weights[4] -= 0.5f;
    const struct weft_run_comparison r = compare("a", "c");
    assert_int_equal(r.differences, 3);
    assert_string_equal(r.first[0].where, "statistics");
    assert_int_equal(r.first[0].step, 1);
    assert_string_equal(r.first[0].what, "std of q, layer 0, is 0.5 and 0.25");
    assert_int_equal(r.first[1].step, 2);
    assert_int_equal(r.first[2].step, 2);
    const int tensor = strcmp(r.first[1].where, "checkpoints") == 0 ? 1 : 2;
    assert_string_equal(r.first[tensor].what, "w: 1 of 6 values differ, by at most 0.5");
    assert_string_equal(r.first[3 - tensor].what, "loss is nan and 3");
}

static void missing_parts(void **state) {
    (void)state;
    make_run("short", "{\"step\":0,\"loss\":5}\n{\"step\":1,\"loss\":4}\n", stats);
    struct weft_run_comparison r = compare("a", "short");
    assert_int_equal(r.differences, 1);
    assert_int_equal(r.first[0].step, 2);
    assert_string_equal(r.first[0].what, "loss is there in the first run only");
    make_checkpoint("short", 1, "bb", 2);
    r = compare("short", "a");
    assert_string_equal(r.first[0].what, "bb is in the first run only");
    make_run("shape", metrics, "");
    make_checkpoint("shape", 1, "b", 3);
    r = compare("a", "shape");
    assert_int_equal(r.differences, 2);
    assert_string_equal(r.first[1].where[0] == 'c' ? r.first[1].what : r.first[0].what,
                        "w is F32 (2, 3) and F32 (3, 2)");
    make_run("nothing", "", "");
    struct weft_run_comparison none;
    assert_int_equal(weft_run_compare(unit_ctx, "a", "nothing", &none), WEFT_ERR_STATE);
    unit_says("nothing to compare");
    assert_int_equal(weft_run_compare(unit_ctx, "a", "no such run", &none), WEFT_ERR_IO);
}

static void hashes(void **state) {
    (void)state;
    struct weft_checkpoint_hash *list = NULL, *one = NULL;
    size_t n = 0, single = 0;
    assert_int_equal(weft_run_hash(unit_ctx, "a", &list, &n), WEFT_OK);
    assert_int_equal(n, 2);
    assert_int_equal(list[0].step, 1);
    assert_int_equal(list[0].tensors, 2);
    assert_string_equal(list[0].tensor[0].name, "w");
    assert_string_equal(list[0].tensor[0].shape, "(2, 3)");
    assert_true(list[0].total == list[1].total && list[0].total != 0);
    assert_int_equal(weft_run_hash(unit_ctx, "c/checkpoints/step-000002", &one, &single), WEFT_OK);
    assert_int_equal(single, 1);
    assert_true(one[0].total != list[0].total);
    assert_true(one[0].tensor[0].hash != list[0].tensor[0].hash);
    assert_true(one[0].tensor[1].hash == list[0].tensor[1].hash);
    weft_run_hash_free(list, n);
    weft_run_hash_free(one, single);
    assert_int_equal(weft_run_hash(unit_ctx, "nothing", &list, &n), WEFT_ERR_IO);
    unit_says("no checkpoints");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_runs),
        cmocka_unit_test(earliest_first),
        cmocka_unit_test(missing_parts),
        cmocka_unit_test(hashes),
    };
    return cmocka_run_group_tests(tests, unit_start, unit_stop);
}
