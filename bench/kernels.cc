// Kernels that memory binds, or their own arithmetic: each on one thread and, rows divided, on all;
// operands in the caches or beyond them. Their limit is a loop that moves the same streams.
#include <algorithm>
#include <cmath>
#include <memory>

#include "bench/bench.h"
#include "bench/ref_c.h"

namespace bench {

namespace {

// An op on rows of a width, as streams of rows*cols floats. The arrays come first in Operands, then
// whatever else it needs.
struct RowOp {
    const char *name;
    size_t rows, cols;
    size_t ins, outs; // streams that it reads and writes
    bool in_place;
    double flops;                                // an element
    std::vector<size_t> more;                    // further arrays, in floats
    std::function<void(const Operands &)> start; // what they must hold; empty: any noise
    // rows [r0, r0 + rows) of the set that `turn` uses
    std::function<void(const weft_kernels *, const Operands &, size_t turn, size_t r0, size_t rows)>
        run;
    std::function<void(const RowOp &, const Operands &)> check; // after a run on set 0
};

void add_row_op(const RowOp &op, const std::string &isa, int threads, bool cold) {
    const weft_kernels *const k = table(isa);
    auto o = std::make_shared<std::unique_ptr<Operands>>();
    auto verified = std::make_shared<bool>(false);
    Case c;
    c.name = std::string(op.name) + "/f32/" + isa + dims({{"rows", op.rows}, {"cols", op.cols}}) +
             (cold ? "/cold" : "/hot") + "/threads:" + std::to_string(threads);
    const auto all = [=](size_t turn) {
        team(threads, [&](int thread, int size) {
            // whole blocks of 64 rows, the unit of column sums
            const size_t blocks = (op.rows + 63) / 64;
            const size_t lo = std::min(op.rows, blocks * thread / size * 64);
            const size_t hi = std::min(op.rows, blocks * (thread + 1) / size * 64);
            if (hi > lo) op.run(k, **o, turn, lo, hi - lo);
        });
    };
    c.prepare = [=] {
        std::vector<size_t> floats((op.in_place ? op.ins : op.ins + op.outs), op.rows * op.cols);
        floats.insert(floats.end(), op.more.begin(), op.more.end());
        *o = std::make_unique<Operands>(floats, cold);
        if (op.start) op.start(**o);
        if (!*verified && op.check) {
            all(0);
            op.check(op, **o);
        }
        *verified = true;
        const double n = static_cast<double>(op.rows * op.cols);
        Work w;
        w.flops = op.flops * n;
        w.bytes = 4 * n * static_cast<double>(op.ins + op.outs);
        const double move =
            move_seconds(k, op.rows * op.cols, op.ins, op.outs, op.in_place, threads, cold);
        const double compute = w.flops / (1e9 * fma_gflops(k, threads));
        w.least = std::max(move, compute);
        w.binds = move >= compute ? "streams" : "FMA";
        return w;
    };
    c.run = all;
    c.finish = [=] { o->reset(); };
    add(c);
}

std::vector<double> doubles(const float *p, size_t n) { return {p, p + n}; }

// ---- the ops ----
RowOp activation(const char *name, weft_act act, double flops, bool backward) {
    RowOp op = {name, 1024, 3072, backward ? 2u : 1u, 1, false, flops, {}, {}, {}, {}};
    op.run = [=](const weft_kernels *k, const Operands &o, size_t turn, size_t r0, size_t rows) {
        const size_t at = r0 * 3072;
        weft_act_args a = {};
        a.act = act, a.n = rows * 3072, a.z = o.at(0, turn) + at;
        if (backward) {
            a.dy = o.at(1, turn) + at, a.dx = o.at(2, turn) + at;
            k->act_bwd_f32(&a);
        } else {
            a.y = o.at(1, turn) + at;
            k->act_fwd_f32(&a);
        }
    };
    op.check = [=](const RowOp &, const Operands &o) {
        for (size_t i = 0; i < 4096; i++) {
            const size_t at = i * 767;
            const double z = o.at(0, 0)[at];
            const double want =
                backward ? ref_dact(act, 0, z) * o.at(1, 0)[at] : ref_act(act, 0, z);
            check_close("y", at, o.at(backward ? 2 : 1, 0)[at], want, 16 * 0x1p-24);
        }
    };
    return op;
}

RowOp layernorm(size_t rows) {
    const size_t c = 768;
    RowOp op = {"layernorm_fwd", rows, c, 1, 1, false, 8, {c, c, rows, rows}, {}, {}, {}};
    op.run = [=](const weft_kernels *k, const Operands &o, size_t turn, size_t r0, size_t n) {
        weft_layernorm_args a = {};
        a.rows = n, a.c = c, a.eps = 1e-5f;
        a.x = o.at(0, turn) + r0 * c, a.y = o.at(1, turn) + r0 * c;
        a.gamma = o.at(2, 0), a.beta = o.at(3, 0);
        a.mean = o.at(4, turn) + r0, a.rstd = o.at(5, turn) + r0;
        k->layernorm_fwd_f32(&a);
    };
    op.check = [=](const RowOp &, const Operands &o) {
        std::vector<double> y(c);
        double mean, rstd;
        for (size_t r = 0; r < rows; r += rows / 8) {
            ref_layernorm_fwd(1, c, doubles(o.at(0, 0) + r * c, c).data(),
                              doubles(o.at(2, 0), c).data(), doubles(o.at(3, 0), c).data(), 1e-5,
                              y.data(), &mean, &rstd);
            for (size_t j = 0; j < c; j++)
                check_close("y", r * c + j, o.at(1, 0)[r * c + j], y[j], 64 * 0x1p-24);
        }
    };
    return op;
}

RowOp layernorm_back(size_t rows) {
    const size_t c = 768, part = (rows + 63) / 64 * 2 * c;
    RowOp op = {"layernorm_bwd", rows, c, 2, 1, false, 14, {c, rows, rows, part}, {}, {}, {}};
    op.run = [=](const weft_kernels *k, const Operands &o, size_t turn, size_t r0, size_t n) {
        weft_layernorm_bwd_args a = {};
        a.rows = n, a.c = c;
        a.dy = o.at(0, turn) + r0 * c, a.x = o.at(1, turn) + r0 * c, a.dx = o.at(2, turn) + r0 * c;
        a.gamma = o.at(3, 0), a.mean = o.at(4, turn) + r0, a.rstd = o.at(5, turn) + r0;
        a.part = o.at(6, turn) + r0 / 64 * 2 * c;
        k->layernorm_bwd_f32(&a);
    };
    op.check = [=](const RowOp &, const Operands &o) {
        std::vector<double> dx(c);
        for (size_t r = 0; r < rows; r += rows / 8) {
            const double mean = o.at(4, 0)[r], rstd = o.at(5, 0)[r];
            ref_layernorm_bwd(1, c, doubles(o.at(0, 0) + r * c, c).data(),
                              doubles(o.at(1, 0) + r * c, c).data(), &mean, &rstd,
                              doubles(o.at(3, 0), c).data(), dx.data(), nullptr, nullptr);
            for (size_t j = 0; j < c; j++)
                check_close("dx", r * c + j, o.at(2, 0)[r * c + j], dx[j], 128 * 0x1p-24);
        }
    };
    return op;
}

RowOp residual() {
    RowOp op = {"add", 16384, 768, 2, 1, false, 1, {}, {}, {}, {}};
    op.run = [](const weft_kernels *k, const Operands &o, size_t turn, size_t r0, size_t rows) {
        const size_t at = r0 * 768;
        k->add_f32(o.at(0, turn) + at, o.at(1, turn) + at, o.at(2, turn) + at, rows * 768);
    };
    op.check = [](const RowOp &, const Operands &o) {
        for (size_t i = 0; i < 4096; i++)
            check_close("y", i, o.at(2, 0)[i], o.at(0, 0)[i] + o.at(1, 0)[i], 0);
    };
    return op;
}

// Softmax, loss and gradient of the logits in one sweep.
RowOp loss() {
    const size_t v = 50257, rows = 1024;
    RowOp op = {"xent", rows, v, 1, 1, false, 20, {rows}, {}, {}, {}};
    static const std::vector<int32_t> target(rows, 17);
    op.run = [=](const weft_kernels *k, const Operands &o, size_t turn, size_t r0, size_t n) {
        weft_xent_args a = {};
        a.rows = n, a.v = v, a.x = o.at(0, turn) + r0 * v, a.dx = o.at(1, turn) + r0 * v;
        a.target = target.data() + r0, a.loss = o.at(2, turn) + r0, a.scale = 1;
        k->xent_f32(&a);
    };
    op.check = [=](const RowOp &, const Operands &o) {
        std::vector<double> dx(v);
        const long hit = target[0];
        for (size_t r = 0; r < rows; r += rows / 4) {
            const auto x = doubles(o.at(0, 0) + r * v, v);
            double want, lse;
            ref_xent_fwd(1, v, x.data(), &hit, &want, &lse);
            ref_xent_bwd(1, v, x.data(), &hit, 1, dx.data());
            check_close("loss", r, o.at(2, 0)[r], want, 32 * 0x1p-24 * (1 + want));
            for (size_t j = 0; j < v; j += 7)
                check_close("dx", r * v + j, o.at(1, 0)[r * v + j], dx[j],
                            32 * 0x1p-24 * (std::fabs(dx[j]) + (j == 17 ? 1 : 0)));
        }
    };
    return op;
}

weft_optim_args adamw_args(bool first) {
    weft_optim_args a = {};
    a.rule = WEFT_OPTIM_ADAM, a.n = WEFT_OPTIM_BLOCK;
    a.clip = 1, a.keep = first ? 1 - 1e-4f : 1, a.beta1 = 0.9f, a.beta1c = 0.1f;
    a.beta2 = 0.95f, a.beta2c = 0.05f, a.eps = 1e-8f;
    a.vmul = 1 / std::sqrt(0.05f), a.cm = 1e-3f / 0.1f;
    return a;
}

// 16.8 million parameters; v is kept positive by running from zeroed moments first.
RowOp adamw(bool statistics) {
    const size_t blocks = 1024, cols = 256;
    const size_t stats = blocks * sizeof(weft_optim_stats) / sizeof(float);
    RowOp op = {statistics ? "adamw_stats" : "adamw",
                blocks * 64,
                cols,
                4,
                3,
                true,
                12,
                {stats},
                {},
                {},
                {}};
    op.start = [=](const Operands &o) {
        for (size_t turn = 0; turn < o.sets(); turn++)
            for (size_t i = 1; i < 3; i++) std::fill_n(o.at(i, turn), o.size(i), 0.0f);
    };
    op.run = [=](const weft_kernels *k, const Operands &o, size_t turn, size_t r0, size_t rows) {
        auto *const out = reinterpret_cast<weft_optim_stats *>(o.at(4, turn));
        for (size_t b = r0 / 64; b < (r0 + rows) / 64; b++) {
            const size_t at = b * WEFT_OPTIM_BLOCK;
            weft_optim_args a = adamw_args(true);
            a.w = o.at(0, turn) + at, a.m = o.at(1, turn) + at, a.v = o.at(2, turn) + at;
            a.g = o.at(3, turn) + at;
            a.stats = statistics ? &out[b] : nullptr;
            k->optim_f32(&a);
        }
    };
    op.check = [](const RowOp &, const Operands &o) { // one step from zero: w moves by lr sign(g)
        const ref_optim how = {1e-3, 0.9, 0.95, 1e-8, 0.1};
        const Operands fresh({o.size(0), 1, 1, 1}, false); // the weights that it began with
        for (size_t i = 0; i < 4096; i++) {
            const size_t at = i * 4093;
            ref_optim_state s = ref_optim_start("adamw", fresh.at(0, 0)[at]);
            ref_optim_step("adamw", &how, &s, o.at(3, 0)[at]);
            check_close("w", at, o.at(0, 0)[at], s.w, 8 * 0x1p-24);
        }
    };
    return op;
}

} // namespace

void add_kernels() {
    const RowOp ops[] = {activation("gelu_tanh_fwd", WEFT_ACT_GELU_TANH, 24, false),
                         activation("gelu_tanh_bwd", WEFT_ACT_GELU_TANH, 32, true),
                         activation("gelu_erf_fwd", WEFT_ACT_GELU_ERF, 24, false),
                         activation("relu_fwd", WEFT_ACT_RELU, 1, false),
                         layernorm(1024),
                         layernorm(16384),
                         layernorm_back(1024),
                         layernorm_back(16384),
                         residual(),
                         loss(),
                         adamw(false),
                         adamw(true)};
    for (const RowOp &op : ops)
        for (const auto &isa : options.isas)
            for (const int threads : options.threads)
                for (const bool cold : {false, true}) add_row_op(op, isa, threads, cold);
}

} // namespace bench
