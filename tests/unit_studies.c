/* What judges studies: tests against values of SciPy 1.17 (ttest_rel, pearsonr, spearmanr,
 * binomtest on the same numbers), detectors on curves, and verdicts of numbers that are missing. */
#include <math.h>
#include "studies/detect.h"
#include "studies/inside.h"
#include "studies/small_matrix.h"
#include "studies/stats.h"
#include "tests/support/unit.h"

static void near(double got, double want) {
    if (!(fabs(got - want) <= 1e-9 * fmax(1, fabs(want)))) fail_msg("%.17g is not %.17g", got, want);
}

static const double a[] = {0.453, 0.501, 0.472, 0.39, 0.61, 0.52, 0.48};
static const double b[] = {0.324, 0.377, 0.41, 0.402, 0.433, 0.35, 0.36};

static void test_pairs(void **state) {
    (void)state;
    const struct stats_test t = stats_paired(a, b, 7), v = stats_pitman_morgan(a, b, 7);
    near(t.t, 4.426725344733388);
    near(t.p, 0.004438704352889977);
    near(t.low, 0.049196520528165144);
    near(t.high, 0.17080347947183486);
    near(t.size, 1.673144912078745);
    near(v.size, 0.5392254404302442);
    near(v.t, 1.431726334601376);
    near(v.p, 0.21164293154617872);
    const double lost[] = {0.453, 0.501, (double)NAN, 0.39, (double)INFINITY, 0.52, 0.48};
    assert_int_equal(stats_paired(lost, b, 7).n, 5);
    assert_true(isnan(stats_paired(a, b, 4).p)); /* too few for a p */
    near(stats_sign_test(8, 10), 0.109375);
    near(stats_sign_test(3, 5), 1);
    double low, high;
    stats_wilson(8, 10, &low, &high);
    near(low, 0.49016247153664183);
    near(high, 0.9433178485456247);
}

static void test_ranks(void **state) {
    (void)state;
    const double x[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    const double y[] = {2, 1, 4, 3, 7, 5, 6};
    const double more[] = {3, 1, 4, 1.5, 9, 2, 6, 5, 3.5, 8, 9.7, 9.3};
    near(stats_spearman(x, y, 7).size, 0.8214285714285715);
    near(stats_spearman(x, y, 7).p, 0.034126984126984124); /* over all 5040 orders */
    near(stats_spearman(x, more, 12).size, 0.7272727272727274);
    near(stats_spearman(x, more, 12).p, 0.0073550288578051294);
    near(stats_median(y, 7), 4);
    near(stats_percentile(y, 7, 0.9), 7);
    near(stats_percentile(y, 7, 0.5), 4);
    const double lost[] = {1, (double)NAN, 3};
    assert_true(isnan(stats_median(lost, 3)) && isnan(stats_percentile(lost, 3, 0.9)));
}

/* Holm: the smallest p times the family's size, and so on down, never falling. */
static void test_holm(void **state) {
    (void)state;
    double p[] = {0.01, 0.04, (double)NAN, 0.03, 0.005};
    const double want[] = {0.03, 0.06, (double)NAN, 0.06, 0.02};
    stats_holm(p, 5);
    for (size_t i = 0; i < 5; i++)
        if (i == 2)
            assert_true(isnan(p[i]));
        else
            near(p[i], want[i]);
}

static void test_lines(void **state) {
    (void)state;
    const double x[] = {1, 2, 3, 4, 5}, y[] = {2.1, 3.9, 6.2, 7.8, 10.1};
    const struct stats_line l = stats_slope(x, y, 5);
    near(l.slope, 1.99);
    near(l.intercept, 0.05);
    near(l.se, 0.0597215762238965);
    near(l.r2, 0.9973053289009771);
    /* two factors, two replicates: y = 1 + 2 A - B + 3 AB, with -1 and 1 as levels */
    const double cell[] = {2.9, 3.1, 0.9, 1.1, -5.1, -4.9, 4.9, 5.1};
    struct stats_effect e[3];
    assert_int_equal(stats_factorial(cell, 2, 2, e), 3);
    near(e[0].effect, 4);
    near(e[1].effect, -2);
    near(e[2].effect, 6);
    near(e[0].se, 2 * sqrt(0.02 / 8));
    const double sigma[] = {1e-3, 1e-2, 1e-1, 1}, acc[] = {0.1, 0.9, 0.92, (double)NAN};
    struct stats_band band;
    assert_true(stats_find_band(sigma, acc, 4, 0.05, &band));
    near(band.at, 0.1);
    near(log10(band.low), -2 - 0.03 / 0.8);
    near(log10(band.high), -0.5);
}

/* A training that ends early has risen, whatever its last losses were. */
static void test_detectors(void **state) {
    (void)state;
    double falls[100];
    for (size_t i = 0; i < 100; i++) falls[i] = 2.3 * exp(-0.02 * (double)i);
    const struct detect_curve whole = detect_look(falls, 100, 100, 2.3);
    const struct detect_curve cut = detect_look(falls, 40, 100, 2.3);
    assert_true(whole.feasible && !whole.rising && whole.first_rise == 100);
    assert_true(!cut.feasible && cut.rising && cut.first_rise == 40);
    assert_true(!detect_look(falls, 0, 100, 2.3).feasible);
    assert_true(detect_steps_to(falls, 100, 1) < 100);
    assert_true(isinf(detect_steps_to(falls, 100, 0.01)));
    const struct detect_curve curve[] = {whole, whole, cut};
    const double val[] = {1, 0.5, 0.1};
    const struct detect_sweep best = detect_best(curve, val, 3);
    assert_true(best.best == 1 && best.has_edge && best.edge);
    assert_int_equal(detect_best(&cut, val, 1).best, 1); /* none */
}

/* ---- verdicts ---- */
static struct study study_in(enum study_setting setting) {
    static const struct weft_study def = {.name = "none", .parts = "a"};
    return (struct study){.def = &def, .set = {.setting = setting, .parts = "a"}};
}

static void test_verdicts(void **state) {
    (void)state;
    struct study s = study_in(STUDY_QUICK);
    study_check(&s, CHECK_EF, 'a', "effect", 2, 0, 1, NULL);
    assert_true(!study_failed(&s, false) && study_failed(&s, true));
    study_check(&s, CHECK_ID, 'b', "a part that did not run", (double)NAN, 0, 1, NULL);
    assert_int_equal(s.checks, 1);
    study_check(&s, CHECK_ID, 'a', "identity", 0, 0, 1, NULL);
    assert_string_equal(s.check[1].id, "ID2"); /* ids do not depend on the parts that ran */
    assert_false(study_failed(&s, false));
    study_check(&s, CHECK_TH, 'a', "no data", (double)NAN, 0, 1, NULL);
    assert_int_equal(s.check[2].verdict, CHECK_VACUOUS);
    assert_true(study_failed(&s, false));
    study_free(&s);
}

static void test_worst(void **state) {
    (void)state;
    struct study s = study_in(STUDY_SMOKE);
    struct check_worst w = {0}, none = {0};
    check_near(&w, 1.05, 1, 0.1, "near");
    check_near(&w, (double)NAN, 1, 0.1, "not a number");
    check_near(&w, 1, 1, 0.1, "equal");
    study_check_worst(&s, CHECK_ID, 'a', "a NaN among many", &w, NULL);
    study_check_worst(&s, CHECK_ID, 'a', "nothing", &none, NULL);
    study_check(&s, CHECK_EF, 'a', "left out in --smoke", 0, 0, 1, NULL);
    assert_int_equal(s.checks, 2);
    assert_int_equal(s.check[0].verdict, CHECK_FAIL);
    assert_int_equal(s.check[1].verdict, CHECK_VACUOUS);
    assert_true(isnan(stats_worse(1, (double)NAN)) && isnan(stats_worse((double)NAN, 1)));
    study_free(&s);
}

/* [[2, 1], [1, 3]]: eigenvalues (5 +- sqrt 5)/2, which are its singular values; QR gives R. */
static void test_matrices(void **state) {
    (void)state;
    const double m[] = {2, 1, 1, 3}, root = sqrt(5);
    double q[] = {2, 1, 1, 3}, logs[2] = {0}, s[2], l[2];
    matrix_singular_values(m, s, 2);
    matrix_eigenvalue_sizes(m, l, 2);
    for (size_t i = 0; i < 2; i++) {
        near(s[i], (5 + (i == 0 ? root : -root)) / 2);
        near(l[i], s[i]);
    }
    matrix_orthonormalise(q, logs, 2);
    near(logs[0], log(root));
    near(logs[0] + logs[1], log(5)); /* |det| */
    near(q[0] * q[1] + q[2] * q[3], 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),     cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_holm),      cmocka_unit_test(test_lines),
        cmocka_unit_test(test_detectors), cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_worst),     cmocka_unit_test(test_matrices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
