// Products with one row: every weight is read once. Their limit is reading those bytes, cold, on as
// many threads.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "bench/bench.h"

namespace bench {

namespace {

struct Shape {
    const char *name;
    size_t n, k;
};

// The columns of this thread.
void part(const Shape &s, int thread, int size, size_t *lo, size_t *hi) {
    const size_t blocks = (s.n + WEFT_BLOCK - 1) / WEFT_BLOCK;
    *lo = std::min(s.n, blocks * thread / size * WEFT_BLOCK);
    *hi = std::min(s.n, blocks * (thread + 1) / size * WEFT_BLOCK);
}

// Do they go by dot products there, which take x in bf16?
bool dots(const weft_kernels *k, weft_format f) {
    return f != WEFT_FORMAT_F32 && k->bf16_word == 2;
}

void multiply(const weft_kernels *k, const Shape &s, weft_format f, int threads, const Operands &o,
              size_t turn) {
    team(threads, [&](int thread, int size) {
        size_t lo, hi;
        part(s, thread, size, &lo, &hi);
        weft_gemm_args g = {};
        g.m = 1, g.n = hi - lo, g.k = s.k;
        g.a = o.at(1, 0), g.lda = s.k;
        g.c = o.at(2, 0) + lo, g.ldc = s.n;
        g.format = f;
        if (hi <= lo) return;
        g.b_layout = WEFT_BLOCKS;
        g.blocks = reinterpret_cast<const unsigned char *>(o.at(0, turn)) +
                   lo / WEFT_BLOCK * weft_compact_block(f, s.k);
        if (dots(k, f)) {
            g.a = o.at(3, 0), g.c_f32 = true;
            k->gemv_compact_bf16(&g);
        } else {
            k->gemv_compact_f32(&g);
        }
    });
}

// Every set holds the same random matrix in this format. For dot products x is rounded.
void fill(const weft_kernels *k, const Shape &s, weft_format f, const Operands &o) {
    std::vector<float> w(WEFT_BLOCK * s.k), turned(WEFT_BLOCK * s.k);
    if (dots(k, f)) {
        auto *const half = reinterpret_cast<std::uint16_t *>(o.at(3, 0));
        k->narrow_bf16(o.at(1, 0), half, s.k);
        k->widen_bf16(half, o.at(1, 0), s.k);
    }
    for (size_t j = 0; j < s.n; j += WEFT_BLOCK) {
        for (size_t i = 0; i < w.size(); i++)
            w[i] = static_cast<float>((i * 2654435761u + j) % 2001) / 1000 - 1;
        const size_t n = std::min<size_t>(WEFT_BLOCK, s.n - j), block = weft_compact_block(f, s.k);
        k->compact_transpose_f32(w.data(), s.k, n, s.k, turned.data());
        for (size_t set = 0; set < o.sets(); set++) {
            weft_compact_args a = {};
            a.format = f, a.n = n, a.k = s.k, a.src = turned.data(), a.ld = WEFT_BLOCK;
            a.block = reinterpret_cast<unsigned char *>(o.at(0, set)) + j / WEFT_BLOCK * block;
            k->compact_pack(&a);
        }
    }
}

void verify(const weft_kernels *k, const Shape &s, weft_format f, const Operands &o) {
    std::vector<float> w(s.k);
    for (size_t j = 0; j < s.n; j += s.n / 64 + 1) {
        double sum = 0, size = 0;
        k->compact_output_f32(f, o.at(0, 0), s.k, j, w.data());
        for (size_t i = 0; i < s.k; i++) {
            const double term = static_cast<double>(w[i]) * o.at(1, 0)[i];
            sum += term, size += std::fabs(term);
        }
        check_close("y", j, o.at(2, 0)[j], sum, static_cast<double>(s.k + 4) * 0x1p-24 * size);
    }
}

void add_gemv(const Shape &s, weft_format f, const std::string &isa, int threads) {
    const weft_kernels *const k = table(isa);
    auto o = std::make_shared<std::unique_ptr<Operands>>();
    const size_t bytes = weft_compact_bytes(f, s.n, s.k);
    Case c;
    c.name = std::string("gemv/") + weft_format_name(f) + "/" + isa +
             dims({{"N", s.n}, {"K", s.k}}) + "/cold/threads:" + std::to_string(threads) + "/" +
             s.name;
    c.prepare = [=] {
        *o = std::make_unique<Operands>(std::vector<size_t>{bytes / 4, s.k, s.n, s.k}, true);
        fill(k, s, f, **o);
        multiply(k, s, f, threads, **o, 0);
        verify(k, s, f, **o);
        Work w;
        w.flops = 2.0 * static_cast<double>(s.n * s.k);
        w.bytes = static_cast<double>(bytes);
        w.least = w.bytes / read_rate(k->isa, threads, (*o)->bytes());
        w.binds = "read";
        return w;
    };
    c.run = [=](size_t turn) { multiply(k, s, f, threads, **o, turn); };
    c.finish = [=] { o->reset(); };
    add(c);
}

} // namespace

void add_compact() {
    const Shape shapes[] = {{"fc", 3072, 768}, {"mlp_proj", 768, 3072}, {"head", 50257, 768}};
    for (const int threads : options.threads)
        for (const Shape &s : shapes)
            for (int f = 0; f < WEFT_FORMATS; f++)
                for (const auto &isa : f == WEFT_FORMAT_F32 ? options.isas : half_isas())
                    add_gemv(s, static_cast<weft_format>(f), isa, threads);
}

} // namespace bench
