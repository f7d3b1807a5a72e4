/* The harness tests itself: each kernel here is wrong in one way, and its report must say so; the
 * good one must pass. y = 2x over rows with a leading dimension, and variations. */
#include <fenv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tests/support/check.h"

static void draw(struct check *c) {
    const size_t rows = check_size(c, 0) % 9;
    const size_t cols = check_size(c, 1) % 70;
    check_in(c, "x", rows, cols, cols, CHECK_FILL_CASE);
    check_out(c, "y", rows, cols, cols + 3);
}

static void oracle(struct check *c) {
    const struct check_arg *x = check_arg(c, "x");
    struct check_arg *y = check_arg(c, "y");
    for (size_t i = 0; i < x->rows * x->cols; i++) {
        y->want[i] = 2 * x->val[i];
        y->tol[i] = 4 * CHECK_U * fabs(y->want[i]);
    }
}

static bool empty(const struct check *c) {
    const struct check_arg *x = check_arg(c, "x");
    return x->rows * x->cols == 0;
}

/* The pointers are volatile so that a deliberately dead access stays. */
static void copy(struct check *c, bool but_last) {
    const struct check_arg *y = check_arg(c, "y");
    const volatile float *src = check_f32(c, "x");
    volatile float *dst = check_f32(c, "y");
    for (size_t r = 0; r < y->rows; r++)
        for (size_t j = 0; j < y->cols; j++)
            if (!but_last || r + 1 < y->rows || j + 1 < y->cols)
                dst[r * y->ld + j] = 2 * src[r * y->cols + j];
}

static void good(struct check *c, const struct weft_kernels *k) {
    (void)k;
    copy(c, false);
}

static size_t last(const struct check *c) {
    const struct check_arg *y = check_arg(c, "y");
    return (y->rows - 1) * y->ld + y->cols - 1;
}

static void reads_past(struct check *c, const struct weft_kernels *k) {
    const struct check_arg *x = check_arg(c, "x");
    const volatile float *src = check_f32(c, "x");
    good(c, k);
    (void)src[x->rows * x->cols];
}

static void reads_before(struct check *c, const struct weft_kernels *k) {
    const volatile float *src = check_f32(c, "x");
    good(c, k);
    (void)src[-1];
}

static void writes_past(struct check *c, const struct weft_kernels *k) {
    volatile float *dst = check_f32(c, "y");
    good(c, k);
    if (!empty(c)) dst[last(c) + 1] = 0;
}

static void writes_slack(struct check *c, const struct weft_kernels *k) { /* not into the guard */
    volatile float *dst = check_f32(c, "y");
    good(c, k);
    if (!empty(c) && ((uintptr_t)(dst + last(c) + 1) & 4095)) dst[last(c) + 1] = 0;
}

static void writes_gap(struct check *c, const struct weft_kernels *k) {
    const struct check_arg *y = check_arg(c, "y");
    volatile float *dst = check_f32(c, "y");
    good(c, k);
    if (y->rows > 1 && y->cols > 0) dst[y->cols] = 0;
}

static void writes_input(struct check *c, const struct weft_kernels *k) {
    volatile float *src = check_f32(c, "x");
    good(c, k);
    if (!empty(c)) src[0] = 1;
}

static void drops_last(struct check *c, const struct weft_kernels *k) {
    (void)k;
    copy(c, true);
}

static void gives_nan(struct check *c, const struct weft_kernels *k) {
    volatile float *dst = check_f32(c, "y");
    good(c, k);
    if (!empty(c)) dst[last(c)] = NAN;
}

static void wrong_value(struct check *c, const struct weft_kernels *k) {
    volatile float *dst = check_f32(c, "y");
    good(c, k);
    if (!empty(c)) dst[last(c)] *= 1.000001f;
}

static void rounds_down(struct check *c, const struct weft_kernels *k) {
    volatile float *dst = check_f32(c, "y");
    good(c, k);
    if (!empty(c)) dst[last(c)] = nextafterf(dst[last(c)], 0);
}

/* Inside the bound, but not the same bits: at another address, in another call. */
static void differs(struct check *c, bool odd) {
    volatile float *dst = check_f32(c, "y");
    if (!empty(c) && odd) dst[last(c)] = nextafterf(dst[last(c)], 0);
}

static void by_address(struct check *c, const struct weft_kernels *k) {
    good(c, k);
    differs(c, (uintptr_t)check_f32(c, "y") & 8);
}

static void by_call(struct check *c, const struct weft_kernels *k) {
    static unsigned calls;
    good(c, k);
    differs(c, calls++ % 2);
}

static void signs_zero(struct check *c, const struct weft_kernels *k) {
    const struct check_arg *y = check_arg(c, "y");
    volatile float *dst = check_f32(c, "y");
    static unsigned calls;
    good(c, k);
    const bool negate = calls++ % 2;
    for (size_t r = 0; r < y->rows; r++)
        for (size_t j = 0; j < y->cols; j++)
            if (negate && dst[r * y->ld + j] == 0)
                dst[r * y->ld + j] = -dst[r * y->ld + j]; /* equal, other bits */
}

static void rounds_up(struct check *c, const struct weft_kernels *k) {
    good(c, k);
    fesetround(FE_UPWARD);
}

static void crashes(struct check *c, const struct weft_kernels *k) {
    good(c, k);
    volatile uintptr_t nowhere = 64;
    *(volatile int *)nowhere = 1;
}

static void no_bound(struct check *c) {
    oracle(c);
    struct check_arg *y = check_arg(c, "y");
    for (size_t i = 0; i < y->rows * y->cols; i++) y->tol[i] = NAN;
}

static void wide_bound(struct check *c) {
    oracle(c);
    struct check_arg *y = check_arg(c, "y");
    for (size_t i = 0; i < y->rows * y->cols; i++) y->tol[i] = INFINITY;
}

static void small_rms(struct check *c) {
    oracle(c);
    check_arg(c, "y")->rms = 1e-9;
}

static const struct {
    struct check_family family;
    const char *says; /* a part of the report; NULL: passes */
} suspects[] = {
    {{"good", draw, oracle, good, 46, 0}, NULL},
    {{"reads_past", draw, oracle, reads_past, 46, 0}, "touched x 1 bytes past its end"},
    {{"reads_before", draw, oracle, reads_before, 46, 0}, "touched x 4 bytes before its start"},
    {{"writes_past", draw, oracle, writes_past, 46, 0}, "touched y 1 bytes past its end"},
    {{"writes_slack", draw, oracle, writes_slack, 46, 0}, "wrote outside y: 1 bytes past its end"},
    {{"writes_gap", draw, oracle, writes_gap, 46, 0}, "wrote outside y: in the gap of row 0"},
    {{"writes_input", draw, oracle, writes_input, 46, 0}, "wrote to the input x at byte 0"},
    {{"drops_last", draw, oracle, drops_last, 46, 0}, "was not written"},
    {{"gives_nan", draw, oracle, gives_nan, 46, 0}, "is nan, want"},
    {{"wrong_value", draw, oracle, wrong_value, 46, 0}, "1 of"},
    {{"by_address", draw, oracle, by_address, 46, 0}, "differs between placements"},
    {{"by_call", draw, oracle, by_call, 46, 0}, "differs between two calls"},
    {{"signs_zero", draw, oracle, signs_zero, 46, 0}, "differs between two calls"},
    {{"rounds_up", draw, oracle, rounds_up, 46, 0}, "floating-point environment"},
    {{"crashes", draw, oracle, crashes, 46, 0}, "in no operand"},
    {{"no_bound", draw, no_bound, good, 46, 0}, "no element is checked of its output y"},
    {{"wide_bound", draw, wide_bound, good, 46, 0}, "no bound is below the values"},
    {{"small_rms", draw, small_rms, rounds_down, 46, 0}, "rms error / rms value"},
};

/* Runs one family with its output in a file; the text is in buffer afterwards. */
static int captured(const struct check_family *f, char *buffer, size_t bytes) {
    char name[] = "check_harness";
    char *argv[] = {name, NULL};
    FILE *file = tmpfile();
    if (!file) return -1;
    fflush(stdout);
    const int out = dup(1);
    dup2(fileno(file), 1);
    const int rc = check_main(1, argv, &f, 1);
    fflush(stdout);
    dup2(out, 1);
    close(out);
    rewind(file);
    const size_t n = fread(buffer, 1, bytes - 1, file);
    buffer[n] = '\0';
    fclose(file);
    return rc;
}

int main(void) {
    static char text[1 << 16];
    size_t wrong = 0;
    const size_t n = sizeof suspects / sizeof *suspects;
    unsetenv("WEFT_CHECK");
    for (size_t i = 0; i < n; i++) {
        const struct check_family *f = &suspects[i].family;
        const char *says = suspects[i].says;
        const int rc = captured(f, text, sizeof text);
        const bool repro = strstr(text, "repro: check_harness --family") != NULL;
        const bool vacuous = strstr(text, "is vacuous") != NULL;
        const bool as_meant =
            says ? rc == 1 && strstr(text, says) && (repro || vacuous) : rc == 0 && !repro;
        printf("%s %s\n", f->name, as_meant ? "ok" : "FAILED");
        if (as_meant) continue;
        printf("exit %d, expected \"%s\" in:\n%s\n", rc, says ? says : "a pass", text);
        wrong++;
    }
    printf("%zu suspects, %zu wrong verdicts\n", n, wrong);
    return wrong ? 1 : 0;
}
