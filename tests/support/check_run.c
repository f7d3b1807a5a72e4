/* The runner: families x cases x ISAs x placements; see check.h. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "tests/support/check_state.h"
#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

enum { REPORTS = 3 }; /* failures printed in full, per family */

/* The two at the guards first: --quick stops after them. */
static const struct check_place places[] = {{"END", true, 0},
                                            {"START", false, 0},
                                            {"END, off by some", true, 3},
                                            {"START, off by some", false, 8}};
enum { PLACES = sizeof places / sizeof *places, PLACES_QUICK = 2 };

struct options {
    const char *isa;
    const char *family;
    long only; /* --case; -1: all */
    bool full, quick, list;
    bool bf16; /* only that type */
};

size_t check_tables(const struct weft_kernels *out[8]) {
    size_t n = 0;
#define WEFT_KERNEL_ISA(name)                                                                      \
    if (n < 8) out[n++] = &weft_kernels_##name;
#include "kernels/isa.def"
#undef WEFT_KERNEL_ISA
#if defined(__x86_64__)
    size_t kept = 0;
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512vl");
    for (size_t i = 0; i < n; i++) {
        if (!strncmp(out[i]->isa, "avx512", 6) && !avx512) continue;
        if (out[i]->bf16_word == 2 && !__builtin_cpu_supports("avx512bf16")) continue;
        if (!strncmp(out[i]->isa, "avx2", 4) && !avx2) continue;
        out[kept++] = out[i];
    }
    n = kept;
#elif defined(__aarch64__) && defined(__linux__)
    if (n > 0 && out[n - 1]->bf16_word == 2 && !(getauxval(AT_HWCAP2) & HWCAP2_BF16)) n--;
#endif
    return n;
}

bool check_fail(struct check_run *r, const char *format, ...) {
    if (++r->failures > REPORTS) {
        if (r->failures == REPORTS + 1) printf("more failures of %s not shown\n", r->family->name);
        return false;
    }
    va_list ap;
    va_start(ap, format);
    printf("FAIL %s%s case %zu, %s, placed %s: ", r->family->name, r->c->bf16 ? " in bf16" : "",
           r->c->index, r->k->isa, r->place);
    vprintf(format, ap);
    va_end(ap);
    printf("\n  repro: %s --family %s --case %zu", r->program, r->family->name, r->c->index);
    if (!r->across) printf(" --isa %s", r->k->isa);
    printf("%s%s\n", r->c->bf16 ? " --bf16" : "", r->c->full ? " --full" : "");
    const struct check_state *s = r->c->state;
    for (size_t i = 0; i < s->args; i++)
        printf("%s%s(%zu,%zu) ld=%zu", i ? ", " : "  args:  ", s->arg[i].name, s->arg[i].rows,
               s->arg[i].cols, s->arg[i].ld);
    putchar('\n');
    return true;
}

/* One call in one placement; the outputs stay in their buffers for the next look. */
static bool call_once(struct check_run *r, const struct check_place *place, unsigned poison) {
    check_place_all(r->c, place, poison);
    return check_guarded_call(r) && check_place_intact(r);
}

/* Both calls in one placement: values, then the same bits again on other poison. */
static bool run_place(struct check_run *r, const struct check_place *place) {
    struct check_state *s = r->c->state;
    r->place = place->name;
    for (unsigned poison = 0; poison < 2; poison++) {
        if (!call_once(r, place, poison)) return false;
        for (size_t i = 0; i < s->args; i++) {
            if (!s->arg[i].want) continue;
            if (poison == 0 && !check_values(r, &s->arg[i], poison)) return false;
            if (!check_same_bits(r, i, poison ? "two calls" : "placements or ISAs")) return false;
        }
    }
    return true;
}

bool check_own_bits(const struct weft_kernels *k, const char *weights, const char *kv) {
    const bool dots = (weights && strcmp(weights, "f32") != 0) || (kv && strcmp(kv, "f32") != 0);
    return k->bf16_word > 1 && dots;
}

static void run_case(struct check_run *r, const struct options *o, size_t index) {
    struct check_state state;
    struct check *c = r->c;
    check_case_begin(c, &state, r->family->name, index);
    c->elem = r->family->elem;
    r->family->draw(c);
    if (c->bf16) check_case_round(c);
    r->family->oracle(c);
    if (c->bf16) check_case_widen(c);
    if (!check_case_ready(c)) check_die("out of memory");
    const struct weft_kernels *tables[8];
    const size_t n = check_tables(tables);
    for (size_t t = 0; t < n; t++) {
        r->k = tables[t];
        if (o->isa && strcmp(o->isa, r->k->isa) != 0) continue;
        const bool dot = r->k->bf16_word > 1;
        if (dot && (!c->bf16 || r->family->flags & CHECK_NO_DOT)) continue;
        if (r->family->flags & (dot ? CHECK_DOT_BITS | CHECK_ANY_ISA_BITS : CHECK_ANY_ISA_BITS))
            memset(state.bits_by, 0, sizeof state.bits_by);
        for (size_t p = 0; p < (o->quick ? PLACES_QUICK : PLACES); p++)
            if (!run_place(r, &places[p])) break; /* one report per case and ISA */
    }
    check_case_end(c);
}

/* A family proves something when each of its outputs was checked with a bound below its values. */
static void check_vacuous(struct check_run *r) {
    if (r->family->flags & CHECK_NO_VACUOUS) return;
    if (!r->tally[0].name) {
        printf("FAIL %s is vacuous: it has no output\n", r->family->name);
        r->failures++;
    }
    for (const struct check_tally *t = r->tally; t < r->tally + CHECK_ARGS && t->name; t++) {
        if (t->checked && t->sharp) continue;
        printf("FAIL %s is vacuous: %s of its output %s\n", r->family->name,
               t->checked ? "no bound is below the values" : "no element is checked", t->name);
        r->failures++;
    }
}

static bool run_family(const struct check_family *f, const char *program, const struct options *o,
                       bool bf16) {
    const struct weft_kernels *tables[8];
    const size_t all = check_tables(tables);
    struct check c = {.full = o->full, .bf16 = bf16};
    struct check_run r = {.program = program, .family = f, .c = &c, .quick = o->quick};
    size_t isas = 0;
    for (size_t i = 0; i < all; i++) {
        isas += !o->isa || !strcmp(o->isa, tables[i]->isa);
        if (tables[i]->vl > c.vl) c.vl = tables[i]->vl;
    }
    size_t cases = f->cases;
    if (o->full) cases *= 8;
    if (o->quick) cases = (cases + 3) / 4;
    if (bf16) cases = (cases + 2) / 3;
    size_t done = 0;
    for (size_t i = 0; i < cases || (long)i <= o->only; i++) {
        if (o->only >= 0 && (long)i != o->only) continue;
        run_case(&r, o, i);
        done++;
    }
    if (o->only < 0 && !o->quick) check_vacuous(&r);
    if (isas == 0 || done == 0) r.failures++;
    printf("%s%s %zu cases x %zu ISAs ", f->name, bf16 ? " in bf16" : "", done, isas);
    if (r.failures)
        printf("FAILED (%zu)\n", r.failures);
    else
        printf("ok, largest error %.2f of its bound\n", r.worst);
    return r.failures == 0;
}

static bool parse(int argc, char **argv, struct options *o) {
    const char *env = getenv("WEFT_CHECK");
    o->quick = env && !strcmp(env, "quick");
    o->full = env && !strcmp(env, "full");
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (!strcmp(a, "--list"))
            o->list = true;
        else if (!strcmp(a, "--full"))
            o->full = true;
        else if (!strcmp(a, "--quick"))
            o->quick = true;
        else if (!strcmp(a, "--bf16"))
            o->bf16 = true;
        else if (!strcmp(a, "--isa") && value)
            o->isa = argv[++i];
        else if (!strcmp(a, "--family") && value)
            o->family = argv[++i];
        else if (!strcmp(a, "--case") && value)
            o->only = strtol(argv[++i], NULL, 10);
        else
            return false;
    }
    return true;
}

int check_main(int argc, char **argv, const struct check_family *const *families, size_t n) {
    struct options o = {.only = -1};
    if (!parse(argc, argv, &o)) {
        fprintf(stderr,
                "usage: %s [--isa NAME] [--family NAME] [--case N] [--bf16] [--list] "
                "[--full] [--quick]\n",
                argv[0]);
        return 2;
    }
    if (o.list) {
        for (size_t i = 0; i < n; i++) printf("%s %zu\n", families[i]->name, families[i]->cases);
        return 0;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    check_guard_install();
    size_t ran = 0;
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        if (o.family && strcmp(o.family, families[i]->name) != 0) continue;
        if (!o.bf16 && !(families[i]->flags & CHECK_ONLY_BF16))
            ok &= run_family(families[i], argv[0], &o, false);
        if (families[i]->elem) ok &= run_family(families[i], argv[0], &o, true);
        ran++;
    }
    check_guard_remove();
    if (ran == 0) fprintf(stderr, "%s: no family %s\n", argv[0], o.family ? o.family : "at all");
    return ok && ran ? 0 : 1;
}
