// Matrix products of shapes.def: weft's kernels of each instruction set, and its peers, on one
// thread and on all; plain, and with B packed before.
#include <cmath>
#include <memory>
#include <stdexcept>

#include "bench/bench.h"
#include "bench/peer.h"

namespace bench {

namespace {

enum Layout { NT, NN, TN };

struct Product {
    const char *set;
    Layout layout;
    size_t m, n, k;
    bool a_trans() const { return layout == TN; }
    bool b_trans() const { return layout == NT; }
    double a(const float *p, size_t i, size_t l) const {
        return a_trans() ? p[l * m + i] : p[i * k + l];
    }
    double b(const float *p, size_t l, size_t j) const {
        return b_trans() ? p[j * k + l] : p[l * n + j];
    }
};

const Product products[] = {
#define SHAPE(set, layout, m, n, k) {#set, layout, m, n, k},
#include "bench/shapes.def"
#undef SHAPE
};
const char *const layout_name[] = {"nt", "nn", "tn"};

// A sample of elements, the corners among them, against sums in double: (k + 2) u (sum of
// magnitudes).
void verify(const Product &p, const float *a, const float *b, const float *c) {
    for (size_t s = 0; s < 96; s++) {
        const size_t at = s == 0 ? 0 : s == 1 ? p.m * p.n - 1 : (s * 2654435761u) % (p.m * p.n);
        const size_t i = at / p.n, j = at % p.n;
        double sum = 0, size = 0;
        for (size_t l = 0; l < p.k; l++) {
            const double term = p.a(a, i, l) * p.b(b, l, j);
            sum += term;
            size += std::fabs(term);
        }
        check_close("C", at, c[at], sum, static_cast<double>(p.k + 2) * 0x1p-24 * size);
    }
}

// Somebody who multiplies.
class Contestant {
  public:
    virtual ~Contestant() = default;
    virtual void run(const float *a, const float *b, float *c) = 0; // b plain or packed
    virtual size_t packed_floats() { return 0; }
    virtual void pack(const float *, float *) {}
};

class Weft final : public Contestant {
  public:
    Weft(const Product &p, const std::string &isa, int threads, bool packed) {
        const weft_ctx_options o = {threads, isa.c_str(), nullptr};
        weft_matmul_shape s = {};
        s.m = p.m, s.n = p.n, s.k = p.k;
        s.a_trans = p.a_trans(), s.b_trans = p.b_trans(), s.b_packed = packed;
        if (weft_ctx_create(&o, &ctx_) || weft_matmul_create(ctx_, &s, &matmul_))
            throw std::runtime_error("weft_matmul_create failed");
    }
    ~Weft() override {
        weft_matmul_free(matmul_);
        weft_ctx_free(ctx_);
    }
    void run(const float *a, const float *b, float *c) override {
        const weft_matmul_operands o = {a, 0, b, 0, c, 0, nullptr, nullptr, 0};
        if (weft_matmul_run(matmul_, &o)) throw std::runtime_error("weft_matmul_run failed");
    }
    size_t packed_floats() override { return weft_matmul_packed_size(matmul_); }
    void pack(const float *b, float *packed) override {
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
        : peer_(peer), shape_{p.m, p.n, p.k, p.a_trans(), p.b_trans(), packed} {
        handle_ = peer_.create(shape_, threads);
    }
    ~Other() override { peer_.destroy(handle_); }
    void run(const float *a, const float *b, float *c) override {
        peer_.run(handle_, shape_, a, b, c);
    }
    size_t packed_floats() override { return peer_.packed_floats(handle_, shape_); }
    void pack(const float *b, float *packed) override { peer_.pack(handle_, shape_, b, packed); }

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

using Make = std::function<std::unique_ptr<Contestant>(bool packed)>;

void add_product(const Product &p, const std::string &who, const weft_kernels *limit, int threads,
                 bool packed, bool cold, const Make &make) {
    auto state = std::make_shared<Run>();
    Case c;
    c.name = std::string("gemm_") + layout_name[p.layout] + "/f32/" + who +
             dims({{"M", p.m}, {"N", p.n}, {"K", p.k}}) + (packed ? "/packed" : "/plain") +
             (cold ? "/cold" : "/hot") + "/threads:" + std::to_string(threads) + "/" + p.set;
    c.prepare = [=] {
        state->who = make(packed);
        const size_t extra = packed ? state->who->packed_floats() : 0;
        state->o = std::make_unique<Operands>(
            std::vector<size_t>{p.m * p.k, p.k * p.n, p.m * p.n, extra}, cold);
        const Operands &o = *state->o;
        if (packed) state->who->pack(o.at(1, 0), o.at(3, 0));
        state->who->run(o.at(0, 0), o.at(packed ? 3 : 1, 0), o.at(2, 0));
        if (!state->verified) verify(p, o.at(0, 0), o.at(1, 0), o.at(2, 0));
        state->verified = true;
        Work w;
        w.flops =
            2.0 * static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k);
        w.bytes = 4.0 * static_cast<double>(p.m * p.k + p.k * p.n + p.m * p.n);
        w.least = w.flops / (1e9 * fma_gflops(limit, threads));
        w.binds = "FMA";
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

void add_products() {
    for (const Product &p : products) {
        for (const int threads : options.threads) {
            for (const bool packed : {false, true}) {
                for (const auto &isa : options.isas)
                    add_product(p, isa, table(isa), threads, packed, false, [=](bool with) {
                        return std::make_unique<Weft>(p, isa, threads, with);
                    });
                for (const Peer *peer : peers())
                    if (!packed || peer->can_pack)
                        add_product(p, peer->name, table(tables().front()), threads, packed, false,
                                    [=](bool with) {
                                        return std::make_unique<Other>(p, *peer, threads, with);
                                    });
            }
            for (const auto &isa : options.isas)
                add_product(p, isa, table(isa), threads, false, true, [=](bool with) {
                    return std::make_unique<Weft>(p, isa, threads, with);
                });
        }
    }
}

} // namespace bench
