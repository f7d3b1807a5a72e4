// oneDNN as a peer: its matmul primitive, weights as they lie or in the layout that it prefers.
// Compiled against 2.6 or 3.x, whichever headers the build was given.
#include <omp.h>

#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <unordered_map>

#include "bench/peers/plugin.h"

using dnnl::memory;

namespace {

struct Handle {
    dnnl::engine engine{dnnl::engine::kind::cpu, 0};
    dnnl::stream stream{engine};
    memory::desc plain_b;
    dnnl::matmul::primitive_desc pd;
    dnnl::matmul matmul;
    memory a, b, c;
};

memory::data_type type(bool bf16) {
    return bf16 ? memory::data_type::bf16 : memory::data_type::f32;
}

memory::desc matrix(size_t rows, size_t cols, bool transposed, bool bf16) {
    const auto d = [](size_t x) { return static_cast<memory::dim>(x); };
    return {{d(rows), d(cols)},
            type(bf16),
            transposed ? memory::format_tag::ba : memory::format_tag::ab};
}

dnnl::matmul::primitive_desc describe(const dnnl::engine &e, const memory::desc &a,
                                      const memory::desc &b, const memory::desc &c) {
#if DNNL_VERSION_MAJOR >= 3
    return {e, a, b, c};
#else
    return {dnnl::matmul::desc(a, b, c), e};
#endif
}

const char *version() {
    static std::string text;
    const dnnl_version_t *const v = dnnl_version();
    text =
        std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
    return text.c_str();
}

void *create(const weft_bench_product *p) try {
    omp_set_num_threads(p->threads);
    auto h = std::make_unique<Handle>();
    const memory::desc a = matrix(p->m, p->k, p->a_trans, p->bf16),
                       c = matrix(p->m, p->n, false, p->c_bf16);
    h->plain_b = matrix(p->k, p->n, p->b_trans, p->bf16);
    const memory::dims kn = {static_cast<memory::dim>(p->k), static_cast<memory::dim>(p->n)};
    const memory::desc any(kn, type(p->bf16), memory::format_tag::any);
    h->pd = describe(h->engine, a, p->packed ? any : h->plain_b, c);
    h->matmul = dnnl::matmul(h->pd);
    h->a = memory(h->pd.src_desc(), h->engine, DNNL_MEMORY_NONE);
    h->b = memory(h->pd.weights_desc(), h->engine, DNNL_MEMORY_NONE);
    h->c = memory(h->pd.dst_desc(), h->engine, DNNL_MEMORY_NONE);
    return h.release();
} catch (const dnnl::error &) {
    return nullptr;
}

void destroy(void *handle) { delete static_cast<Handle *>(handle); }

void *mutable_pointer(const void *p) { return const_cast<void *>(p); }

void run(void *handle, const void *a, const void *b, void *c) {
    Handle &h = *static_cast<Handle *>(handle);
    h.a.set_data_handle(mutable_pointer(a));
    h.b.set_data_handle(mutable_pointer(b));
    h.c.set_data_handle(c);
    h.matmul.execute(h.stream, {{DNNL_ARG_SRC, h.a}, {DNNL_ARG_WEIGHTS, h.b}, {DNNL_ARG_DST, h.c}});
    h.stream.wait();
}

size_t packed_floats(void *handle) {
    return (static_cast<Handle *>(handle)->pd.weights_desc().get_size() + 3) / 4;
}

void pack(void *handle, const void *b, void *packed) {
    Handle &h = *static_cast<Handle *>(handle);
    memory from(h.plain_b, h.engine, mutable_pointer(b)), to(h.pd.weights_desc(), h.engine, packed);
    dnnl::reorder(from, to).execute(h.stream, from, to);
    h.stream.wait();
}

} // namespace

__attribute__((visibility("default"))) const weft_bench_plugin *weft_bench_plugin_get() {
    static const weft_bench_plugin plugin = {version, create, destroy, run, packed_floats, pack};
    return &plugin;
}
