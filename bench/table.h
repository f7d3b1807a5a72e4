// The results as people read them: one line a case, then weft beside its peers, then the noise.
#ifndef WEFT_BENCH_TABLE_H
#define WEFT_BENCH_TABLE_H

#include <benchmark/benchmark.h>

#include <map>
#include <string>
#include <vector>

namespace bench {

class Table final : public benchmark::BenchmarkReporter {
  public:
    bool ReportContext(const Context &) override { return true; }
    void ReportRuns(const std::vector<Run> &runs) override;
    void Finalize() override;
    bool failed() const { return failed_; }

  private:
    struct Row {
        std::string name, binds;
        std::vector<double> seconds; // of an iteration, one a repetition
        double gflops = 0, gbs = 0, share = 0, items = 0, steal = 0; // of the fastest repetition
    };
    void print_rows() const;
    void print_peers() const;
    void print_noise() const;
    std::vector<Row> rows_;
    std::map<std::string, size_t> index_;
    bool failed_ = false;
};

double median(std::vector<double> x);
// 95% interval of median(a) / median(b) by bootstrap: 2000 resamples with a fixed seed.
struct Interval {
    double low, mid, high;
};
Interval ratio(const std::vector<double> &a, const std::vector<double> &b);

} // namespace bench
#endif
