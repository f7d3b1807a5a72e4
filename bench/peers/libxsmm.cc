// libxsmm as a peer: its just-in-time kernels are for blocks, so that a product is cut into blocks
// of C here, which a team of OpenMP threads goes through. Row-major C = A B is column-major Cᵀ = Bᵀ
// Aᵀ: what libxsmm calls m, n, A, B are n, m, B, A of here.
#include <libxsmm.h>
#include <omp.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "bench/peers/plugin.h"

namespace {

constexpr size_t kRows = 48, kCols = 64, kDeep = 256; // of a block: B's part stays in L1 and L2

struct Handle {
    weft_bench_product p;
    size_t rows, cols; // of a block of C
    // by rows, columns, depth, and whether it begins a sum
    std::map<std::pair<std::pair<size_t, size_t>, std::pair<size_t, bool>>, libxsmm_gemmfunction>
        kernel;
};

libxsmm_gemmfunction make(const weft_bench_product &p, size_t rows, size_t cols, size_t depth,
                          bool first) {
    const auto n = [](size_t x) { return static_cast<libxsmm_blasint>(x); };
    const libxsmm_gemm_shape shape = libxsmm_create_gemm_shape(
        n(cols), n(rows), n(depth), n(p.b_trans ? p.k : p.n), n(p.a_trans ? p.m : p.k), n(p.n),
        LIBXSMM_DATATYPE_F32, LIBXSMM_DATATYPE_F32, LIBXSMM_DATATYPE_F32, LIBXSMM_DATATYPE_F32);
    const int flags = (p.b_trans ? LIBXSMM_GEMM_FLAG_TRANS_A : 0) |
                      (p.a_trans ? LIBXSMM_GEMM_FLAG_TRANS_B : 0) |
                      (first ? LIBXSMM_GEMM_FLAG_BETA_0 : 0);
    return libxsmm_dispatch_gemm(shape, static_cast<libxsmm_bitfield>(flags),
                                 LIBXSMM_GEMM_PREFETCH_NONE);
}

const char *version() {
    static std::string text =
        std::to_string(LIBXSMM_VERSION_MAJOR) + "." + std::to_string(LIBXSMM_VERSION_MINOR) + "." +
        std::to_string(LIBXSMM_VERSION_UPDATE) + " (" + libxsmm_get_target_arch() + ")";
    return text.c_str();
}

// Blocks of C as large as leave every thread some.
void *create(const weft_bench_product *p) {
    if (p->packed) return nullptr;
    libxsmm_init();
    auto h = std::make_unique<Handle>(Handle{*p, kRows, kCols, {}});
    if (p->threads == 1 && std::max({p->m, p->n, p->k}) <= 128) h->rows = p->m, h->cols = p->n;
    for (const size_t rows : {std::min(h->rows, p->m), p->m % h->rows})
        for (const size_t cols : {std::min(h->cols, p->n), p->n % h->cols})
            for (const size_t depth : {std::min(kDeep, p->k), p->k % kDeep})
                for (const bool first : {true, false}) {
                    if (rows == 0 || cols == 0 || depth == 0) continue;
                    const auto kernel = make(*p, rows, cols, depth, first);
                    if (!kernel) return nullptr;
                    h->kernel[{{rows, cols}, {depth, first}}] = kernel;
                }
    return h.release();
}

void destroy(void *handle) { delete static_cast<Handle *>(handle); }

void block(const Handle &h, size_t i, size_t j, const float *a, const float *b, float *c) {
    const weft_bench_product &p = h.p;
    const size_t rows = std::min(h.rows, p.m - i), cols = std::min(h.cols, p.n - j);
    for (size_t k = 0; k < p.k; k += kDeep) {
        libxsmm_gemm_param x = {};
        const float *const left = p.b_trans ? b + j * p.k + k : b + k * p.n + j;
        const float *const right = p.a_trans ? a + k * p.m + i : a + i * p.k + k;
        x.a.primary = const_cast<float *>(left);
        x.b.primary = const_cast<float *>(right);
        x.c.primary = c + i * p.n + j;
        h.kernel.at({{rows, cols}, {std::min(kDeep, p.k - k), k == 0}})(&x);
    }
}

void run(void *handle, const void *a_, const void *b_, void *c_) {
    const auto *a = static_cast<const float *>(a_), *b = static_cast<const float *>(b_);
    auto *const c = static_cast<float *>(c_);
    const Handle &h = *static_cast<Handle *>(handle);
    const size_t across = (h.p.n + h.cols - 1) / h.cols, down = (h.p.m + h.rows - 1) / h.rows;
    const size_t blocks = across * down;
    if (h.p.threads == 1 || blocks == 1) {
        for (size_t t = 0; t < blocks; t++) block(h, t % down * h.rows, t / down * h.cols, a, b, c);
        return;
    }
#pragma omp parallel for num_threads(h.p.threads) schedule(static)
    for (size_t t = 0; t < blocks; t++) block(h, t % down * h.rows, t / down * h.cols, a, b, c);
}

size_t packed_floats(void *) { return 0; }
void pack(void *, const void *, void *) {}

} // namespace

__attribute__((visibility("default"))) const weft_bench_plugin *weft_bench_plugin_get() {
    static const weft_bench_plugin plugin = {version, create, destroy, run, packed_floats, pack};
    return &plugin;
}
