// The peers: every CBLAS by its sgemm, and oneDNN by a plug-in that is built where its headers are.
#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>

#include "bench/bench.h"
#include "bench/peer.h"
#include "bench/peers/plugin.h"

namespace bench {

namespace {

template <class F> F symbol(void *library, const char *name) {
    return reinterpret_cast<F>(dlsym(library, name));
}

// Symbols of its own, also where another one has put the same names into the global scope, as MKL
// does with its parts.
#if defined(RTLD_DEEPBIND) && !defined(__SANITIZE_ADDRESS__)
constexpr int kOwnSymbols = RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND;
#else
constexpr int kOwnSymbols = RTLD_NOW | RTLD_LOCAL;
#endif

// The first of these files, or what the environment names.
void *open_library(const std::string &peer, const std::vector<std::string> &files) {
    std::string variable = "WEFT_PEER_";
    for (const char c : peer) variable += static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
    if (const char *path = std::getenv(variable.c_str()))
        return dlopen(path, kOwnSymbols);
    for (const auto &file : files)
        if (void *const library = dlopen(file.c_str(), kOwnSymbols)) return library;
    return nullptr;
}

// ---- CBLAS ----
constexpr int kRowMajor = 101, kNoTrans = 111, kTrans = 112;

struct Blas {
    const char *name;
    std::vector<std::string> files;
    const char *set_threads; // void (int), or by long for BLIS: the same register
    const char *version;     // const char *()
};

class CblasPeer final : public Peer {
  public:
    CblasPeer(const Blas &b, void *library) {
        name = b.name;
        sgemm_ = symbol<Sgemm>(library, "cblas_sgemm");
        set_threads_ = symbol<void (*)(long)>(library, b.set_threads);
        version = version_of(library, b.version);
        if (!sgemm_) throw std::runtime_error("it has no cblas_sgemm");
    }
    void *create(const PeerShape &, int threads) const override {
        if (set_threads_) set_threads_(threads);
        return nullptr;
    }
    void destroy(void *) const override {}
    void run(void *, const PeerShape &s, const void *a, const void *b, void *c) const override {
        const auto n = [](size_t x) { return static_cast<int>(x); };
        sgemm_(kRowMajor, s.a_trans ? kTrans : kNoTrans, s.b_trans ? kTrans : kNoTrans, n(s.m),
               n(s.n), n(s.k), 1, static_cast<const float *>(a), n(s.a_trans ? s.m : s.k),
               static_cast<const float *>(b), n(s.b_trans ? s.k : s.n), 0, static_cast<float *>(c),
               n(s.n));
    }

  private:
    static std::string version_of(void *library, const char *name) {
        if (const auto mkl = symbol<void (*)(char *, int)>(library, "MKL_Get_Version_String")) {
            char text[200] = "";
            mkl(text, sizeof text - 1);
            return std::string(text).substr(0, std::string(text).find_last_not_of(' ') + 1);
        }
        const auto text = symbol<const char *(*)()>(library, name);
        return text ? text() : "?";
    }
    using Sgemm = void (*)(int, int, int, int, int, int, float, const float *, int, const float *,
                           int, float, float *, int);
    Sgemm sgemm_;
    void (*set_threads_)(long);
};

// ---- plug-ins ----
class PluginPeer final : public Peer {
  public:
    PluginPeer(const char *plugin, void *library) {
        const auto get = symbol<const weft_bench_plugin *(*)()>(library, "weft_bench_plugin_get");
        if (!get) throw std::runtime_error("it is no plug-in of this program");
        plugin_ = get();
        name = plugin;
        version = plugin_->version();
        can_pack = can_bf16 = std::string(plugin) == "onednn";
    }
    void *create(const PeerShape &s, int threads) const override {
        const weft_bench_product p = {s.m,      s.n,    s.k,      s.a_trans, s.b_trans,
                                      s.packed, s.bf16, s.c_bf16, threads};
        void *const handle = plugin_->create(&p);
        if (!handle) throw std::runtime_error(name + " refuses this product");
        return handle;
    }
    void destroy(void *handle) const override { plugin_->destroy(handle); }
    void run(void *handle, const PeerShape &, const void *a, const void *b,
             void *c) const override {
        plugin_->run(handle, a, b, c);
    }
    size_t packed_floats(void *handle, const PeerShape &) const override {
        return plugin_->packed_floats(handle);
    }
    void pack(void *handle, const PeerShape &, const void *b, void *packed) const override {
        plugin_->pack(handle, b, packed);
    }

  private:
    const weft_bench_plugin *plugin_;
};

std::string program_folder() {
    char path[4096];
    const ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    const std::string s(path, n > 0 ? static_cast<size_t>(n) : 0);
    return s.substr(0, s.rfind('/'));
}

std::unique_ptr<Peer> open_peer(const std::string &name) {
    static const Blas blas[] = {
        {"openblas",
         {"libopenblas.so.0", "/usr/lib/x86_64-linux-gnu/openblas-openmp/libopenblas.so.0"},
         "openblas_set_num_threads",
         "openblas_get_config"},
        {"blis",
         {"libblis.so.4", "/usr/lib/x86_64-linux-gnu/blis-openmp/libblis.so.4"},
         "bli_thread_set_num_threads",
         "bli_info_get_version_str"},
        {"mkl", {"libmkl_rt.so.3", "libmkl_rt.so.2"}, "MKL_Set_Num_Threads", ""},
    };
    for (const Blas &b : blas) {
        if (name != b.name) continue;
        if (name == "mkl") setenv("MKL_THREADING_LAYER", "GNU", 0);
        void *const library = open_library(name, b.files);
        if (!library) throw std::runtime_error(dlerror());
        return std::make_unique<CblasPeer>(b, library);
    }
    if (name != "onednn" && name != "libxsmm")
        throw std::runtime_error("there is no such peer: onednn, openblas, blis, mkl, libxsmm");
    void *const library = open_library(name, {program_folder() + "/weft-bench-" + name + ".so"});
    if (!library) throw std::runtime_error(dlerror());
    return std::make_unique<PluginPeer>(name.c_str(), library);
}

} // namespace

const std::vector<const Peer *> &peers() {
    static std::vector<std::unique_ptr<Peer>> own;
    static std::vector<const Peer *> list;
    static bool opened = false;
    if (opened) return list;
    opened = true;
    for (const auto &name : options.peers) {
        try {
            own.push_back(open_peer(name));
            list.push_back(own.back().get());
        } catch (const std::exception &e) {
            std::fprintf(stderr, "weft: peer %s is left out: %s\n", name.c_str(), e.what());
        }
    }
    return list;
}

} // namespace bench
