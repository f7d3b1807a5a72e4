// Matrix products of shapes.def: weft's kernels of each instruction set, and its peers, on one
// thread and on all; plain, and with B packed before.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>

#include "bench/bench.h"
#include "bench/peer.h"

namespace bench {

namespace {

enum Layout { NT, NN, TN };

// A product of shapes.def, in f32 or in bf16: then C is bf16 too, but for gradients of weights.
struct Product {
    const char *set;
    Layout layout;
    size_t m, n, k;
    bool bf16 = false;
    bool a_trans() const { return layout == TN; }
    bool b_trans() const { return layout == NT; }
    bool c_bf16() const { return bf16 && layout != TN; }
    static double value(const void *p, size_t i, bool bf16) {
        if (!bf16) return static_cast<const float *>(p)[i];
        const uint32_t bits = uint32_t{static_cast<const uint16_t *>(p)[i]} << 16;
        float x;
        std::memcpy(&x, &bits, sizeof x);
        return x;
    }
    double a(const void *p, size_t i, size_t l) const {
        return value(p, a_trans() ? l * m + i : i * k + l, bf16);
    }
    double b(const void *p, size_t l, size_t j) const {
        return value(p, b_trans() ? j * k + l : l * n + j, bf16);
    }
    // Floats that so many elements of A or B, or of C, take.
    size_t in_floats(size_t count) const { return bf16 ? (count + 1) / 2 : count; }
    size_t out_floats(size_t count) const { return c_bf16() ? (count + 1) / 2 : count; }
};

const Product products[] = {
#define SHAPE(set, layout, m, n, k) {#set, layout, m, n, k},
#include "bench/shapes.def"
#undef SHAPE
};
const char *const layout_name[] = {"nt", "nn", "tn"};

// A sample of elements, the corners among them, against sums in double: (k + 2) u (sum of
// magnitudes), and half an ulp of bf16 where C is that.
void verify(const Product &p, const void *a, const void *b, const void *c) {
    for (size_t s = 0; s < 96; s++) {
        const size_t at = s == 0 ? 0 : s == 1 ? p.m * p.n - 1 : (s * 2654435761u) % (p.m * p.n);
        const size_t i = at / p.n, j = at % p.n;
        double sum = 0, size = 0;
        for (size_t l = 0; l < p.k; l++) {
            const double term = p.a(a, i, l) * p.b(b, l, j);
            sum += term;
            size += std::fabs(term);
        }
        const double bound = static_cast<double>(p.k + 2) * 0x1p-24 * size;
        check_close("C", at, Product::value(c, at, p.c_bf16()), sum,
                    p.c_bf16() ? bound + 0x1p-8 * (std::fabs(sum) + bound) : bound);
    }
}

// Somebody who multiplies.
class Contestant {
  public:
    virtual ~Contestant() = default;
    virtual void run(const void *a, const void *b, void *c) = 0; // b plain or packed
    virtual size_t packed_floats() { return 0; }
    virtual void pack(const void *, void *) {}
};

class Weft final : public Contestant {
  public:
    Weft(const Product &p, const std::string &isa, int threads, bool packed) {
        const weft_ctx_options o = {threads, isa.c_str(), nullptr};
        weft_matmul_shape s = {};
        s.m = p.m, s.n = p.n, s.k = p.k;
        s.a_trans = p.a_trans(), s.b_trans = p.b_trans(), s.b_packed = packed;
        s.bf16 = p.bf16, s.c_f32 = !p.c_bf16();
        if (weft_ctx_create(&o, &ctx_) || weft_matmul_create(ctx_, &s, &matmul_))
            throw std::runtime_error("weft_matmul_create failed");
    }
    ~Weft() override {
        weft_matmul_free(matmul_);
        weft_ctx_free(ctx_);
    }
    void run(const void *a, const void *b, void *c) override {
        const weft_matmul_operands o = {a, 0, b, 0, c, 0, nullptr, nullptr, 0};
        if (weft_matmul_run(matmul_, &o)) throw std::runtime_error("weft_matmul_run failed");
    }
    size_t packed_floats() override { return weft_matmul_packed_size(matmul_); }
    void pack(const void *b, void *packed) override {
        if (weft_matmul_pack(matmul_, b, 0, packed))
            throw std::runtime_error("weft_matmul_pack failed");
    }

  private:
    weft_ctx *ctx_ = nullptr;
    weft_matmul *matmul_ = nullptr;
};

class Other final : public Contestant {
  public:
    Other(const Product &p, const Peer &peer, int threads, bool packed)
        : peer_(peer), shape_{p.m, p.n, p.k, p.a_trans(), p.b_trans(), packed, p.bf16, p.c_bf16()} {
        handle_ = peer_.create(shape_, threads);
    }
    ~Other() override { peer_.destroy(handle_); }
    void run(const void *a, const void *b, void *c) override {
        peer_.run(handle_, shape_, a, b, c);
    }
    size_t packed_floats() override { return peer_.packed_floats(handle_, shape_); }
    void pack(const void *b, void *packed) override { peer_.pack(handle_, shape_, b, packed); }

  private:
    const Peer &peer_;
    PeerShape shape_;
    void *handle_;
};

struct Run { // while a case runs
    std::unique_ptr<Contestant> who;
    std::unique_ptr<Operands> o;
    bool verified = false;
};

// Noise in f32 becomes noise in bf16: two halves of a word, both of them its upper one.
void halves(float *p, size_t n) {
    auto *const words = reinterpret_cast<uint16_t *>(p);
    for (size_t i = 0; i < n; i++) words[2 * i] = static_cast<uint16_t>(words[2 * i + 1] ^ 0x8040);
}

using Make = std::function<std::unique_ptr<Contestant>(bool packed)>;

void add_product(const Product &p, const std::string &who, const weft_kernels *limit, int threads,
                 bool packed, bool cold, const Make &make) {
    auto state = std::make_shared<Run>();
    Case c;
    c.name = std::string("gemm_") + layout_name[p.layout] + (p.bf16 ? "/bf16/" : "/f32/") + who +
             dims({{"M", p.m}, {"N", p.n}, {"K", p.k}}) + (packed ? "/packed" : "/plain") +
             (cold ? "/cold" : "/hot") + "/threads:" + std::to_string(threads) + "/" + p.set;
    c.prepare = [=] {
        state->who = make(packed);
        const size_t extra = packed ? state->who->packed_floats() : 0;
        state->o = std::make_unique<Operands>(std::vector<size_t>{p.in_floats(p.m * p.k),
                                                                  p.in_floats(p.k * p.n),
                                                                  p.out_floats(p.m * p.n), extra},
                                              cold);
        const Operands &o = *state->o;
        if (p.bf16)
            for (size_t set = 0; set < o.sets(); set++)
                for (const size_t i : {size_t{0}, size_t{1}}) halves(o.at(i, set), o.size(i));
        if (packed) state->who->pack(o.at(1, 0), o.at(3, 0));
        state->who->run(o.at(0, 0), o.at(packed ? 3 : 1, 0), o.at(2, 0));
        if (!state->verified) verify(p, o.at(0, 0), o.at(1, 0), o.at(2, 0));
        state->verified = true;
        Work w;
        w.flops =
            2.0 * static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k);
        w.bytes = 4.0 * static_cast<double>(p.in_floats(p.m * p.k) + p.in_floats(p.k * p.n) +
                                            p.out_floats(p.m * p.n));
        w.least = w.flops / (1e9 * (p.bf16 ? bf16_gflops : fma_gflops)(limit, threads));
        w.binds = p.bf16 && limit->bf16_word == 2 ? "dot" : "FMA";
        return w;
    };
    c.run = [=](size_t turn) {
        const Operands &o = *state->o;
        state->who->run(o.at(0, turn), o.at(packed ? 3 : 1, packed ? 0 : turn), o.at(2, turn));
    };
    c.finish = [=] { state->who.reset(), state->o.reset(); };
    add(c);
}

} // namespace

static void add_all(const Product &p, int threads, bool packed) {
    for (const auto &isa : p.bf16 ? half_isas() : options.isas) {
        const auto make = [=](bool with) { return std::make_unique<Weft>(p, isa, threads, with); };
        add_product(p, isa, table(isa), threads, packed, false, make);
        if (!packed) add_product(p, isa, table(isa), threads, packed, true, make);
    }
    for (const Peer *peer : peers())
        if ((!packed || peer->can_pack) && (!p.bf16 || peer->can_bf16))
            add_product(
                p, peer->name, table(tables().front()), threads, packed, false,
                [=](bool with) { return std::make_unique<Other>(p, *peer, threads, with); });
}

void add_products() {
    for (Product p : products)
        for (const bool bf16 : {false, true})
            for (const int threads : options.threads)
                for (const bool packed : {false, true}) {
                    p.bf16 = bf16;
                    add_all(p, threads, packed);
                }
}

} // namespace bench
