/* safetensors files: u64 length of the header (little-endian), the header (JSON, padded with spaces
 * to a multiple of 8), then the tensors, back to back, row-major, little-endian.
 *
 *   {"__metadata__":{"format":"pt","xxh64:NAME":"16 hex digits",...},
 *    "NAME":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},...}
 *
 * The writer is deterministic: members stand in the order given, nothing depends on time, path or
 * version. The reader believes nothing: header length, JSON, types, products of shapes, offsets
 * that overlap or leave holes, and the checksum of each tensor where the metadata has one. A
 * foreign file without our metadata loads. */
#ifndef WEFT_TRAIN_SAFETENSORS_H
#define WEFT_TRAIN_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>
#include "weft/context.h"

/* X(enumerator, name in files, bytes of an element) */
#define WEFT_ST_DTYPES(X)                                                                          \
    X(WEFT_ST_F32, "F32", 4)                                                                       \
    X(WEFT_ST_F64, "F64", 8)                                                                       \
    X(WEFT_ST_I64, "I64", 8)                                                                       \
    X(WEFT_ST_U8, "U8", 1)                                                                         \
    X(WEFT_ST_U64, "U64", 8)                                                                       \
    X(WEFT_ST_F16, "F16", 2)                                                                       \
    X(WEFT_ST_BF16, "BF16", 2)                                                                     \
    X(WEFT_ST_I32, "I32", 4)                                                                       \
    X(WEFT_ST_U32, "U32", 4)                                                                       \
    X(WEFT_ST_I16, "I16", 2)                                                                       \
    X(WEFT_ST_U16, "U16", 2)                                                                       \
    X(WEFT_ST_I8, "I8", 1)                                                                         \
    X(WEFT_ST_BOOL, "BOOL", 1)

enum weft_st_dtype {
#define WEFT_ST_ENUM(name, text, bytes) name,
    WEFT_ST_DTYPES(WEFT_ST_ENUM)
#undef WEFT_ST_ENUM
};
const char *weft_st_dtype_name(enum weft_st_dtype dtype);
size_t weft_st_dtype_size(enum weft_st_dtype dtype);

#define WEFT_ST_RANK 8

/* ---- writing ---- */
struct weft_st_tensor {
    const char *name;
    enum weft_st_dtype dtype;
    size_t rank;
    size_t shape[WEFT_ST_RANK];
    const void *data; /* all bytes, or NULL: fill is asked for them */
    /* Puts bytes [offset, offset + size) of the tensor into out; both are multiples of the size of
     * an element. Called for the checksum and again for the data: must give the same twice. */
    void (*fill)(void *user, size_t offset, size_t size, void *out);
    void *user;
};
struct weft_st_meta { /* extra metadata, after "format" */
    const char *key, *value;
};
/* Through weft_out: whole or not at all. */
WEFT_NODISCARD enum weft_status weft_st_write(weft_ctx *ctx, const char *path,
                                              const struct weft_st_tensor *tensors, size_t n,
                                              const struct weft_st_meta *meta, size_t n_meta);

/* ---- reading ---- */
struct weft_st_entry {
    const char *name;
    enum weft_st_dtype dtype;
    size_t rank;
    size_t shape[WEFT_ST_RANK];
    size_t offset, size;       /* bytes, from the start of the data */
    const unsigned char *data; /* in the mapped file; may be unaligned: use memcpy */
};
typedef struct weft_st_file weft_st_file;

/* Maps and checks the whole file, checksums included. WEFT_ERR_IO, WEFT_ERR_FORMAT, _DTYPE. */
WEFT_NODISCARD enum weft_status weft_st_open(weft_ctx *ctx, const char *path, weft_st_file **out);
void weft_st_close(weft_st_file *file);
size_t weft_st_count(const weft_st_file *file);
const struct weft_st_entry *weft_st_entry(const weft_st_file *file, size_t i); /* in file order */
const struct weft_st_entry *weft_st_find(const weft_st_file *file, const char *name); /* or NULL */
const char *weft_st_metadata(const weft_st_file *file, const char *key);              /* or NULL */
/* The tensor that must be there with this type and shape; a clear error otherwise. */
WEFT_NODISCARD enum weft_status weft_st_get(weft_ctx *ctx, const weft_st_file *file,
                                            const char *name, enum weft_st_dtype dtype, size_t rank,
                                            const size_t *shape, const struct weft_st_entry **out);
/* The same for numbers: F32, F16 or BF16. */
WEFT_NODISCARD enum weft_status weft_st_get_real(weft_ctx *ctx, const weft_st_file *file,
                                                 const char *name, size_t rank, const size_t *shape,
                                                 const struct weft_st_entry **out);

#endif
