/* Which CPUs a team is bound to, on machines that hwloc makes up and on some drawn by hand: cores
 * before hardware threads, spread or close, never more than is allowed, and by itself only where
 * nobody else can be hurt. */
#include "tests/support/unit.h"
#include "topology/topology.h"

static const char *chosen(const struct weft_topology *t, enum weft_bind how, bool spread,
                          size_t threads, size_t *nodes) {
    static char text[256];
    const char *why;
    int cpu[256];
    assert_true(threads <= 256);
    *nodes = weft_topology_bind(t, how, spread, threads, cpu, &why);
    if (*nodes > 0) {
        assert_null(why);
        return weft_cpus_text(cpu, threads, text, sizeof text);
    }
    assert_non_null(why);
    return why;
}

struct expected {
    const char *machine, *allowed;
    enum weft_bind how;
    bool spread;
    size_t threads, nodes;
    const char *cpus;
};

/* hwloc numbers PUs of synthetic machines in their order: core c of two threads has 2c, 2c+1. */
static const struct expected cases[] = {
    {"pack:2 numa:1 core:4 pu:2", NULL, WEFT_BIND_CORES, false, 4, 1, "0,2,4,6"},
    {"pack:2 numa:1 core:4 pu:2", NULL, WEFT_BIND_CORES, true, 4, 2, "2,6,10,14"},
    {"pack:2 numa:1 core:4 pu:2", NULL, WEFT_BIND_CORES, true, 8, 2, "0,2,4,6,8,10,12,14"},
    {"pack:2 numa:1 core:4 pu:2", NULL, WEFT_BIND_CORES, true, 9, 0, "more threads than cores"},
    {"pack:2 numa:1 core:4 pu:2", NULL, WEFT_BIND_THREADS, false, 10, 2, "0-4,6,8,10,12,14"},
    {"pack:2 numa:1 core:4 pu:2", NULL, WEFT_BIND_THREADS, true, 10, 2, "0,2,4,6-8,10,12,14-15"},
    {"pack:2 numa:1 core:4 pu:2", NULL, WEFT_BIND_THREADS, true, 16, 2, "0-15"},
    {"pack:2 numa:1 core:4 pu:2", NULL, WEFT_BIND_THREADS, true, 17, 0,
     "more threads than hardware threads"},
    {"pack:2 numa:1 core:4 pu:2", NULL, WEFT_BIND_NONE, true, 8, 0, "not asked for"},
    /* two memory nodes in a package */
    {"pack:1 numa:2 core:3 pu:1", NULL, WEFT_BIND_CORES, true, 2, 2, "2,5"},
    {"pack:1 numa:2 core:3 pu:1", NULL, WEFT_BIND_CORES, false, 2, 1, "0-1"},
    /* a cpuset: of the first node one core and half of another, of the second node three cores */
    {"pack:2 numa:1 core:4 pu:2", "0-2,8-13", WEFT_BIND_CORES, false, 5, 2, "0,2,8,10,12"},
    {"pack:2 numa:1 core:4 pu:2", "0-2,8-13", WEFT_BIND_THREADS, false, 7, 2, "0-2,8-10,12"},
    {"pack:2 numa:1 core:4 pu:2", "0-2,8-13", WEFT_BIND_THREADS, true, 9, 2, "0-2,8-13"},
    {"pack:2 numa:1 core:4 pu:2", "0-2,8-13", WEFT_BIND_CORES, true, 6, 0,
     "more threads than cores"},
    /* by itself: the whole machine or several nodes, and a team that fills them */
    {"pack:1 numa:1 core:4 pu:2", NULL, WEFT_BIND_AUTO, true, 8, 1, "0-7"},
    {"pack:1 numa:1 core:4 pu:2", NULL, WEFT_BIND_AUTO, true, 4, 1, "0,2,4,6"},
    {"pack:1 numa:1 core:4 pu:2", NULL, WEFT_BIND_AUTO, true, 3, 0,
     "the team does not fill the cores it may use"},
    {"pack:1 numa:1 core:4 pu:2", NULL, WEFT_BIND_AUTO, true, 16, 0,
     "more threads than hardware threads"},
    {"pack:1 numa:1 core:4 pu:2", "0-3", WEFT_BIND_AUTO, true, 2, 0,
     "a part of the machine, on one memory node"},
    {"pack:2 numa:1 core:4 pu:1", "2-5", WEFT_BIND_AUTO, true, 4, 2, "2-5"},
    {"pack:1 numa:1 core:2 pu:1", NULL, WEFT_BIND_AUTO, true, 2, 0, "no more than two cores"},
    {"pack:1 numa:1 core:2 pu:2", NULL, WEFT_BIND_AUTO, true, 4, 0, "no more than two cores"},
    {"pack:2 numa:1 core:4 pu:1", NULL, WEFT_BIND_AUTO, true, 1, 0, "one thread"},
};

static void synthetic_machines(void **state) {
    (void)state;
    char version[WEFT_HWLOC_VERSION];
    if (weft_topology_hwloc(version) == NULL) skip();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct expected *const e = &cases[i];
        struct weft_topology t;
        size_t nodes;
        assert_true(weft_topology_synthetic(e->machine, e->allowed, &t));
        const char *const got = chosen(&t, e->how, e->spread, e->threads, &nodes);
        if (strcmp(got, e->cpus) || nodes != e->nodes)
            fail_msg("cores_before_threads case %zu: %s on %zu nodes instead of %s on %zu", i, got,
                     nodes, e->cpus, e->nodes);
        weft_topology_free(&t);
    }
    struct weft_topology t;
    assert_false(weft_topology_synthetic("core:", NULL, &t));
    assert_false(weft_topology_synthetic("core:4 pu:1", "9", &t)); /* nothing is left */
    weft_topology_free(&t);
}

/* Four fast cores with two hardware threads each, and eight slow ones with one. */
static void cores_before_threads(void **state) {
    (void)state;
    struct weft_pu pu[16];
    struct weft_topology t = {.pu = pu, .pus = 16, .cores = 12, .nodes = 1, .whole = true};
    for (size_t i = 0; i < 16; i++)
        pu[i] = (struct weft_pu){.cpu = (int)i, .core = i < 8 ? i / 2 : i - 4};
    size_t nodes;
    assert_string_equal(chosen(&t, WEFT_BIND_CORES, true, 12, &nodes), "0,2,4,6,8-15");
    assert_string_equal(chosen(&t, WEFT_BIND_THREADS, true, 12, &nodes), "0,2,4,6,8-15");
    assert_string_equal(chosen(&t, WEFT_BIND_THREADS, false, 14, &nodes), "0-4,6,8-15");
    assert_string_equal(chosen(&t, WEFT_BIND_THREADS, true, 14, &nodes), "0,2-4,6-15");
    assert_string_equal(chosen(&t, WEFT_BIND_AUTO, true, 16, &nodes), "0-15");
    const struct weft_topology none = {.pu = NULL};
    assert_string_equal(chosen(&none, WEFT_BIND_CORES, true, 1, &nodes),
                        "the topology is not known");
}

/* Any number of threads: each CPU once, none that is not allowed, no second thread on a core while
 * another one has none. */
static void nothing_twice(void **state) {
    (void)state;
    uint64_t seed = 3;
    for (int round = 0; round < 300; round++) {
        struct weft_pu pu[256];
        struct weft_topology t = {.pu = pu, .whole = true};
        while (t.cores < 1 + (size_t)round % 64)
            for (size_t i = 0, n = 1 + unit_random(&seed) % 4, c = t.cores++; i < n; i++, t.pus++)
                pu[t.pus] = (struct weft_pu){.cpu = (int)(3 * t.pus + 1), .core = c, .node = c / 8};
        t.nodes = pu[t.pus - 1].node + 1;
        const size_t threads = 1 + unit_random(&seed) % t.pus;
        int cpu[256];
        const char *why;
        const size_t nodes =
            weft_topology_bind(&t, WEFT_BIND_THREADS, round % 2 == 0, threads, cpu, &why);
        assert_in_range(nodes, 1, t.nodes);
        size_t on[64] = {0}, least = SIZE_MAX;
        for (size_t i = 0; i < threads; i++) {
            assert_true(cpu[i] % 3 == 1 && cpu[i] < (int)(3 * t.pus));
            if (i > 0) assert_true(cpu[i] > cpu[i - 1]);
            on[pu[cpu[i] / 3].core]++;
        }
        for (size_t c = 0; c < t.cores; c++) least = on[c] < least ? on[c] : least;
        for (size_t c = 0; c < t.cores && least == 0; c++) assert_true(on[c] <= 1);
    }
}

static void this_machine(void **state) {
    (void)state;
    struct weft_topology t;
    char version[WEFT_HWLOC_VERSION];
    if (weft_topology_hwloc(version) == NULL) skip();
    assert_true(version[0] >= '2');
    assert_true(weft_topology_read(&t));
    assert_true(t.pus >= t.cores && t.cores >= t.nodes && t.nodes >= 1);
    struct weft_cpu_info cpu;
    weft_cpu_query(&cpu);
    assert_int_equal(t.pus, cpu.cpuset);
    weft_topology_free(&t);
}

static void lists_as_text(void **state) {
    (void)state;
    char text[12];
    const int cpu[] = {4, 5, 6, 9, 11, 12};
    assert_string_equal(weft_cpus_text(cpu, 6, text, sizeof text), "4-6,9,11-12");
    assert_string_equal(weft_cpus_text(cpu, 6, text, 9), "4-6...");
    assert_string_equal(weft_cpus_text(cpu, 1, text, sizeof text), "4");
    assert_string_equal(weft_cpus_text(cpu, 0, text, sizeof text), "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(synthetic_machines), cmocka_unit_test(cores_before_threads),
        cmocka_unit_test(nothing_twice),      cmocka_unit_test(this_machine),
        cmocka_unit_test(lists_as_text),
    };
    return cmocka_run_group_tests_name("topology", tests, NULL, NULL);
}
