// weft-bench: Google Benchmark over weft's kernels, products, attention and models. Its own options
// come beside Google Benchmark's; what it adds are limits, verification, peers and a table.
#include <omp.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <sstream>

#include "bench/bench.h"
#include "bench/peer.h"
#include "bench/table.h"

using bench::options;

static std::vector<std::string> split(const std::string &text) {
    std::vector<std::string> parts;
    std::stringstream in(text);
    for (std::string part; std::getline(in, part, ',');)
        if (!part.empty()) parts.push_back(part);
    return parts;
}

static const char usage[] =
    "weft: how fast, and what share of the machine's limit\n"
    "\n"
    "  --quick              a minute's worth: the limits and some cases of every family\n"
    "  --threads=N,N        thread counts (default: 1 and all cores this process may use)\n"
    "  --isa=NAME,NAME      instruction sets (default: the best of this CPU in f32, and in bf16)\n"
    "  --peers=NAME,NAME    onednn, openblas, blis, mkl, libxsmm; WEFT_PEER_<NAME>=FILE names the library\n"
    "  --again              every case twice: prints what two runs of the same differ by\n"
    "  --benchmark_...      Google Benchmark's options: --benchmark_filter=REGEX,\n"
    "                       --benchmark_list_tests, --benchmark_out=FILE, "
    "--benchmark_repetitions=N ...\n";

// What --quick looks at.
static const char quick_filter[] =
    "^(gemm_nt/.*/M:256/N:3072/K:768/.*/gpt2|gemm_.*/hot/.*/square|attention_.*T:1024/"
    "HS:64|gelu_tanh|layernorm_.*rows:1024|adamw|"
    "step/mlp-784-256-128-10/B:128|step/mlp-13).*";

static bool take(const char *argument, const char *name, std::string *value) {
    const size_t n = std::strlen(name);
    if (std::strncmp(argument, name, n) != 0 || argument[n] != '=') return false;
    *value = argument + n + 1;
    return true;
}

static int fail(const std::string &why) {
    std::fprintf(stderr, "weft: %s\n", why.c_str());
    return 2;
}

// Takes its own options out of argv. Empty, or what is wrong.
static std::string parse(int *argc, char **argv) {
    int kept = 1;
    for (int i = 1; i < *argc; i++) {
        std::string value;
        if (!std::strcmp(argv[i], "--quick")) {
            options.quick = true;
        } else if (!std::strcmp(argv[i], "--again")) {
            options.again = true;
        } else if (take(argv[i], "--peers", &value)) {
            options.peers = split(value);
        } else if (take(argv[i], "--isa", &value)) {
            options.isas = split(value);
        } else if (take(argv[i], "--threads", &value)) {
            options.threads.clear();
            for (const auto &t : split(value)) options.threads.push_back(std::atoi(t.c_str()));
        } else {
            argv[kept++] = argv[i];
        }
    }
    *argc = kept;
    for (const int t : options.threads)
        if (t < 1 || t > WEFT_MAX_THREADS) return "--threads must be between 1 and 1024";
    for (const auto &isa : options.isas)
        if (!bench::table(isa)) return "--isa=" + isa + ": this build or this CPU does not have it";
    return "";
}

static void defaults() {
    weft_cpu_info cpu;
    weft_cpu_query(&cpu);
    if (options.threads.empty() && !options.quick && cpu.cores_allowed > 1)
        options.threads = {1, cpu.cores_allowed};
    if (options.threads.empty()) options.threads = {cpu.cores_allowed};
    const bool all = options.isas.empty();
    if (all) options.isas = bench::tables();
    const auto dots = std::stable_partition(options.isas.begin(), options.isas.end(), [](auto &isa) {
        return bench::table(isa)->bf16_word == 1;
    });
    options.dots.assign(dots, options.isas.end());
    options.isas.erase(all ? options.isas.begin() + 1 : dots, options.isas.end());
}

// Google Benchmark's own options, unless the user gave them.
static std::vector<char *> with_defaults(int argc, char **argv) {
    static std::vector<std::string> own = {
        "--benchmark_enable_random_interleaving=true",
        std::string("--benchmark_repetitions=") + (options.quick ? "3" : "10"),
        std::string("--benchmark_min_time=") + (options.quick ? "0.01" : "0.1")};
    if (options.quick) own.push_back(std::string("--benchmark_filter=") + quick_filter);
    std::vector<char *> all(argv, argv + argc);
    for (auto &o : own) {
        const std::string key = o.substr(0, o.find('='));
        const bool given = std::any_of(argv, argv + argc, [&](const char *a) {
            return !std::strncmp(a, key.c_str(), key.size());
        });
        if (!given) all.insert(all.begin() + 1, o.data());
    }
    return all;
}

static bool has(int argc, char **argv, const char *prefix) {
    return std::any_of(argv, argv + argc, [&](const char *a) {
        return !std::strncmp(a, prefix, std::strlen(prefix));
    });
}

int main(int argc, char **argv) {
    if (has(argc, argv, "--help")) {
        std::fputs(usage, stdout);
        return 0;
    }
    const std::string wrong = parse(&argc, argv);
    if (!wrong.empty()) return fail(wrong);
    defaults();
    const bool listing = has(argc, argv, "--benchmark_list_tests");
    std::vector<char *> all = with_defaults(argc, argv);
    int count = static_cast<int>(all.size());
    benchmark::Initialize(&count, all.data());
    if (count > 1) return fail(std::string("unknown option ") + all[1] + " (--help lists them)");
    bench::add_products();
    bench::add_kernels();
    bench::add_attention();
    bench::add_compact();
    bench::add_models();
    if (!listing) {
        weft_cpu_info cpu;
        weft_cpu_query(&cpu);
        benchmark::AddCustomContext("cpu", cpu.model);
        benchmark::AddCustomContext("weft", std::string(weft_version()) + ", " + weft_compiler());
        bench::print_machine();
        for (const bench::Peer *p : bench::peers())
            std::printf("peer %s: %s\n", p->name.c_str(), p->version.c_str());
        std::fflush(stdout);
    }
    bench::Table table;
    const bool json = has(argc, argv, "--benchmark_format=");
    if (listing || json)
        benchmark::RunSpecifiedBenchmarks();
    else
        benchmark::RunSpecifiedBenchmarks(&table);
    benchmark::Shutdown();
    return table.failed() ? 1 : 0;
}
