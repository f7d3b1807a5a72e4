// Other libraries that multiply matrices, opened at run time, each in a symbol space of its own,
// all with the same OpenMP runtime and number of threads.
#ifndef WEFT_BENCH_PEER_H
#define WEFT_BENCH_PEER_H

#include <cstddef>
#include <string>
#include <vector>

namespace bench {

struct PeerShape {
    size_t m, n, k;
    bool a_trans, b_trans; // A lies as (k, m), B as (n, k); row-major
    bool packed;           // B comes as pack() wrote it
    bool bf16, c_bf16;     // A and B are bf16; C too
};

class Peer {
  public:
    virtual ~Peer() = default;
    std::string name, version;
    bool can_pack = false, can_bf16 = false;
    virtual void *create(const PeerShape &s, int threads) const = 0;
    virtual void destroy(void *handle) const = 0;
    virtual void run(void *handle, const PeerShape &s, const void *a, const void *b,
                     void *c) const = 0;
    virtual size_t packed_floats(void *, const PeerShape &) const { return 0; }
    virtual void pack(void *, const PeerShape &, const void *, void *) const {}
};

// Those of options.peers that can be opened; one line on stderr for each that cannot.
const std::vector<const Peer *> &peers();

} // namespace bench
#endif
