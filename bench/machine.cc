// The machine's limits and noise: FMA and dot-product peaks, memory streams, what it costs to start
// and to join a team, time stolen by other guests of the host.
#include <omp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <tuple>

#include "bench/bench.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace bench {

static double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

// The best of several rounds: interference only ever slows one down.
static double best_of(int rounds, const std::function<void()> &work) {
    double best = INFINITY;
    for (int i = 0; i < rounds; i++) {
        const double start = now();
        work();
        best = std::min(best, now() - start);
    }
    return best;
}

void team(int threads, const std::function<void(int, int)> &fn) {
    if (threads == 1) {
        fn(0, 1);
        return;
    }
#pragma omp parallel num_threads(threads)
    fn(omp_get_thread_num(), omp_get_num_threads());
}

// ---- instruction sets ----
std::vector<std::string> tables() {
    const weft_kernels *all[8];
    const size_t n = weft_tables(all, 8);
    std::vector<std::string> names;
    for (size_t i = n; i-- > 0;)
        if (weft_cpu_can(all[i]->isa)) names.push_back(all[i]->isa);
    return names;
}

const weft_kernels *table(const std::string &isa) {
    const weft_kernels *all[8];
    const size_t n = weft_tables(all, 8);
    for (size_t i = 0; i < n; i++)
        if (isa == all[i]->isa && weft_cpu_can(all[i]->isa)) return all[i];
    return nullptr;
}

// ---- arithmetic ----
static double peak(const weft_kernels *k, void (*fmas)(size_t, float *), size_t terms,
                   int threads) {
    static std::map<std::pair<void (*)(size_t, float *), int>, double> known;
    double &best = known[{fmas, threads}];
    const bool first = best == 0;
    size_t rounds = 32;
    for (float sink[16]; best_of(1, [&] { fmas(rounds, sink); }) < 1e-3;) rounds *= 2;
    // the clock drifts: every case looks again, and the fastest moment counts
    const double t = best_of(first ? 20 : 3, [&] {
        team(threads, [&](int, int) {
            float sink[16];
            fmas(rounds, sink);
        });
    });
    const double flops =
        2.0 * static_cast<double>(k->vl * terms * WEFT_LIMIT_FMAS * rounds) * threads;
    best = std::max(best, 1e-9 * flops / t);
    return best;
}

double fma_gflops(const weft_kernels *k, int threads) {
    return peak(k, k->limit_fma_f32, 1, threads);
}
double bf16_gflops(const weft_kernels *k, int threads) {
    return peak(k, k->limit_fma_bf16, k->bf16_word, threads);
}

#if defined(__x86_64__)
__attribute__((target("avx512f,avx512vnni"))) static void int8_dots(size_t rounds, float *sink) {
    __m512i c[12];
    for (auto &x : c) x = _mm512_setzero_si512();
    const __m512i a = _mm512_set1_epi8(1);
    for (size_t r = 0; r < rounds; r++) {
#pragma GCC unroll 12
        for (auto &x : c) {
            x = _mm512_dpbusd_epi32(x, a, a);
            benchmark::DoNotOptimize(x); // or equal chains become one
        }
    }
    for (size_t i = 1; i < 12; i++) c[0] = _mm512_add_epi32(c[0], c[i]);
    _mm512_storeu_si512(sink, c[0]);
}
#endif

// Operations a second of the dot products of int8 on all threads; 0: the CPU lacks them.
static double int8_gops(int threads) {
#if defined(__x86_64__)
    if (!__builtin_cpu_supports("avx512vnni")) return 0;
    const size_t rounds = 200000;
    const double t = best_of(10, [&] {
        team(threads, [&](int, int) {
            float sink[16];
            int8_dots(rounds, sink);
            benchmark::DoNotOptimize(sink);
        });
    });
    return 1e-9 * 128 * 12 * static_cast<double>(rounds) * threads / t;
#else
    (void)threads;
    return 0;
#endif
}

// ---- memory ----
size_t last_level_cache() {
    weft_cpu_info cpu;
    weft_cpu_query(&cpu);
    const size_t size = std::max({cpu.l3, cpu.l2, cpu.l1d});
    return size ? size : size_t{32} << 20;
}

static void share(size_t n, int thread, int threads, size_t *lo, size_t *count) {
    const size_t units = (n + 15) / 16;
    *lo = std::min(n, units * thread / threads * 16);
    *count = std::min(n, units * (thread + 1) / threads * 16) - *lo;
}

double move_seconds(const weft_kernels *k, size_t n, size_t ins, size_t outs, bool in_place,
                    int threads, bool cold) {
    using Key = std::tuple<const weft_kernels *, size_t, size_t, size_t, bool, int, bool>;
    static std::map<Key, double> known;
    double &best = known[{k, n, ins, outs, in_place, threads, cold}];
    std::vector<size_t> floats(in_place ? ins : ins + outs, n);
    const Operands o(floats, cold);
    const size_t bytes = 4 * n * (ins + outs);
    const size_t repeats = std::max<size_t>(1, (size_t{8} << 20) / bytes);
    size_t turn = 0;
    const double t = best_of(best == 0 ? 10 : 3, [&] {
        for (size_t r = 0; r < repeats; r++, turn++)
            team(threads, [&](int thread, int size) {
                size_t lo, count;
                share(n, thread, size, &lo, &count);
                const float *in[4] = {};
                float *out[3] = {};
                for (size_t i = 0; i < ins; i++) in[i] = o.at(i, turn) + lo;
                for (size_t i = 0; i < outs; i++) out[i] = o.at(in_place ? i : ins + i, turn) + lo;
                k->limit_move_f32(count, ins, in, outs, out);
            });
    });
    const double each = t / static_cast<double>(repeats);
    best = best == 0 ? each : std::min(best, each);
    return best;
}

// ---- operands ----
Operands::Operands(std::vector<size_t> floats, bool cold) : floats_(std::move(floats)) {
    for (const size_t n : floats_) {
        offset_.push_back(stride_);
        stride_ += (n + 31) / 16 * 16; // whole lines, and one between
    }
    if (cold) sets_ = std::min<size_t>(4 * last_level_cache() / (4 * stride_) + 2, 4096);
    const size_t huge = size_t{2} << 20;
    bytes_ = (4 * stride_ * sets_ + huge) / huge * huge;
    void *const p =
        mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) throw std::bad_alloc();
    madvise(p, bytes_, MADV_HUGEPAGE);
    base_ = static_cast<float *>(p);
    unsigned seed = 1;
    for (size_t i = 0; i < stride_ * sets_; i++) { // uniform in (-1, 1), never denormal
        seed = seed * 1664525u + 1013904223u;
        base_[i] = static_cast<float>(seed >> 8 | 1) * 0x1p-23f - 1.0f;
    }
}

Operands::~Operands() { munmap(base_, bytes_); }

// ---- noise ----
double steal_seconds() {
    std::ifstream stat("/proc/stat");
    std::string cpu;
    double field = 0, steal = 0;
    stat >> cpu;
    for (int i = 0; i < 8 && stat >> field; i++)
        steal = field; // user nice system idle iowait irq softirq steal
    return steal / static_cast<double>(sysconf(_SC_CLK_TCK));
}

// ---- what it prints ----
static void print_team_costs(int threads) {
    const int rounds = 2000;
    const double start = best_of(5, [&] {
        for (int i = 0; i < rounds; i++) team(threads, [](int, int) {});
    });
    const double wait = best_of(5, [&] {
#pragma omp parallel num_threads(threads)
        for (int i = 0; i < rounds; i++) {
#pragma omp barrier
        }
    });
    std::printf("team of %d  start and join %.2f us, barrier %.2f us\n", threads,
                1e6 * start / rounds, 1e6 * wait / rounds);
}

static double read_seconds(const weft_kernels *k, const Operands &o, int threads) {
    return best_of(5, [&] {
        team(threads, [&](int thread, int size) {
            size_t lo, count;
            float sink[16];
            share(o.size(0), thread, size, &lo, &count);
            k->limit_read_f32(count, o.at(0, 0) + lo, sink);
        });
    });
}

// Floats of an array of which a last-level cache, also one larger than it says, holds little; 1 GiB.
static size_t beyond_caches() {
    return std::min(4 * std::max(last_level_cache(), size_t{16} << 20), size_t{256} << 20);
}

double read_rate(const std::string &isa, int threads, size_t bytes) {
    const Operands o({bytes ? bytes / 4 : beyond_caches()}, false);
    return 4 * static_cast<double>(o.size(0)) / read_seconds(table(isa), o, threads);
}

// Arrays of 16 times the last-level cache, of 4 times where there are several.
static void print_streams() {
    const weft_kernels *const k = table(tables().front());
    const size_t n = beyond_caches() / 4;
    const struct {
        const char *name;
        size_t ins, outs;
        bool in_place;
    } streams[] = {{"copy GB/s", 1, 1, false},
                   {"triad GB/s", 2, 1, false},
                   {"AdamW streams GB/s", 4, 3, true}};
    std::printf("\n%-28s", "read GB/s");
    for (const int t : options.threads) std::printf("%10.1f", 1e-9 * read_rate(k->isa, t, 0));
    for (const auto &s : streams) {
        std::printf("\n%-28s", s.name);
        const double bytes = 4 * static_cast<double>(n * (s.ins + s.outs));
        for (const int t : options.threads)
            std::printf("%10.1f",
                        1e-9 * bytes / move_seconds(k, n, s.ins, s.outs, s.in_place, t, false));
    }
}

void print_machine() {
    weft_cpu_info cpu;
    weft_cpu_query(&cpu);
    std::printf("%s, %s; weft %s, %s\n\n", cpu.model, tables().front().c_str(), weft_version(),
                weft_compiler());
    std::printf("%-28s", "threads");
    for (const int t : options.threads) std::printf("%10d", t);
    for (const auto &isa : tables()) {
        if (table(isa)->bf16_word == 2) continue;
        std::printf("\n%-28s", ("f32 FMA " + isa + " GFLOP/s").c_str());
        for (const int t : options.threads) std::printf("%10.1f", fma_gflops(table(isa), t));
    }
    for (const auto &isa : options.dots) {
        std::printf("\n%-28s", ("bf16 dot " + isa + " GFLOP/s").c_str());
        for (const int t : options.threads) std::printf("%10.1f", bf16_gflops(table(isa), t));
    }
    std::printf("\n%-28s", "int8 dot GOP/s");
    for (const int t : options.threads) {
        const double rate = int8_gops(t);
        rate > 0 ? std::printf("%10.1f", rate) : std::printf("%10s", "-");
    }
    print_streams();
    std::printf("\n");
    for (const int t : options.threads)
        if (t > 1) print_team_costs(t);
    std::printf("\n");
}

} // namespace bench
