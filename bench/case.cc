// Cases: registration, the measuring loop, verification.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <map>
#include <stdexcept>

#include "bench/bench.h"

namespace bench {

Options options;

void check_close(const char *what, size_t index, double got, double want, double bound) {
    if (std::fabs(got - want) <= bound) return;
    char text[160];
    std::snprintf(text, sizeof text, "wrong: %s[%zu] is %.9g, not %.9g within %.2g", what, index,
                  got, want, bound);
    throw std::runtime_error(text);
}

std::string dims(std::initializer_list<std::pair<const char *, size_t>> list) {
    std::string s;
    for (const auto &[name, value] : list)
        s += std::string("/") + name + ":" + std::to_string(value);
    return s;
}

static void count(benchmark::State &state, const Work &w, double steal, double seconds) {
    using benchmark::Counter;
    const auto rate = Counter::kIsIterationInvariantRate;
    if (w.flops > 0) state.counters["GFLOP/s"] = Counter(1e-9 * w.flops, rate);
    if (w.bytes > 0) state.counters["GB/s"] = Counter(1e-9 * w.bytes, rate);
    if (w.items > 0) state.counters["items/s"] = Counter(w.items, rate);
    if (w.least > 0) state.counters["%"] = Counter(100 * w.least, rate);
    // only where there was some: Google Benchmark writes 0/0 as NaN, which is no JSON
    if (steal > 0 && seconds > 0) state.counters["steal%"] = 100 * steal / seconds;
    state.SetLabel(w.binds);
}

using Clock = std::chrono::steady_clock;

static double since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

// Until pages, caches and the clock are as they stay: the first calls take up to a third longer.
static void warm_up(const Case &c) {
    const auto start = Clock::now();
    do c.timed ? static_cast<void>(c.timed(0)) : c.run(0);
    while (since(start) < 0.05);
}

static void loop(benchmark::State &state, const Case &c) {
    size_t turn = 0;
    if (c.timed) {
        for (auto _ : state) state.SetIterationTime(c.timed(turn++));
    } else {
        for (auto _ : state) c.run(turn++);
    }
}

static void measure(benchmark::State &state, const Case &c) {
    try {
        const Work w = c.prepare();
        warm_up(c);
        const double stolen = steal_seconds();
        const auto start = Clock::now();
        loop(state, c);
        count(state, w, steal_seconds() - stolen, since(start));
    } catch (const std::exception &e) {
        state.SkipWithError(e.what());
    }
    c.finish();
}

static std::map<std::string, size_t> registered;

size_t order_of(const std::string &name) {
    const auto at = registered.find(name);
    return at == registered.end() ? registered.size() : at->second;
}

void add(Case c) {
    for (int copy = 0; copy < (options.again ? 2 : 1); copy++) {
        const std::string name = c.name + (copy ? "/again" : "");
        registered.emplace(name, registered.size());
        auto *b =
            benchmark::RegisterBenchmark(name.c_str(), [c](benchmark::State &s) { measure(s, c); });
        b->Unit(benchmark::kMicrosecond);
        c.timed ? b->UseManualTime() : b->UseRealTime();
    }
}

} // namespace bench
