/* Sampling: frequencies follow the softmax, cuts cut where they should, draws are reproducible. */
#include <math.h>
#include "tests/support/unit.h"
#include "train/sampler.h"

#define V     8
#define DRAWS 40000

static const float logits[V] = {1, 3, 0.5f, 2.5f, -1, 3, 0, 2};

static struct weft_sampler make(double temperature, size_t top_k, double top_p) {
    struct weft_sampler s = {
        .temperature = temperature, .top_k = top_k, .top_p = top_p, .seed = 11};
    assert_int_equal(weft_sampler_init(unit_ctx, &s, V), WEFT_OK);
    return s;
}

static void count(struct weft_sampler *s, const float *x, size_t *hits) {
    memset(hits, 0, V * sizeof *hits);
    for (uint64_t i = 0; i < DRAWS; i++) {
        const uint32_t token = weft_sample(s, x, i);
        assert_true(token < V);
        hits[token]++;
    }
    weft_sampler_free(s);
}

/* Are the counts those of these probabilities (within 5 standard deviations)? */
static void expect(const size_t *hits, const double *weight) {
    double total = 0;
    for (int i = 0; i < V; i++) total += weight[i];
    for (int i = 0; i < V; i++) {
        const double p = weight[i] / total, sd = sqrt(DRAWS * p * (1 - p));
        if (!(fabs((double)hits[i] - DRAWS * p) <= 5 * sd))
            fail_msg("token %d: %zu draws, expected %g", i, hits[i], DRAWS * p);
    }
}

static void frequencies(void **state) {
    (void)state;
    for (int t = 1; t <= 3; t++) {
        struct weft_sampler s = make(0.5 * t, 0, 1);
        size_t hits[V];
        double weight[V];
        for (int i = 0; i < V; i++) weight[i] = exp((double)logits[i] / (0.5 * t));
        count(&s, logits, hits);
        expect(hits, weight);
    }
}

static void top_k_keeps_k(void **state) {
    (void)state;
    for (size_t k = 1; k <= V + 1; k++) {
        struct weft_sampler s = make(1, k, 1);
        size_t hits[V];
        static const int order[V] = {1, 5, 3, 7, 0, 2, 6, 4}; // equals: the first one first
        double weight[V] = {0};
        for (size_t i = 0; i < k && i < V; i++) weight[order[i]] = exp((double)logits[order[i]]);
        count(&s, logits, hits);
        expect(hits, weight);
    }
}

static void top_p_keeps_the_fewest(void **state) {
    (void)state;
    const float x[V] = {logf(0.4f), logf(0.3f), logf(0.2f), logf(0.1f),
                        -INFINITY,  -INFINITY,  NAN,        -INFINITY};
    static const struct {
        double p;
        double weight[V];
    } cases[] = {{0, {1}},          {0.39, {1}},          {0.41, {4, 3}},   {0.69, {4, 3}},
                 {0.75, {4, 3, 2}}, {0.95, {4, 3, 2, 1}}, {1, {4, 3, 2, 1}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct weft_sampler s = make(1, 0, cases[i].p);
        size_t hits[V];
        count(&s, x, hits);
        expect(hits, cases[i].weight);
    }
}

static void zero_temperature_takes_the_likeliest(void **state) {
    (void)state;
    struct weft_sampler s = make(0, 0, 1);
    for (uint64_t i = 0; i < 20; i++) assert_int_equal(weft_sample(&s, logits, i), 1);
    const float odd[V] = {NAN, 1, 7, NAN, 7, -INFINITY, 0, 0};
    assert_int_equal(weft_sample(&s, odd, 0), 2);
    s.temperature = 1;
    const float certain[V] = {1, 2, 3, INFINITY, 5, 6, 7, 8};
    for (uint64_t i = 0; i < 20; i++) assert_int_equal(weft_sample(&s, certain, i), 3);
    float nothing[V];
    for (int i = 0; i < V; i++) nothing[i] = NAN;
    assert_true(weft_sample(&s, nothing, 0) < V);
    s.temperature = 1e-30; // so cold that all but the likeliest vanish
    for (uint64_t i = 0; i < 20; i++) {
        const uint32_t token = weft_sample(&s, logits, i);
        assert_true(token == 1 || token == 5);
    }
    weft_sampler_free(&s);
}

static void draws_are_reproducible(void **state) {
    (void)state;
    struct weft_sampler a = make(1, 5, 0.9), b = make(1, 5, 0.9);
    size_t same = 0;
    for (uint64_t i = 1000; i-- > 0;)
        assert_int_equal(weft_sample(&a, logits, i), weft_sample(&b, logits, i));
    b.seed = 12;
    for (uint64_t i = 0; i < 1000; i++)
        same += weft_sample(&a, logits, i) == weft_sample(&b, logits, i);
    assert_true(same > 100 && same < 500);
    weft_sampler_free(&a);
    weft_sampler_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frequencies),
        cmocka_unit_test(top_k_keeps_k),
        cmocka_unit_test(top_p_keeps_the_fewest),
        cmocka_unit_test(zero_temperature_takes_the_likeliest),
        cmocka_unit_test(draws_are_reproducible),
    };
    return cmocka_run_group_tests(tests, unit_start, unit_stop);
}
