#include "bench/table.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <set>

#include "bench/bench.h"

namespace bench {

double median(std::vector<double> x) {
    std::sort(x.begin(), x.end());
    const size_t n = x.size();
    return n == 0 ? NAN : n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

Interval ratio(const std::vector<double> &a, const std::vector<double> &b) {
    std::mt19937 random(1);
    const auto again = [&](const std::vector<double> &x) {
        std::vector<double> y(x.size());
        for (double &v : y) v = x[random() % x.size()];
        return median(y);
    };
    std::vector<double> r(2000);
    for (double &v : r) v = again(a) / again(b);
    std::sort(r.begin(), r.end());
    return {r[49], median(a) / median(b), r[1949]};
}

// ---- collecting ----
static double counter(const benchmark::BenchmarkReporter::Run &run, const char *name) {
    const auto at = run.counters.find(name);
    return at == run.counters.end() ? 0 : at->second.value;
}

// The name without what Google Benchmark appends to it.
static std::string plain_name(const benchmark::BenchmarkReporter::Run &run) {
    return run.run_name.function_name;
}

void Table::ReportRuns(const std::vector<Run> &runs) {
    for (const Run &run : runs) {
        const std::string name = plain_name(run);
        if (run.error_occurred) {
            std::fprintf(stderr, "weft: %s: %s\n", name.c_str(), run.error_message.c_str());
            failed_ = true;
            continue;
        }
        if (run.run_type != Run::RT_Iteration) continue;
        const auto [at, fresh] = index_.emplace(name, rows_.size());
        if (fresh) rows_.push_back(Row{name, run.report_label, {}});
        Row &row = rows_[at->second];
        const double each = run.real_accumulated_time / static_cast<double>(run.iterations);
        if (row.seconds.empty() ||
            each < *std::min_element(row.seconds.begin(), row.seconds.end())) {
            row.gflops = counter(run, "GFLOP/s");
            row.gbs = counter(run, "GB/s");
            row.share = counter(run, "%");
            row.items = counter(run, "items/s");
        }
        row.steal = std::max(row.steal, counter(run, "steal%"));
        row.seconds.push_back(each);
    }
}

// ---- printing ----
static std::string duration(double seconds) {
    char text[32];
    if (seconds < 1e-3)
        std::snprintf(text, sizeof text, "%.2f us", 1e6 * seconds);
    else if (seconds < 1)
        std::snprintf(text, sizeof text, "%.3f ms", 1e3 * seconds);
    else
        std::snprintf(text, sizeof text, "%.3f s", seconds);
    return text;
}

void Table::print_rows() const {
    size_t width = 4;
    for (const Row &r : rows_) width = std::max(width, r.name.size());
    const int w = static_cast<int>(width);
    std::printf("%-*s %12s %12s %9s %8s %10s  %s\n", w, "case", "best", "median", "GFLOP/s", "GB/s",
                "items/s", "of the limit");
    for (const Row &r : rows_) {
        const double best = *std::min_element(r.seconds.begin(), r.seconds.end());
        std::printf("%-*s %12s %12s", w, r.name.c_str(), duration(best).c_str(),
                    duration(median(r.seconds)).c_str());
        r.gflops > 0 ? std::printf(" %9.1f", r.gflops) : std::printf(" %9s", "");
        r.gbs > 0 ? std::printf(" %8.1f", r.gbs) : std::printf(" %8s", "");
        r.items > 0 ? std::printf(" %10.4g", r.items) : std::printf(" %10s", "");
        std::printf("  %5.1f%% (%s)%s\n", r.share, r.binds.c_str(),
                    r.steal > 2 ? ", disturbed by other guests" : "");
    }
}

// A case of a peer differs from weft's in the third part of its name only.
static std::string with_who(const std::string &name, const std::string &who, std::string *was) {
    const size_t a = name.find('/', name.find('/') + 1) + 1, b = name.find('/', a);
    *was = name.substr(a, b - a);
    return name.substr(0, a) + who + name.substr(b);
}

static const char *verdict(const Interval &r) {
    return r.low > 1 ? "weft is faster" : r.high < 1 ? "weft is slower" : "inconclusive";
}

void Table::print_peers() const {
    static const std::set<std::string> known = {"onednn", "openblas", "blis", "mkl", "libxsmm"};
    std::map<std::string, std::vector<double>> logs; // per peer, of medians' ratios
    for (const Row &r : rows_) {
        std::string who, ignored;
        with_who(r.name, "", &who);
        if (!known.count(who)) continue;
        for (const char *isa : {"avx512bf16", "avx512", "avx2", "neonbf16", "neon", "emu"}) {
            const auto at = index_.find(with_who(r.name, isa, &ignored));
            if (at == index_.end()) continue;
            const Interval x = ratio(r.seconds, rows_[at->second].seconds);
            if (logs.empty())
                std::printf("\nspeed of weft over a peer: ratio of medians [95%% interval]\n");
            std::printf("%-8s %.3f [%.3f, %.3f] %-15s %s\n", who.c_str(), x.mid, x.low, x.high,
                        verdict(x), rows_[at->second].name.c_str());
            logs[who + " by " + isa].push_back(std::log(x.mid));
            break;
        }
    }
    for (const auto &[who, list] : logs) {
        double sum = 0;
        for (const double l : list) sum += l;
        std::printf("geometric mean over %s: %.3f\n", who.c_str(),
                    std::exp(sum / static_cast<double>(list.size())));
    }
}

void Table::print_noise() const {
    std::vector<double> differences;
    for (const Row &r : rows_) {
        const auto at = index_.find(r.name + "/again");
        if (at != index_.end())
            differences.push_back(
                std::fabs(median(r.seconds) / median(rows_[at->second].seconds) - 1));
    }
    if (differences.empty()) return;
    std::sort(differences.begin(), differences.end());
    std::printf("\nnoise: two runs of the same differ by %.1f%% in the median, %.1f%% at worst "
                "(%zu pairs)\n",
                100 * median(differences), 100 * differences.back(), differences.size());
}

void Table::Finalize() {
    if (rows_.empty()) return;
    std::sort(rows_.begin(), rows_.end(),
              [](const Row &a, const Row &b) { return order_of(a.name) < order_of(b.name); });
    for (size_t i = 0; i < rows_.size(); i++) index_[rows_[i].name] = i;
    print_rows();
    print_peers();
    print_noise();
}

} // namespace bench
