/* Files and folders that are whole or not there; checkpoints listed and pruned; links replaced. */
#include <fcntl.h>
#include "tests/support/unit.h"
#include "train/atomic.h"

static bool there(const char *path) { return access(path, F_OK) == 0; }

static void a_file_is_whole_or_not_there(void **state) {
    (void)state;
    struct weft_out out;
    size_t n;
    assert_int_equal(weft_out_open(unit_ctx, "f", &out), WEFT_OK);
    assert_int_equal(weft_out_write(&out, "hello ", 6), WEFT_OK);
    assert_false(there("f"));
    assert_int_equal(weft_out_write(&out, "world", 5), WEFT_OK);
    assert_int_equal(weft_out_commit(&out), WEFT_OK);
    char *text = unit_get("f", &n);
    assert_string_equal(text, "hello world");
    free(text);
    assert_int_equal(weft_out_open(unit_ctx, "f", &out), WEFT_OK);
    weft_out_write(&out, "half", 4);
    weft_out_abort(&out);
    text = unit_get("f", &n);
    assert_string_equal(text, "hello world"); // untouched
    free(text);
    assert_false(there("f.tmp"));
}

static void a_full_disk_is_named(void **state) {
    (void)state;
    assert_int_equal(symlink("/dev/full", "g.tmp"), 0);
    assert_int_equal(weft_write_file(unit_ctx, "g", "x", 1), WEFT_ERR_IO);
    unit_says("g: cannot be written: No space left on device; free some space and resume");
    assert_false(there("g"));
    assert_int_equal(weft_write_file(unit_ctx, "no/such/g", "x", 1), WEFT_ERR_IO);
    unit_says("no/such/g.tmp: cannot be created");
}

static void folders(void **state) {
    (void)state;
    assert_int_equal(weft_make_folder(unit_ctx, "a/b/c"), WEFT_OK);
    assert_int_equal(weft_make_folder(unit_ctx, "a/b/c/"), WEFT_OK);
    assert_int_equal(weft_write_file(unit_ctx, "a/b/f", "x", 1), WEFT_OK);
    assert_int_equal(weft_make_folder(unit_ctx, "a/b/f"), WEFT_ERR_IO);
    unit_says("a/b/f: exists and is not a folder");
    assert_int_equal(weft_make_folder(unit_ctx, "a/b/f/g"), WEFT_ERR_IO);
    assert_int_equal(weft_make_folder(unit_ctx, ""), WEFT_ERR_IO);
    assert_int_equal(weft_make_folder(unit_ctx, "//"), WEFT_OK);
    assert_int_equal(symlink("/etc", "a/link"), 0);
    assert_int_equal(weft_remove_folder(unit_ctx, "a"), WEFT_OK);
    assert_false(there("a"));
    assert_true(there("/etc/passwd")); // links are removed, not followed
    assert_int_equal(weft_remove_folder(unit_ctx, "a"), WEFT_OK);
}

static void a_checkpoint_replaces_its_namesake(void **state) {
    (void)state;
    for (int round = 0; round < 2; round++) {
        const char *const name[] = {"ck/step-000001.tmp/first", "ck/step-000001.tmp/second"};
        assert_int_equal(weft_make_folder(unit_ctx, "ck/step-000001.tmp"), WEFT_OK);
        assert_int_equal(weft_write_file(unit_ctx, name[round], "x", 1), WEFT_OK);
        assert_int_equal(weft_commit_folder(unit_ctx, "ck/step-000001.tmp", "ck/step-000001"),
                         WEFT_OK);
        assert_false(there("ck/step-000001.tmp"));
    }
    assert_true(there("ck/step-000001/second"));
    assert_false(there("ck/step-000001/first"));
    assert_int_equal(weft_commit_folder(unit_ctx, "ck/nothing.tmp", "ck/nothing"), WEFT_ERR_IO);
    assert_int_equal(weft_remove_folder(unit_ctx, "ck"), WEFT_OK);
}

static void links(void **state) {
    (void)state;
    char target[64] = {0};
    assert_int_equal(weft_replace_link(unit_ctx, "last", "step-000001"), WEFT_OK);
    assert_int_equal(symlink("junk", "last.tmp"), 0);
    assert_int_equal(weft_replace_link(unit_ctx, "last", "step-000002"), WEFT_OK);
    assert_int_equal(readlink("last", target, sizeof target - 1), 11);
    assert_string_equal(target, "step-000002");
    assert_int_equal(weft_replace_link(unit_ctx, "no/such/last", "x"), WEFT_ERR_IO);
    unit_says("no/such/last");
}

static void names(void **state) {
    (void)state;
    char buf[WEFT_CHECKPOINT_NAME];
    assert_string_equal(weft_checkpoint_name(120, buf), "step-000120");
    assert_string_equal(weft_checkpoint_name(1234567, buf), "step-1234567");
}

static void pruning_keeps_the_newest_and_the_best(void **state) {
    (void)state;
    uint64_t *steps;
    size_t n;
    static const char *const others[] = {"step-12", "step-x", "step-000009x", "notes", "best"};
    char path[64], name[WEFT_CHECKPOINT_NAME];
    assert_int_equal(weft_checkpoint_list(unit_ctx, "p", &steps, &n), WEFT_OK);
    assert_int_equal(n, 0);
    free(steps);
    assert_int_equal(weft_checkpoint_prune(unit_ctx, "p", 2, 0), WEFT_OK);
    for (uint64_t i = 0; i < 6; i++) {
        snprintf(path, sizeof path, "p/%s",
                 weft_checkpoint_name(1000000 - 300000 * i % 1000000, name));
        assert_int_equal(weft_make_folder(unit_ctx, path), WEFT_OK);
    }
    for (size_t i = 0; i < 5; i++) {
        snprintf(path, sizeof path, "p/%s", others[i]);
        assert_int_equal(weft_make_folder(unit_ctx, path), WEFT_OK);
    }
    assert_int_equal(weft_make_folder(unit_ctx, "p/step-000077.tmp"), WEFT_OK);
    assert_int_equal(weft_checkpoint_list(unit_ctx, "p", &steps, &n), WEFT_OK);
    assert_int_equal(n, 6);
    for (size_t i = 1; i < n; i++) assert_true(steps[i - 1] < steps[i]);
    const uint64_t best = steps[1], dropped = steps[0], newest = steps[5], kept = steps[4];
    free(steps);
    assert_int_equal(weft_checkpoint_prune(unit_ctx, "p", 2, best), WEFT_OK);
    assert_int_equal(weft_checkpoint_list(unit_ctx, "p", &steps, &n), WEFT_OK);
    assert_int_equal(n, 3);
    assert_true(steps[0] == best && steps[1] == kept && steps[2] == newest && dropped != best);
    free(steps);
    assert_false(there("p/step-000077.tmp"));
    for (size_t i = 0; i < 5; i++) {
        snprintf(path, sizeof path, "p/%s", others[i]);
        assert_true(there(path)); // only what is ours is touched
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_whole_or_not_there),
        cmocka_unit_test(a_full_disk_is_named),
        cmocka_unit_test(folders),
        cmocka_unit_test(a_checkpoint_replaces_its_namesake),
        cmocka_unit_test(links),
        cmocka_unit_test(names),
        cmocka_unit_test(pruning_keeps_the_newest_and_the_best),
    };
    return cmocka_run_group_tests(tests, unit_start, unit_stop);
}
