// Flash attention, causal, heads of 64: forward and backward, heads dealt to the threads.
#include <atomic>
#include <cmath>
#include <memory>

#include "bench/bench.h"
#include "bench/ref_c.h"

namespace bench {

namespace {

struct Heads {
    size_t heads, t, hs;
    size_t width() const { return heads * hs; }
    size_t floats() const { return t * width(); }
};
enum { QKV, Y, LSE, DY, DQKV, SCRATCH };

size_t scratch_floats(const Heads &h) {
    return (std::max(weft_attn_fwd_scratch(h.hs), weft_attn_bwd_scratch(h.hs)) + 64) / 4;
}

void forward(const weft_kernels *k, const Heads &s, const Operands &o, size_t turn, size_t head,
             int thread) {
    const float *const q = o.at(QKV, turn) + head * s.hs;
    weft_attn_fwd_args a = {};
    a.q = q, a.k = q + s.width(), a.v = q + 2 * s.width(), a.y = o.at(Y, turn) + head * s.hs;
    a.lse = o.at(LSE, turn) + head * s.t;
    a.scratch = o.at(SCRATCH, 0) + static_cast<size_t>(thread) * scratch_floats(s);
    a.t = s.t, a.hs = s.hs, a.ld = 3 * s.width(), a.ldy = s.width(), a.q1 = s.t;
    a.scale = 1 / std::sqrt(static_cast<float>(s.hs)), a.causal = true;
    k->attn_fwd_f32(&a);
}

void backward(const weft_kernels *k, const Heads &s, const Operands &o, size_t turn, size_t head,
              int thread) {
    const float *const q = o.at(QKV, turn) + head * s.hs;
    float *const dq = o.at(DQKV, turn) + head * s.hs;
    weft_attn_bwd_args a = {};
    a.q = q, a.k = q + s.width(), a.v = q + 2 * s.width();
    a.y = o.at(Y, turn) + head * s.hs, a.dy = o.at(DY, turn) + head * s.hs;
    a.lse = o.at(LSE, turn) + head * s.t;
    a.dq = dq, a.dk = dq + s.width(), a.dv = dq + 2 * s.width();
    a.scratch = o.at(SCRATCH, 0) + static_cast<size_t>(thread) * scratch_floats(s);
    a.t = s.t, a.hs = s.hs, a.ld = a.lddq = a.ldd = 3 * s.width(), a.ldy = s.width();
    a.scale = 1 / std::sqrt(static_cast<float>(s.hs)), a.causal = true;
    for (a.seg = 0; a.seg < weft_attn_segments(s.t); a.seg++, a.dq_add = true) k->attn_bwd_f32(&a);
}

using OneHead = void (*)(const weft_kernels *, const Heads &, const Operands &, size_t, size_t,
                         int);

void all_heads(OneHead one, const weft_kernels *k, const Heads &s, const Operands &o, size_t turn,
               int threads) {
    std::atomic<size_t> next{0};
    team(threads, [&](int thread, int) {
        for (size_t h; h = next++, h < s.heads;) one(k, s, o, turn, h, thread);
    });
}

std::vector<double> part(const Heads &s, const float *p, size_t ld) {
    std::vector<double> out;
    for (size_t i = 0; i < s.t; i++) out.insert(out.end(), p + i * ld, p + i * ld + s.hs);
    return out;
}

// The last head against the oracle.
void verify(const Heads &s, const Operands &o, bool back) {
    const size_t at = (s.heads - 1) * s.hs, ld = 3 * s.width(), n = s.t * s.hs;
    const float *const q = o.at(QKV, 0) + at;
    const auto dq = part(s, q, ld), dk = part(s, q + s.width(), ld),
               dv = part(s, q + 2 * s.width(), ld);
    std::vector<double> y(n), lse(s.t), smax(s.t), gq(n), gk(n), gv(n);
    const double scale = 1 / std::sqrt(static_cast<double>(s.hs));
    ref_attention_fwd(s.t, s.hs, dq.data(), dk.data(), dv.data(), nullptr, scale, true, y.data(), lse.data(),
                      smax.data());
    if (!back) {
        for (size_t i = 0; i < n; i++)
            check_close("y", i, o.at(Y, 0)[i / s.hs * s.width() + at + i % s.hs], y[i], 2e-5);
        return;
    }
    const auto dy = part(s, o.at(DY, 0) + at, s.width());
    ref_attention_bwd(s.t, s.hs, dq.data(), dk.data(), dv.data(), nullptr, y.data(), lse.data(), dy.data(),
                      scale, true, gq.data(), gk.data(), gv.data());
    const std::vector<double> *const want[] = {&gq, &gk, &gv};
    for (size_t p = 0; p < 3; p++)
        for (size_t i = 0; i < n; i++)
            check_close(p == 0   ? "dq"
                        : p == 1 ? "dk"
                                 : "dv",
                        i, o.at(DQKV, 0)[i / s.hs * ld + p * s.width() + at + i % s.hs],
                        (*want[p])[i], 1e-4);
}

void add_attention(const Heads &s, const std::string &isa, int threads, bool back) {
    const weft_kernels *const k = table(isa);
    auto o = std::make_shared<std::unique_ptr<Operands>>();
    auto verified = std::make_shared<bool>(false);
    Case c;
    c.name = std::string(back ? "attention_bwd" : "attention_fwd") + "/f32/" + isa +
             dims({{"heads", s.heads}, {"T", s.t}, {"HS", s.hs}}) +
             "/hot/threads:" + std::to_string(threads);
    c.prepare = [=] {
        *o = std::make_unique<Operands>(
            std::vector<size_t>{3 * s.floats(), s.floats(), s.heads * s.t, s.floats(),
                                3 * s.floats(), static_cast<size_t>(threads) * scratch_floats(s)},
            false);
        all_heads(forward, k, s, **o, 0, threads); // backward reads what forward leaves
        if (back) all_heads(backward, k, s, **o, 0, threads);
        if (!*verified) verify(s, **o, back);
        *verified = true;
        Work w;
        const double pairs = static_cast<double>(s.t) * static_cast<double>(s.t) / 2;
        w.flops = (back ? 10 : 4) * pairs * static_cast<double>(s.width()); // causal: half of all
        w.bytes = 4.0 * static_cast<double>(s.floats()) * (back ? 8 : 4);
        w.least = w.flops / (1e9 * fma_gflops(k, threads));
        w.binds = "FMA";
        return w;
    };
    c.run = [=](size_t turn) { all_heads(back ? backward : forward, k, s, **o, turn, threads); };
    c.finish = [=] { o->reset(); };
    add(c);
}

} // namespace

void add_attention() {
    const Heads shapes[] = {{12, 1024, 64}, {12, 256, 64},  {12, 64, 64},
                            {12, 1000, 64}, {8, 1024, 128}, {24, 1024, 32}};
    for (const Heads &s : shapes)
        for (const auto &isa : options.isas)
            for (const int threads : options.threads)
                for (const bool back : {false, true}) add_attention(s, isa, threads, back);
}

} // namespace bench
