// Whole steps through the public API: training of GPT-2 and of small nets, prefill and decoding.
#include <cmath>
#include <memory>
#include <random>
#include <stdexcept>

#include "bench/bench.h"

namespace bench {

namespace {

struct Format {
    const char *weights, *kv;
};

// A model with random data for it.
class Model {
  public:
    Model(const std::string &isa, int threads) {
        const weft_ctx_options o = {threads, isa.c_str(), nullptr};
        ok(weft_ctx_create(&o, &ctx_));
    }
    ~Model() {
        weft_model_free(model_);
        weft_ctx_free(ctx_);
    }
    void gpt2(const weft_gpt2_config &c, size_t batch, size_t seq) {
        weft_training how = training(batch, "adamw");
        how.seq = seq, how.optim.clip = 1, how.optim.weight_decay = 0.1;
        gpt2(c, how, seq);
    }
    // One that only generates, so many texts at once.
    void gpt2(const weft_gpt2_config &c, const Format &f, size_t sequences) {
        weft_training how = {};
        how.weights = f.weights, how.kv = f.kv, how.sequences = sequences;
        gpt2(c, how, 0);
    }
    void gpt2(const weft_gpt2_config &c, const weft_training &how, size_t seq) {
        const size_t batch = how.batch;
        ok(weft_gpt2_create(ctx_, &c, &how, &model_));
        start("gpt2");
        const size_t n = std::max<size_t>(batch * seq, c.context);
        tokens_.resize(n), targets_.resize(n);
        for (auto &t : tokens_) t = static_cast<int32_t>(random_() % c.vocab);
        for (auto &t : targets_) t = static_cast<int32_t>(random_() % c.vocab);
        batch_.tokens = tokens_.data(), batch_.targets = targets_.data(), batch_.rows = batch;
        inverse_ = 1 / static_cast<float>(batch * seq);
        logits_.resize(c.vocab);
    }
    void mlp(const std::vector<size_t> &shape, size_t batch) {
        weft_mlp_config c = {};
        c.inputs = shape.front(), c.outputs = shape.back(), c.layers = shape.size() - 2;
        for (size_t i = 0; i < c.layers; i++) c.hidden[i] = shape[i + 1];
        const weft_training how = training(batch, "momentum");
        ok(weft_mlp_create(ctx_, &c, &how, &model_));
        start("kaiming-normal");
        inputs_.resize(batches_ * batch * c.inputs), targets_.resize(batch);
        for (auto &x : inputs_) x = static_cast<float>(random_() % 2048) / 1024 - 1;
        for (auto &t : targets_) t = static_cast<int32_t>(random_() % c.outputs);
        batch_.targets = targets_.data(), batch_.rows = batch;
        row_ = batch * c.inputs;
        inverse_ = 1 / static_cast<float>(batch);
    }
    void step(size_t turn) {
        weft_run run = {};
        run.step = turn, run.inv_targets = inverse_, run.lr = 1e-4;
        if (row_) batch_.inputs = inputs_.data() + turn % batches_ * row_;
        weft_loss loss;
        weft_step done;
        ok(weft_model_grad(model_, &batch_, &run, &loss));
        ok(weft_model_update(model_, &run, &done));
        if (!std::isfinite(loss.sum)) throw std::runtime_error("the loss is not finite");
    }
    void infer(size_t n, size_t pos) {
        ok(weft_model_infer(model_, tokens_.data(), n, pos, logits_.data()));
    }
    // A token of each of n texts, after as many as they have.
    void decode(size_t n, size_t pos) {
        std::vector<weft_place> place(n);
        const float *rows;
        for (size_t i = 0; i < n; i++) place[i] = {i, pos};
        ok(weft_model_decode(model_, tokens_.data(), place.data(), n, &rows));
    }
    weft_model *get() const { return model_; }
    double parameter_bytes() const {
        weft_memory m;
        ok(weft_model_memory(model_, &m));
        return static_cast<double>(m.params);
    }

  private:
    static constexpr size_t batches_ = 64; // of inputs, so that they do not stay in a cache
    static weft_training training(size_t batch, const char *optimizer) {
        weft_training how = {};
        how.batch = batch;
        how.optim.name = optimizer, how.optim.beta1 = 0.9, how.optim.beta2 = 0.95,
        how.optim.eps = 1e-8;
        return how;
    }
    void ok(weft_status st) const {
        if (st) throw std::runtime_error(ctx_ ? weft_ctx_message(ctx_) : weft_status_text(st));
    }
    void start(const char *init) {
        ok(weft_model_commit(model_));
        weft_init how = {};
        how.name = init, how.seed = 1;
        ok(weft_model_init(model_, &how));
    }
    weft_ctx *ctx_ = nullptr;
    weft_model *model_ = nullptr;
    weft_batch batch_ = {};
    std::vector<int32_t> tokens_, targets_;
    std::vector<float> inputs_, logits_;
    size_t row_ = 0;
    float inverse_ = 0;
    std::minstd_rand random_{1};
};

// One model at a time is in memory: the last one that a case asked for.
using Build = std::function<void(Model &)>;
Model &model(const std::string &name, const std::string &isa, int threads, const Build &build) {
    static std::string held;
    static std::unique_ptr<Model> m;
    const std::string want = name + "/" + isa + "/" + std::to_string(threads);
    if (held != want) {
        m.reset();
        held.clear();
        m = std::make_unique<Model>(isa, threads);
        build(*m);
        held = want;
    }
    return *m;
}

weft_limits limits(const std::string &isa, int threads) {
    const weft_kernels *const k = table(isa);
    const size_t n = std::max(last_level_cache(), size_t{16} << 20) / 2;
    weft_limits l = {};
    l.fma_gflops = fma_gflops(k, threads);
    l.bf16_gflops = bf16_gflops(k, threads);
    l.triad_gbs = 12e-9 * static_cast<double>(n) / move_seconds(k, n, 2, 1, false, threads, false);
    l.read_gbs = l.triad_gbs;
    return l;
}

void add_step(const std::string &name, size_t units, const std::string &isa, int threads,
              const Build &build) {
    auto m = std::make_shared<Model *>(nullptr);
    Case c;
    c.name = name + "/f32/" + isa + "/threads:" + std::to_string(threads);
    c.prepare = [=] {
        *m = &model(name, isa, threads, build);
        const weft_limits l = limits(isa, threads);
        Work w;
        weft_model_work((*m)->get(), &l, &w.flops, &w.least);
        w.items = static_cast<double>(units);
        w.binds = "nodes";
        return w;
    };
    c.run = [=](size_t turn) { (*m)->step(turn); };
    add(c);
}

// The prompt of n tokens, logits of the last; or a token of each of n texts that have pos tokens.
// Every weight is read once; all tokens pass the blocks, those whose logits are wanted the head.
void add_inference(const char *name, const weft_gpt2_config &g, const Format &f, size_t n,
                   size_t pos, const std::string &isa, int threads) {
    auto m = std::make_shared<Model *>(nullptr);
    const bool half = std::string(f.kv) == "bf16";
    const size_t texts = pos ? n : 1;
    Case c;
    c.name = std::string(name) + dims({{pos ? "texts" : "tokens", n}, {"at", pos}}) + "/" +
             f.weights + (half ? "-kv-bf16" : "") + "/" + isa +
             "/threads:" + std::to_string(threads);
    c.prepare = [=] {
        const std::string held =
            std::string("gpt2-124m-") + f.weights + f.kv + std::to_string(texts);
        *m = &model(held, isa, threads, [&](Model &x) { x.gpt2(g, f, texts); });
        if (pos) (*m)->infer(pos, 0);
        const double block = 12.0 * static_cast<double>(g.layers * g.width * g.width);
        const double t = static_cast<double>(n), seen = pos ? static_cast<double>(pos) : t / 2;
        const double last = pos ? t : 1;
        const double cache = (half ? 4.0 : 8.0) * static_cast<double>(g.layers * g.width) * seen;
        Work w;
        const double products = 2 * (block * t + last * static_cast<double>(g.vocab * g.width));
        w.flops = products + 4 * static_cast<double>(g.layers * g.width) * t * seen;
        w.bytes = (*m)->parameter_bytes() - 4.0 * static_cast<double>(g.context * g.width) +
                  cache * (pos ? t : 1);
        const weft_limits l = limits(isa, threads);
        // all but f32 goes by dot products of bf16, where there are some: weights, keys and values
        const bool dots = table(isa)->bf16_word == 2, words = std::string(f.weights) != "f32";
        const double rate = dots && half ? l.bf16_gflops : l.fma_gflops;
        const double compute = 1e-9 * ((w.flops - products) / rate +
                                       products / (dots && words ? l.bf16_gflops : l.fma_gflops)),
                     memory = w.bytes / read_rate(isa, threads, static_cast<size_t>(w.bytes));
        w.least = std::max(compute, memory);
        w.binds = compute <= memory ? "read" : dots && words ? "dot" : "FMA";
        w.items = t;
        return w;
    };
    c.run = [=](size_t) { pos ? (*m)->decode(n, pos) : (*m)->infer(n, 0); };
    add(c);
}

} // namespace

void add_models() {
    const struct {
        const char *preset;
        size_t batch, seq;
    } gpts[] = {
        {"gpt2-124m", 4, 64}, {"gpt2-124m", 1, 1024}, {"gpt2-124m", 4, 256}, {"gpt2-350m", 4, 64}};
    const struct {
        std::vector<size_t> shape;
        size_t batch;
    } nets[] = {{{784, 256, 128, 10}, 32}, {{784, 256, 128, 10}, 128}, {{784, 256, 128, 10}, 512},
                {{784, 46, 10}, 64},       {{784, 128, 10}, 64},       {{13, 64, 64, 3}, 16}};
    for (const int threads : options.threads) {
        for (const auto &isa : options.isas) {
            for (const auto &n : nets) {
                std::string name = "step/mlp";
                for (const size_t w : n.shape) name += "-" + std::to_string(w);
                add_step(name + dims({{"B", n.batch}}), n.batch, isa, threads,
                         [n](Model &m) { m.mlp(n.shape, n.batch); });
            }
            for (const auto &g : gpts) {
                weft_gpt2_config c = {};
                if (!weft_gpt2_preset(g.preset, &c)) continue;
                add_step(std::string("step/") + g.preset + dims({{"B", g.batch}, {"T", g.seq}}),
                         g.batch * g.seq, isa, threads,
                         [c, g](Model &m) { m.gpt2(c, g.batch, g.seq); });
            }
        }
        weft_gpt2_config c = {};
        if (!weft_gpt2_preset("gpt2-124m", &c)) continue;
        const Format formats[] = {{"f32", "f32"},  {"bf16", "f32"},     {"bf16", "bf16"},
                                  {"int8", "f32"}, {"int8-g64", "f32"}, {"int8-g32", "f32"},
                                  {"int4", "f32"}};
        for (const Format &f : formats)
            for (const auto &isa : std::string(f.weights) == "f32" ? options.isas : half_isas()) {
                add_inference("decode/gpt2-124m", c, f, 1, 64, isa, threads);
                add_inference("prefill/gpt2-124m", c, f, 1024, 0, isa, threads);
                add_inference("decode/gpt2-124m", c, f, 16, 64, isa, threads);
            }
    }
}

} // namespace bench
