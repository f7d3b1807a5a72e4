// What the benchmark families share: operands, the limit that binds a piece of work, and the loop.
//
// A family registers its cases by name, <op>/<dtype>/<who>/<dims>/<hot|cold>/threads:<n>; nothing
// is allocated or measured before a case runs. Every case is verified once against the double
// oracle, and then timed; its counters say how fast, and what share of the limit that is.
#ifndef WEFT_BENCH_BENCH_H
#define WEFT_BENCH_BENCH_H

#include <benchmark/benchmark.h>

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "bench/weft_c.h"

namespace bench {

struct Options {
    std::vector<int> threads;       // thread counts of the threaded cases
    std::vector<std::string> isas;  // tables to measure
    std::vector<std::string> dots;  // those with dot products, for products in bf16
    std::vector<std::string> peers; // libraries to measure beside weft
    bool again = false;             // every case twice: what the two differ by is noise
    bool quick = false;
};
extern Options options;
// Tables to measure in bf16: those with dot products, if there are some.
inline const std::vector<std::string> &half_isas() {
    return options.dots.empty() ? options.isas : options.dots;
}

// ---- machine.cc: limits, measured on first use ----
double fma_gflops(const weft_kernels *k, int threads);
double bf16_gflops(const weft_kernels *k, int threads); // of products in bf16: FMAs or dot products
// Seconds to move n floats of each of the streams, hot (as often as they fit) or cold; in place as
// the op would.
double move_seconds(const weft_kernels *k, size_t n, size_t ins, size_t outs, bool in_place,
                    int threads, bool cold);
// Bytes a second of a loop that reads so many (0: far more than caches hold) again and again, now.
double read_rate(const std::string &isa, int threads, size_t bytes);
void print_machine();
double steal_seconds(); // of all cores, since boot
size_t last_level_cache();
const weft_kernels *table(const std::string &isa); // NULL: not here
std::vector<std::string> tables();                 // that this CPU can run, best first
// fn(thread, threads) on a team of OpenMP threads.
void team(int threads, const std::function<void(int, int)> &fn);

// ---- operands ----
// Sets of arrays: one when hot; when cold as many as keep the last-level cache from helping.
class Operands {
  public:
    Operands(std::vector<size_t> floats, bool cold);
    ~Operands();
    Operands(const Operands &) = delete;
    Operands &operator=(const Operands &) = delete;
    // Array i of the set that iteration `turn` uses.
    float *at(size_t i, size_t turn) const { return base_ + turn % sets_ * stride_ + offset_[i]; }
    size_t size(size_t i) const { return floats_[i]; }
    size_t sets() const { return sets_; }
    size_t bytes() const { return bytes_; } // of all sets

  private:
    std::vector<size_t> floats_, offset_;
    size_t stride_ = 0, sets_ = 1, bytes_ = 0;
    float *base_ = nullptr;
};

// ---- cases ----
struct Work {
    double flops = 0; // executed
    double bytes = 0; // that must move at least
    double least = 0; // seconds that the limit allows
    double items = 0; // tokens or samples
    const char *binds = "";
};

struct Case {
    std::string name;
    std::function<Work()> prepare;            // allocate; verify (an exception is an error)
    std::function<void(size_t turn)> run;     // one iteration
    std::function<void()> finish = [] {};     // release
    std::function<double(size_t)> timed = {}; // instead of run: gives its own seconds
};
// Registers it, twice with options.again.
void add(Case c);
size_t order_of(const std::string &name); // of registration
void add_products();
void add_kernels();
void add_attention();
void add_models();
void add_compact();

// |got - want| <= bound for a sample of elements: throws std::runtime_error naming the first one
// that is outside (a NaN is).
void check_close(const char *what, size_t index, double got, double want, double bound);

std::string dims(std::initializer_list<std::pair<const char *, size_t>> list);

} // namespace bench
#endif
