/* Flash attention: one head at a time, no T x T matrix in memory.
 *
 *   s_ij = scale * q_i . k_j      over the visible keys j: j <= i when causal, else all
 *   m_i  = max_j s_ij             l_i = sum_j exp(s_ij - m_i)        lse_i = m_i + log l_i
 *   y_i  = (sum_j exp(s_ij - m_i) v_j) / l_i
 *
 * after Dao et al., FlashAttention (2022), algorithm 1. Orders, the same for every ISA, tile, range
 * of queries and number of threads:
 *   - s_ij is one FMA chain over the head dimension from 0, times scale, rounded;
 *   - keys come in blocks of 64 counted from position 0. A block makes m' = max(m, its maximum),
 *     alpha = exp(m - m'), p = exp(s - m'); y <- y alpha, then one FMA chain over the visible keys
 *     of the block ascending; l lives in 32 lanes (key j in lane j mod 32): l <- l alpha + p of the
 *     first 32 keys by FMA, + p of the second 32, folded by the tree of vec_reduce.h at the end;
 *   - y is multiplied by 1 / l, exactly divided.
 * The entropy of a row, H = log l - e / l with e = sum_j exp(s_ij - m_i)(s_ij - m_i), is made
 * beside l, in the same lanes: e <- (e + l (m - m')) alpha + p (s - m'). Every term of e is at most
 * 0, so nothing cancels but log l with e / l.
 *
 * A hidden pair takes part in no chain: it is skipped, not multiplied by 0, so a NaN in a later key
 * cannot reach an earlier query. A row alone (decoding) has the bits of that row in a batch.
 *
 * Backward, from the same scores (D_i = dy_i . y_i in 32 lanes):
 *   p_ij = exp(s_ij - lse_i)   dp_ij = dy_i . v_j   ds_ij = (p_ij (dp_ij - D_i)) scale
 *   dv_j = sum_i p_ij dy_i     dk_j = sum_i ds_ij q_i     dq_i = sum_j ds_ij k_j
 * dv and dk are one FMA chain each over the visible queries ascending; dq one chain from 0 over the
 * keys of each segment of 256, the segments' sums added in ascending order.
 *
 * elem are q, k, v, y and their gradients; everything between is f32. With gradients in bf16 dq is
 * f32 scratch, (t, hs) for segment 0 and likewise for the others, and attn_dq_fold rounds its sum.
 * With dot products of bf16 a step of a chain takes two terms, and p and ds are rounded to bf16 on
 * their way into y, dv, dk and dq; l, the entropy and ds itself are made of p in f32.
 *
 * Dropout of probabilities (GPT-2's attn_pdrop): with the factor f_ij = 0 or 1 / (1 - p), p_ij
 * becomes p_ij f_ij, rounded, in the sums of y and dv, and dp_ij becomes dp_ij f_ij; l, lse and the
 * entropy are those of the whole row, and D_i needs no change. */
#ifndef WEFT_KERNELS_ATTENTION_H
#define WEFT_KERNELS_ATTENTION_H
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

enum {
    WEFT_ATTN_BLOCK = 64,   /* keys of a block, queries of a block in the backward pass */
    WEFT_ATTN_SEG = 256,    /* keys whose share of dq is one chain */
    WEFT_ATTN_ROWS = 256,   /* queries carried through the keys together: no effect on bits */
    WEFT_ATTN_MAX_HS = 128, /* largest head size; 1 is the smallest */
};

/* Rows of scratch and of cached values are padded to whole vectors of the widest ISA. */
static inline size_t weft_attn_pad(size_t hs) { return (hs + 15) & ~(size_t)15; }

/* Scratch in bytes, 64-aligned, of attn_fwd and attn_kv; of attn_bwd. */
static inline size_t weft_attn_fwd_scratch(size_t hs) {
    const size_t hp = weft_attn_pad(hs);
    return sizeof(float) * (2 * WEFT_ATTN_BLOCK * hp + WEFT_ATTN_ROWS * (2 * hp + 32 + 1));
}
static inline size_t weft_attn_entropy_scratch(void) { return sizeof(float) * 32 * WEFT_ATTN_ROWS; }
static inline size_t weft_attn_bwd_scratch(size_t hs) {
    const size_t hp = weft_attn_pad(hs);
    return sizeof(float) * (5 * WEFT_ATTN_SEG * hp + 4 * WEFT_ATTN_BLOCK * hp +
                            2 * WEFT_ATTN_BLOCK * WEFT_ATTN_BLOCK);
}
static inline size_t weft_attn_segments(size_t t) {
    return (t + WEFT_ATTN_SEG - 1) / WEFT_ATTN_SEG;
}

/* Which pairs of a head of a sample drop out. Random word: Philox4x32-10 under the key of (seed,
 * stream), block counter (16 b + l, query, sample, step), word w, for key 64 b + 16 w + l, 0 <= l <
 * 16. Dropped when the word's upper 31 bits are < p 2^31. sample, step count modulo 2^32. */
struct weft_attn_drop {
    uint64_t seed, step, sample;
    uint32_t stream; /* one for each head */
    float p;         /* 0 <= p < 1; 0: none */
};

/* One head, queries [q0, q1): the unit of work is any such range. */
struct weft_attn_fwd_args {
    const void *q;  /* (t, hs) ld=ld elem, rows [q0, q1) read */
    const void *k;  /* (t, hs) ld=ld elem, read (causal: rows < q1) */
    const void *v;  /* (t, hs) ld=ld elem, read (causal: rows < q1) */
    void *y;        /* (t, hs) ld=ldy elem, rows [q0, q1) = */
    float *lse;     /* (t), [q0, q1) = ; NULL: not wanted */
    float *smax;    /* (t), [q0, q1) = the row's largest scaled logit; NULL: not wanted */
    float *entropy; /* (t), [q0, q1) = -sum_j p_ij log p_ij; NULL: not wanted */
    void *scratch;  /* weft_attn_fwd_scratch(hs) bytes, with entropy _entropy_scratch() more */
    size_t t, hs, ld, ldy;
    size_t q0, q1; /* q0 <= q1 <= t */
    float scale;   /* > 0 */
    bool causal;
    struct weft_attn_drop drop;
};

/* One head, keys of segment seg. The segments of a head must not overlap in time when dq_add. */
struct weft_attn_bwd_args {
    const void *q;    /* (t, hs) ld=ld elem, read */
    const void *k;    /* (t, hs) ld=ld elem, read */
    const void *v;    /* (t, hs) ld=ld elem, read */
    const void *y;    /* (t, hs) ld=ldy elem, read: what the forward kernel wrote */
    const void *dy;   /* (t, hs) ld=ldy elem, read */
    const float *lse; /* (t), read */
    float *dq;        /* (t, hs) ld=lddq: = or, with dq_add, +=; causal: rows >= 256 seg only */
    void *dk;         /* (t, hs) ld=ldd elem, rows of the segment = */
    void *dv;         /* (t, hs) ld=ldd elem, rows of the segment = */
    void *scratch;    /* weft_attn_bwd_scratch(hs) bytes */
    size_t t, hs, ld, ldy, lddq, ldd;
    size_t seg; /* < weft_attn_segments(t) */
    float scale;
    bool causal;
    bool dq_add; /* segment 0 with =, then the others ascending with += makes the whole dq */
    struct weft_attn_drop drop; /* of the forward pass */
};

/* dq = the share of segment 0 + those of segments 1, 2, ... ascending, where segment s > 0 wrote
 * part[s - 1], and segment 0 wrote dq itself (first NULL: f32) or first. Rows [r0, r1): any range.
 */
struct weft_attn_fold_args {
    const float *part;  /* (segments - 1, t, hs) dense, read; causal: row i in part[s - 1] for i >=
                         * 256 s only; NULL: all is in first */
    const float *first; /* (t, hs) dense, read; NULL: dq */
    void *dq;           /* (t, hs) ld=lddq elem, = */
    size_t t, hs, lddq;
    size_t r0, r1;
    bool causal;
};

/* The key-value cache of one head holds max_t positions, a multiple of 64. Keys are stored as the
 * scores want them: block b of 64 positions is (hs, 64), position p at [p / 64][d][p % 64]. Values
 * are rows padded with zeros to weft_attn_pad(hs). Both have weft_attn_kv_floats(hs, max_t)
 * elements. What is appended to a cache in bf16 is rounded to nearest even. With dot products of
 * bf16, which take q rounded as well, it holds words: of two dimensions of a key, (hs / 2, 64) a
 * block, and of two positions of a value, (max_t / 2, pad). */
static inline size_t weft_attn_kv_floats(size_t hs, size_t max_t) {
    return weft_attn_pad(hs) * max_t;
}

/* Writes positions [pos, pos + n). */
struct weft_attn_append_args {
    const float *k; /* (n, hs) ld=ld, read */
    const float *v; /* (n, hs) ld=ld, read */
    void *kcache;   /* the head's keys, elem, = */
    void *vcache;   /* the head's values, elem, = */
    size_t n, hs, ld, pos;
};

/* n queries at positions pos, pos + 1, ... against the cached positions before them and their own,
 * which must have been appended. The bits of the causal forward pass. */
struct weft_attn_kv_args {
    const float *q;      /* (n, hs) ld=ld, read */
    const void *kcache;  /* the head's keys, elem; whole blocks are read up to pos + n - 1's */
    const void *vcache;  /* the head's values, elem, rows < pos + n, and the rest of a word, read */
    float *y;            /* (n, hs) ld=ldy, = */
    void *scratch;       /* weft_attn_fwd_scratch(hs) bytes */
    size_t n, hs, ld, ldy, pos;
    float scale; /* > 0 */
};

#endif
