/* Runs in this process: settings, resuming, accumulation, threads and instruction sets, logs. */
#include "tests/support/unit.h"
#include <jansson.h>
#include "train/atomic.h"
#include "train/trainer.h"

#define RUN(...) run((const char *[]){__VA_ARGS__, NULL}, WEFT_FOR_GPT2, NULL)

/* 9 kB of text with some order in it */
static void make_text(void) {
    char text[9001];
    uint64_t seed = 1;
    for (size_t i = 0; i < sizeof text - 1; i++)
        text[i] = "the cat sat on a mat\n"[(i + unit_random(&seed) % 3) % 21];
    unit_put("text", text, sizeof text - 1);
}

static volatile sig_atomic_t stop_now = 1;

/* Train with these options on top of a small model; the status of the first call that fails. */
static enum weft_status run(const char *const *more, unsigned model,
                            const volatile sig_atomic_t *signal) {
    static const char *const gpt2[] = {"--data",  "text",    "--layers", "1",         "--width",
                                       "16",      "--heads", "2",        "--context", "16",
                                       "--batch", "2",       "--lr",     "1e-2"};
    static const char *const mlp[] = {"--data", "table.csv", "--hidden", "8", "--batch", "4"};
    const bool language = model == WEFT_FOR_GPT2;
    const size_t base = language ? sizeof gpt2 / sizeof *gpt2 : sizeof mlp / sizeof *mlp;
    char *argv[64];
    size_t n = 0;
    for (; n < base; n++) argv[n] = (char *)(uintptr_t)(language ? gpt2 : mlp)[n];
    for (; *more; more++) argv[n++] = (char *)(uintptr_t)*more;
    struct weft_options *o = calloc(1, sizeof *o);
    assert_non_null(o);
    weft_options_init(o, model);
    assert_int_equal(weft_options_parse(o, (int)n, argv, NULL, NULL), WEFT_OK);
    const struct weft_trainer_io io = {.signal = signal};
    weft_trainer *t = NULL;
    enum weft_status st = weft_trainer_check(unit_ctx, o);
    if (st == WEFT_OK) st = weft_trainer_create(unit_ctx, o, &io, &t);
    if (st == WEFT_OK) st = weft_trainer_run(t);
    weft_trainer_free(t);
    weft_options_free(o);
    free(o);
    return st;
}

/* The same file in two runs? */
static void expect_same(const char *a, const char *b, const char *file) {
    char path[128];
    size_t n, m;
    snprintf(path, sizeof path, "%s/%s", a, file);
    char *x = unit_get(path, &n);
    snprintf(path, sizeof path, "%s/%s", b, file);
    char *y = unit_get(path, &m);
    if (n != m || memcmp(x, y, n) != 0) fail_msg("%s of %s and %s differ", file, a, b);
    free(x);
    free(y);
}
#define MODEL "checkpoints/last/model.safetensors"
#define STATE "checkpoints/last/state.safetensors"

/* metrics.jsonl without what time decides */
static json_t *metrics(const char *run) {
    char path[128];
    snprintf(path, sizeof path, "%s/metrics.jsonl", run);
    char *text = unit_get(path, NULL);
    json_t *lines = json_array();
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        assert_true(json_number_value(json_object_get(object, "step_ms")) > 0);
        assert_true(json_number_value(json_object_get(object, "tokens_per_s")) > 0);
        json_object_del(object, "step_ms");
        json_object_del(object, "tokens_per_s");
        json_array_append_new(lines, object);
    }
    free(text);
    return lines;
}

static void expect_same_metrics(const char *a, const char *b) {
    json_t *x = metrics(a), *y = metrics(b);
    assert_true(json_equal(x, y));
    json_decref(x);
    json_decref(y);
}

/* 12 steps at once; 12 steps after a stop at 7; nothing may differ. */
static void resuming_changes_nothing(void **state) {
    (void)state;
    static const char *const common[] = {"--steps",      "12", "--stats-every", "3",
                                         "--eval-every", "4",  "--dropout",     "0.1",
                                         "--accumulate", "2"};
#define COMMON                                                                                     \
    common[0], common[1], common[2], common[3], common[4], common[5], common[6], common[7],        \
        common[8], common[9]
    assert_int_equal(RUN(COMMON, "--out", "whole"), WEFT_OK);
    assert_int_equal(RUN(COMMON, "--save-every", "7", "--out", "parts"), WEFT_OK);
    assert_int_equal(weft_remove_folder(unit_ctx, "parts/checkpoints/step-000008"), WEFT_OK);
    assert_int_equal(weft_remove_folder(unit_ctx, "parts/checkpoints/step-000012"), WEFT_OK);
    assert_int_equal(RUN("--resume", "parts", "--threads", "1"), WEFT_OK);
    expect_same("whole", "parts", MODEL);
    expect_same("whole", "parts", STATE);
    expect_same("whole", "parts", "stats.jsonl");
    expect_same_metrics("whole", "parts");
    json_t *lines = metrics("whole");
    assert_int_equal(json_array_size(lines), 12);
    for (size_t i = 0; i < 12; i++) {
        const json_t *line = json_array_get(lines, i);
        assert_int_equal(json_integer_value(json_object_get(line, "step")), i + 1);
        assert_int_equal(json_object_get(line, "val_loss") != NULL, (i + 1) % 4 == 0);
    }
    json_decref(lines);
    assert_int_equal(RUN("--resume", "whole", "--steps", "12"), WEFT_OK); // finished: fine
}

static bool is_there(const char *path) { return access(path, F_OK) == 0; }

static void damaged_newest_falls_back(void **state) {
    (void)state;
    assert_int_equal(RUN("--steps", "6", "--save-every", "3", "--keep", "9", "--out", "hurt"),
                     WEFT_OK);
    size_t n;
    char *bytes = unit_get("hurt/" MODEL, &n);
    char *copy = malloc(n);
    assert_non_null(copy);
    memcpy(copy, bytes, n);
    copy[n - 5] ^= 4;
    for (int i = 1; i <= 2; i++) { // the second one does not replace what the first has set aside
        unit_put("hurt/checkpoints/step-000006/model.safetensors", copy, n);
        assert_int_equal(RUN("--resume", "hurt"), WEFT_OK);
        size_t m;
        char *again = unit_get("hurt/" MODEL, &m);
        assert_int_equal(n, m);
        assert_memory_equal(bytes, again, n);
        free(again);
        assert_true(is_there("hurt/checkpoints/step-000006.damaged"));
        assert_int_equal(is_there("hurt/checkpoints/step-000006.damaged-2"), i == 2);
    }
    free(bytes);
    free(copy);
}

/* Put `now` in the place of `then`, which is as long. */
static void edit(const char *path, const char *then, const char *now) {
    size_t size;
    char *text = unit_get(path, &size);
    char *at = strstr(text, then);
    assert_non_null(at);
    memcpy(at, now, strlen(now));
    unit_put(path, text, size);
    free(text);
}

/* When no checkpoint fits, the settings are wrong rather than all of them: nothing is touched. */
static void nothing_to_go_on_from(void **state) {
    (void)state;
    static const char *const steps[] = {"lost/checkpoints/step-000003/config.json",
                                        "lost/checkpoints/step-000006/config.json"};
    assert_int_equal(RUN("--steps", "7", "--save-every", "3", "--keep", "9", "--out", "lost"),
                     WEFT_OK);
    assert_int_equal(weft_remove_folder(unit_ctx, "lost/checkpoints/step-000007"), WEFT_OK);
    assert_int_equal(rename("lost/run.json", "lost/away"), 0);
    assert_int_equal(RUN("--resume", "lost", "--steps", "7"), WEFT_ERR_STATE);
    unit_says("lost: has no run.json");
    assert_int_equal(rename("lost/away", "lost/run.json"), 0);
    for (int i = 0; i < 2; i++) edit(steps[i], "\"n_embd\": 16", "\"n_embd\": 32");
    assert_int_equal(RUN("--resume", "lost"), WEFT_ERR_FORMAT); // never silently from the start
    unit_says("its checksum is wrong");
    unit_says("none of the 2 checkpoints can be used");
    assert_true(is_there(steps[0]) && is_there(steps[1]));
    edit(steps[0], "\"n_embd\": 32", "\"n_embd\": 16");
    assert_int_equal(unlink(steps[1]), 0); // a file that is missing is damage, too
    assert_int_equal(RUN("--resume", "lost"), WEFT_OK);
    assert_true(is_there("lost/checkpoints/step-000006.damaged/model.safetensors"));
}

static void a_signal_saves(void **state) {
    (void)state;
    assert_int_equal(RUN("--steps", "5", "--out", "calm"), WEFT_OK);
    const char *const more[] = {"--steps", "5", "--out", "stopped", NULL};
    assert_int_equal(run(more, WEFT_FOR_GPT2, &stop_now), WEFT_OK);
    assert_int_equal(access("stopped/checkpoints/step-000000", F_OK), 0);
    assert_int_equal(RUN("--resume", "stopped"), WEFT_OK);
    expect_same("calm", "stopped", MODEL);
    expect_same_metrics("calm", "stopped");
}

/* 64 samples of 16 tokens: micro-batches of 256 tokens are whole chunks of every sum. */
static void accumulation_is_one_big_batch(void **state) {
    (void)state;
    assert_int_equal(RUN("--batch", "64", "--steps", "4", "--out", "big"), WEFT_OK);
    assert_int_equal(RUN("--batch", "16", "--accumulate", "4", "--steps", "4", "--out", "small"),
                     WEFT_OK);
    expect_same("big", "small", MODEL);
    expect_same_metrics("big", "small");
    assert_int_equal(RUN("--batch", "16", "--accumulate", "4", "--grad-groups", "2", "--steps", "4",
                         "--out", "groups"),
                     WEFT_OK);
}

static void any_machine_same_bits(void **state) {
    (void)state;
    struct weft_cpu_info cpu;
    weft_cpu_query(&cpu);
    assert_int_equal(RUN("--steps", "20", "--out", "t1"), WEFT_OK);
    weft_ctx *const usual = unit_ctx;
    for (int threads = 2; threads <= 7; threads += threads == 2 ? 1 : 4) {
        char out[8] = {'t', (char)('0' + threads), 0};
        assert_int_equal(weft_ctx_create(&(struct weft_ctx_options){.threads = threads}, &unit_ctx),
                         WEFT_OK);
        assert_int_equal(RUN("--steps", "20", "--out", out), WEFT_OK);
        expect_same("t1", out, MODEL);
        weft_ctx_free(unit_ctx);
    }
    for (size_t i = 0; cpu.isas[i]; i++) {
        assert_int_equal(
            weft_ctx_create(&(struct weft_ctx_options){.threads = 1, .isa = cpu.isas[i]},
                            &unit_ctx),
            WEFT_OK);
        assert_int_equal(RUN("--steps", "20", "--out", cpu.isas[i]), WEFT_OK);
        expect_same("t1", cpu.isas[i], MODEL);
        weft_ctx_free(unit_ctx);
    }
    unit_ctx = usual;
}

static void refusals(void **state) {
    (void)state;
    assert_int_equal(RUN("--steps", "2", "--out", "taken"), WEFT_OK);
    assert_int_equal(RUN("--steps", "2", "--out", "taken"), WEFT_ERR_STATE);
    unit_says("go on with it by --resume taken");
    static const char *const left[] = {"stats.jsonl", "checkpoints/step-000002"};
    for (size_t i = 0; i < 2; i++) { // any one file of a run
        char from[64], to[64];
        snprintf(from, sizeof from, "taken/%s", left[i]);
        snprintf(to, sizeof to, "left%zu/%s", i, left[i]);
        assert_int_equal(weft_make_folder(unit_ctx, i ? "left1/checkpoints" : "left0"), WEFT_OK);
        assert_int_equal(rename(from, to), 0);
        assert_int_equal(RUN("--steps", "2", "--out", i ? "left1" : "left0"), WEFT_ERR_STATE);
        assert_int_equal(rename(to, from), 0);
    }
    assert_int_equal(weft_make_folder(unit_ctx, "empty/checkpoints"), WEFT_OK);
    assert_int_equal(RUN("--steps", "2", "--out", "empty"), WEFT_OK);
    assert_int_equal(RUN("--resume", "taken", "--seed", "2"), WEFT_ERR_ARG);
    unit_says("--seed is 2, but the run in taken began with 1");
    assert_int_equal(RUN("--resume", "taken", "--out", "else"), WEFT_ERR_ARG);
    assert_int_equal(RUN("--resume", "taken", "--out", "./taken/"), WEFT_OK);
    assert_int_equal(RUN("--steps", "2"), WEFT_ERR_ARG);
    unit_says("--out is missing");
    assert_int_equal(RUN("--heads", "3", "--out", "x"), WEFT_ERR_ARG);
    unit_says("--heads 3 does not divide --width 16");
    assert_int_equal(RUN("--seq", "17", "--out", "x"), WEFT_ERR_ARG);
    unit_says("--seq 17 is beyond --context 16");
    assert_int_equal(RUN("--accumulate", "4", "--grad-groups", "3", "--out", "x"), WEFT_ERR_ARG);
    assert_int_equal(RUN("--steps", "9", "--warmup", "10", "--out", "x"), WEFT_ERR_ARG);
    assert_int_equal(RUN("--steps", "9", "--epochs", "2", "--out", "x"), WEFT_ERR_ARG);
    assert_int_equal(RUN("--vocab", "20", "--out", "x"), WEFT_ERR_ARG);
    assert_int_not_equal(access("x", F_OK), 0); // a refusal leaves nothing behind
    assert_int_equal(RUN("--steps", "5", "--lr", "1e6", "--clip", "0", "--out", "nan"),
                     WEFT_ERR_NONFINITE);
    unit_says("no checkpoint was written yet");
}

static void other_data_is_noticed(void **state) {
    (void)state;
    assert_int_equal(RUN("--steps", "2", "--out", "data"), WEFT_OK);
    char *text = unit_get("text", NULL);
    text[100] ^= 1;
    unit_put("text", text, strlen(text));
    assert_int_equal(RUN("--resume", "data"), WEFT_ERR_STATE);
    unit_says("the data is not what the run in data began with");
    free(text);
    make_text();
    assert_int_equal(RUN("--resume", "data"), WEFT_OK);
    assert_int_equal(RUN("--resume", "nothing", "--steps", "2"), WEFT_OK); // begins
    expect_same("data", "nothing", MODEL);
}

static void keeps_as_many_as_asked(void **state) {
    (void)state;
    uint64_t *steps;
    size_t n;
    assert_int_equal(RUN("--steps", "9", "--save-every", "2", "--keep", "3", "--val-fraction", "0",
                         "--out", "keep"),
                     WEFT_OK);
    assert_int_equal(weft_checkpoint_list(unit_ctx, "keep/checkpoints", &steps, &n), WEFT_OK);
    assert_int_equal(n, 3);
    assert_true(steps[0] == 6 && steps[1] == 8 && steps[2] == 9);
    free(steps);
}

static void perceptrons(void **state) {
    (void)state;
    static char text[4096];
    size_t at = (size_t)snprintf(text, sizeof text, "a,b,kind\n");
    uint64_t seed = 5;
    for (int i = 0; i < 60; i++) {
        const int a = (int)(unit_random(&seed) % 100), b = (int)(unit_random(&seed) % 100);
        at += (size_t)snprintf(text + at, sizeof text - at, "%d,%d,%s\n", a, b, a > b ? "x" : "y");
    }
    unit_put("table.csv", text, at);
    const char *const more[] = {"--epochs", "40", "--out", "mlp", NULL};
    assert_int_equal(run(more, WEFT_FOR_MLP, NULL), WEFT_OK);
    json_t *lines = metrics("mlp");
    assert_int_equal(json_array_size(lines), 540); // 54 training rows, 4 a step
    const json_t *last = json_array_get(lines, 539);
    assert_true(json_number_value(json_object_get(last, "val_accuracy")) > 0.8);
    json_decref(lines);
    const char *const number[] = {"--loss", "mse",   "--label", "a", "--steps",
                                  "20",     "--out", "mse",     NULL};
    static const char line[] = "a,b\n1,2\n2,4\n3,6\n4,8\n5,9\n6,13\n7,14\n8,15\n9,19\n";
    unit_put("table.csv", line, sizeof line - 1);
    assert_int_equal(run(number, WEFT_FOR_MLP, NULL), WEFT_OK);
}

static int start(void **state) {
    const int failed = unit_start(state);
    if (!failed) make_text();
    return failed;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resuming_changes_nothing),
        cmocka_unit_test(damaged_newest_falls_back),
        cmocka_unit_test(nothing_to_go_on_from),
        cmocka_unit_test(a_signal_saves),
        cmocka_unit_test(accumulation_is_one_big_batch),
        cmocka_unit_test(any_machine_same_bits),
        cmocka_unit_test(refusals),
        cmocka_unit_test(other_data_is_noticed),
        cmocka_unit_test(keeps_as_many_as_asked),
        cmocka_unit_test(perceptrons),
    };
    return cmocka_run_group_tests(tests, start, unit_stop);
}
