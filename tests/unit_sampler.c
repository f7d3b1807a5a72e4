/* Sampling: frequencies follow the softmax, cuts cut where they should, draws are reproducible. */
#include <math.h>
#include "tests/support/unit.h"
#include "models/sampler.h"

#define V     8
#define DRAWS 40000

static const float logits[V] = {1, 3, 0.5f, 2.5f, -1, 3, 0, 2};

static void count(const struct weft_sampling *how, const float *x, size_t *hits) {
    struct weft_sampler s;
    assert_int_equal(weft_sampler_init(unit_ctx, &s, V), WEFT_OK);
    memset(hits, 0, V * sizeof *hits);
    for (uint64_t i = 0; i < DRAWS; i++) {
        const uint32_t token = weft_sample(&s, how, x, NULL, i);
        assert_true(token < V);
        hits[token]++;
    }
    weft_sampler_free(&s);
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
        const struct weft_sampling how = {.temperature = 0.5 * t, .seed = 11};
        size_t hits[V];
        double weight[V];
        for (int i = 0; i < V; i++) weight[i] = exp((double)logits[i] / (0.5 * t));
        count(&how, logits, hits);
        expect(hits, weight);
    }
}

static void top_k_keeps_k(void **state) {
    (void)state;
    for (size_t k = 1; k <= V + 1; k++) {
        const struct weft_sampling how = {.temperature = 1, .top_k = k, .seed = 11};
        size_t hits[V];
        static const int order[V] = {1, 5, 3, 7, 0, 2, 6, 4}; // equals: the first one first
        double weight[V] = {0};
        for (size_t i = 0; i < k && i < V; i++) weight[order[i]] = exp((double)logits[order[i]]);
        count(&how, logits, hits);
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
    } cases[] = {{1e-9, {1}},       {0.39, {1}},          {0.41, {4, 3}},    {0.69, {4, 3}},
                 {0.75, {4, 3, 2}}, {0.95, {4, 3, 2, 1}}, {1, {4, 3, 2, 1}}, {0, {4, 3, 2, 1}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct weft_sampling how = {.temperature = 1, .top_p = cases[i].p, .seed = 11};
        size_t hits[V];
        count(&how, x, hits);
        expect(hits, cases[i].weight);
    }
}

static void cuts_follow_each_other(void **state) {
    (void)state;
    const float x[V] = {logf(0.4f), logf(0.3f), logf(0.2f), logf(0.1f),
                        -INFINITY,  -INFINITY,  NAN,        -INFINITY};
    static const struct {
        size_t k;
        double p, min;
        double weight[V];
    } cases[] = {{3, 0.7, 0, {4, 3}},                                                // 0.7 of 0.9
                 {3, 0.99, 0, {4, 3, 2}}, {1, 0.5, 0, {1}}, {0, 0, 0.49, {4, 3, 2}}, // of 0.4
                 {0, 0, 0.51, {4, 3}},    {0, 0, 1, {1}},   {2, 0, 0.1, {4, 3}},
                 {0, 0.75, 0.6, {4, 3}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct weft_sampling how = {.temperature = 1,
                                          .top_k = cases[i].k,
                                          .top_p = cases[i].p,
                                          .min_p = cases[i].min,
                                          .seed = 11};
        size_t hits[V];
        count(&how, x, hits);
        expect(hits, cases[i].weight);
    }
}

/* The heap's order is that of a sort, for many tokens with many equals. */
static void a_large_vocabulary(void **state) {
    (void)state;
    enum { N = 5000 };
    static float x[N];
    uint64_t seed = 3;
    for (size_t i = 0; i < N; i++) x[i] = (float)(unit_random(&seed) % 1000) / 100;
    struct weft_sampler s;
    assert_int_equal(weft_sampler_init(unit_ctx, &s, N), WEFT_OK);
    for (size_t k = 1; k < N; k = 2 * k + 1) {
        const struct weft_sampling how = {.temperature = 1e6, .top_k = k, .seed = 5};
        for (uint64_t i = 0; i < 50; i++) {
            const uint32_t token = weft_sample(&s, &how, x, NULL, i);
            size_t before = 0;
            for (size_t t = 0; t < N; t++)
                before += x[t] > x[token] || (x[t] == x[token] && t < token);
            assert_true(before < k);
        }
    }
    weft_sampler_free(&s);
}

static void repetition_is_punished(void **state) {
    (void)state;
    struct weft_sampler s;
    uint8_t seen[V] = {0};
    assert_int_equal(weft_sampler_init(unit_ctx, &s, V), WEFT_OK);
    struct weft_sampling how = {.repetition_penalty = 2};
    assert_int_equal(weft_sample(&s, &how, logits, seen, 0), 1); // 3, the first of two
    seen[1] = 1;
    assert_int_equal(weft_sample(&s, &how, logits, seen, 0), 5);
    seen[5] = 1;
    assert_int_equal(weft_sample(&s, &how, logits, seen, 0), 3); // 2.5 against 1.5
    seen[3] = seen[7] = 1;
    how.repetition_penalty = 1.1;
    assert_int_equal(weft_sample(&s, &how, logits, seen, 0), 1);
    const float below[V] = {-1, -2, -3, -4, -5, -6, -7, -8};
    memset(seen, 0, V);
    seen[0] = 1;
    how.repetition_penalty = 3; // -3 now
    assert_int_equal(weft_sample(&s, &how, below, seen, 0), 1);
    how.repetition_penalty = 0; // none
    assert_int_equal(weft_sample(&s, &how, below, seen, 0), 0);
    weft_sampler_free(&s);
}

static void zero_temperature_takes_the_likeliest(void **state) {
    (void)state;
    struct weft_sampler s;
    struct weft_sampling how = {.seed = 11};
    assert_int_equal(weft_sampler_init(unit_ctx, &s, V), WEFT_OK);
    for (uint64_t i = 0; i < 20; i++) assert_int_equal(weft_sample(&s, &how, logits, NULL, i), 1);
    const float odd[V] = {NAN, 1, 7, NAN, 7, -INFINITY, 0, 0};
    assert_int_equal(weft_sample(&s, &how, odd, NULL, 0), 2);
    how.temperature = 1;
    const float certain[V] = {1, 2, 3, INFINITY, 5, 6, 7, 8};
    for (uint64_t i = 0; i < 20; i++) assert_int_equal(weft_sample(&s, &how, certain, NULL, i), 3);
    float nothing[V];
    for (int i = 0; i < V; i++) nothing[i] = NAN;
    assert_true(weft_sample(&s, &how, nothing, NULL, 0) < V);
    how.temperature = 1e-30; // so cold that all but the likeliest vanish
    for (uint64_t i = 0; i < 20; i++) {
        const uint32_t token = weft_sample(&s, &how, logits, NULL, i);
        assert_true(token == 1 || token == 5);
    }
    weft_sampler_free(&s);
}

static void draws_are_reproducible(void **state) {
    (void)state;
    struct weft_sampler s;
    assert_int_equal(weft_sampler_init(unit_ctx, &s, V), WEFT_OK);
    const struct weft_sampling a = {.temperature = 1, .top_k = 5, .top_p = 0.9, .seed = 11};
    struct weft_sampling b = a;
    size_t same = 0;
    for (uint64_t i = 1000; i-- > 0;)
        assert_int_equal(weft_sample(&s, &a, logits, NULL, i),
                         weft_sample(&s, &b, logits, NULL, i));
    b.seed = 12;
    for (uint64_t i = 0; i < 1000; i++)
        same += weft_sample(&s, &a, logits, NULL, i) == weft_sample(&s, &b, logits, NULL, i);
    assert_true(same > 100 && same < 500);
    weft_sampler_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frequencies),
        cmocka_unit_test(top_k_keeps_k),
        cmocka_unit_test(top_p_keeps_the_fewest),
        cmocka_unit_test(cuts_follow_each_other),
        cmocka_unit_test(a_large_vocabulary),
        cmocka_unit_test(repetition_is_punished),
        cmocka_unit_test(zero_temperature_takes_the_likeliest),
        cmocka_unit_test(draws_are_reproducible),
    };
    return cmocka_run_group_tests(tests, unit_start, unit_stop);
}
