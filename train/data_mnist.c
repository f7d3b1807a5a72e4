/* MNIST and what shares its format (idx: big-endian magic, sizes, bytes): images and labels of
 * train-* for training, of t10k-* for validation; plain or .gz, '-' or '.' before "idx". */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include "train/atomic.h"
#include "train/data.h"

#define MAGIC_IMAGES 0x803u
#define MAGIC_LABELS 0x801u
#define MNIST_MEAN   0.1307 /* of the training images' pixels / 255 */
#define MNIST_STD    0.3081
#define SIZE_LIMIT   ((size_t)4 << 30) /* of an unpacked file */

struct bytes {
    uint8_t *data;
    size_t size;
};

/* The path of an idx file that is there, to be freed, or NULL. */
static char *look_for(const char *folder, const char *what, const char *type) {
    for (int variant = 0; variant < 4; variant++) {
        char *path = weft_text("%s/%s%c%s-ubyte%s", folder, what, variant & 1 ? '.' : '-', type,
                               variant & 2 ? ".gz" : "");
        if (path && access(path, F_OK) == 0) return path;
        free(path);
    }
    return NULL;
}

bool weft_data_is_mnist(const char *folder) {
    char *path = look_for(folder, "train-images", "idx3");
    const bool found = path != NULL;
    free(path);
    return found;
}

/* The same, with a message when there is none. */
static char *find_file(weft_ctx *ctx, const char *folder, const char *what, const char *type) {
    char *path = look_for(folder, what, type);
    if (path) return path;
    weft_ctx_fail(
        ctx, WEFT_ERR_IO,
        "%s: has no %s-%s-ubyte, plain or .gz; a folder with MNIST's four files is needed "
        "(ci/data.sh mnist fetches them)",
        folder, what, type);
    return NULL;
}

/* A whole file, unpacked when it is packed. */
static enum weft_status read_all(weft_ctx *ctx, const char *path, struct bytes *out) {
    int fd;
    size_t packed, room = 0;
    enum weft_status st = weft_file_descriptor(ctx, path, &fd, &packed);
    if (st != WEFT_OK) return st;
    gzFile file = gzdopen(fd, "rb");
    if (!file) {
        close(fd);
        return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: out of memory", path);
    }
    for (;;) {
        if (out->size == room) {
            room = 2 * room + (1u << 20);
            uint8_t *more = room <= SIZE_LIMIT ? realloc(out->data, room) : NULL;
            if (!more) {
                st = weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: is too large for the memory", path);
                break;
            }
            out->data = more;
        }
        const size_t ask = room - out->size < 1u << 30 ? room - out->size : 1u << 30;
        const int n = gzread(file, out->data + out->size, (unsigned)ask);
        if (n > 0) out->size += (size_t)n;
        if (n <= 0) break;
    }
    int error;
    const char *why = gzerror(file, &error);
    if (st == WEFT_OK && error != Z_OK)
        st = weft_ctx_fail(ctx, WEFT_ERR_FORMAT,
                           "%s: cannot be read to its end (%s); the file is "
                           "truncated or damaged",
                           path, error == Z_ERRNO ? "read error" : why);
    gzclose(file);
    return st;
}

static uint64_t word(const struct bytes *b, size_t i) {
    const uint8_t *p = b->data + 4 * i;
    return (uint64_t)p[0] << 24 | (uint64_t)p[1] << 16 | (uint64_t)p[2] << 8 | p[3];
}

/* Check magic and sizes; n items of `each` bytes start after the header. */
static enum weft_status check_idx(weft_ctx *ctx, const char *path, const struct bytes *b,
                                  uint64_t magic, uint64_t *n, uint64_t *each) {
    const size_t header = magic == MAGIC_IMAGES ? 16 : 8;
    if (b->size < header)
        return weft_ctx_fail(ctx, WEFT_ERR_FORMAT, "%s: ends inside its header of %zu bytes", path,
                             header);
    if (word(b, 0) != magic)
        return weft_ctx_fail(ctx, WEFT_ERR_FORMAT,
                             "%s: starts with 0x%08" PRIx64 " instead of 0x%08" PRIx64
                             "; this is no idx file of %s",
                             path, word(b, 0), magic, magic == MAGIC_IMAGES ? "images" : "labels");
    *n = word(b, 1);
    *each = magic == MAGIC_IMAGES ? word(b, 2) * word(b, 3) : 1; // < 2^64
    const uint64_t has = b->size - header;
    if (*n == 0 || *each == 0 || *each > has || has / *each != *n || has % *each)
        return weft_ctx_fail(ctx, WEFT_ERR_FORMAT,
                             "%s: the header says %" PRIu64 " items of %" PRIu64
                             " bytes, but %" PRIu64
                             " bytes follow; the file is truncated or damaged",
                             path, *n, *each, has);
    return WEFT_OK;
}

static enum weft_status load_idx(weft_ctx *ctx, const char *folder, const char *what,
                                 uint64_t magic, struct weft_data *data, struct bytes *out,
                                 uint64_t *n, uint64_t *each) {
    char *path = find_file(ctx, folder, what, magic == MAGIC_IMAGES ? "idx3" : "idx1");
    if (!path) return WEFT_ERR_IO;
    enum weft_status st = read_all(ctx, path, out);
    if (st == WEFT_OK) st = check_idx(ctx, path, out, magic, n, each);
    if (st == WEFT_OK) {
        data->bytes += out->size;
        data->hash = weft_hash(out->data, out->size, data->hash);
        const size_t header = magic == MAGIC_IMAGES ? 16 : 8;
        out->size -= header;
        memmove(out->data, out->data + header, out->size);
    }
    free(path);
    return st;
}

static enum weft_status load_split(weft_ctx *ctx, const char *folder, enum weft_split split,
                                   struct weft_data *data) {
    static const char *const images[] = {"train-images", "t10k-images"};
    static const char *const labels[] = {"train-labels", "t10k-labels"};
    struct bytes x = {0}, y = {0};
    uint64_t n, pixels, n_labels, one;
    enum weft_status st = load_idx(ctx, folder, images[split], MAGIC_IMAGES, data, &x, &n, &pixels);
    if (st == WEFT_OK)
        st = load_idx(ctx, folder, labels[split], MAGIC_LABELS, data, &y, &n_labels, &one);
    if (st == WEFT_OK && n != n_labels)
        st = weft_ctx_fail(ctx, WEFT_ERR_FORMAT,
                           "%s: %s has %" PRIu64 " images, but %s has %" PRIu64 " labels", folder,
                           images[split], n, labels[split], n_labels);
    if (st == WEFT_OK && split == WEFT_SPLIT_VAL && pixels != data->features)
        st = weft_ctx_fail(ctx, WEFT_ERR_FORMAT,
                           "%s: images have %zu pixels in training, %" PRIu64 " in validation",
                           folder, data->features, pixels);
    int32_t *classes = st == WEFT_OK ? malloc(n * sizeof *classes) : NULL;
    if (st == WEFT_OK && !classes)
        st = weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: out of memory", folder);
    if (st == WEFT_OK) {
        for (size_t i = 0; i < n; i++) {
            classes[i] = y.data[i];
            if (y.data[i] >= data->classes) data->classes = y.data[i] + 1u;
        }
        data->features = pixels;
        data->n[split] = n;
        data->labels[split] = classes;
        data->pixels[split] = x.data;
        x.data = NULL;
    }
    free(x.data);
    free(y.data);
    return st;
}

enum weft_status weft_data_mnist(weft_ctx *ctx, const struct weft_data_options *o,
                                 struct weft_data *data) {
    data->format = "MNIST";
    const double mean = o->unit_pixels ? 0 : MNIST_MEAN, std = o->unit_pixels ? 1 : MNIST_STD;
    data->pixel_scale = (float)(1 / (255 * std));
    data->pixel_shift = (float)(mean / std);
    if (o->regression)
        return weft_ctx_fail(ctx, WEFT_ERR_ARG,
                             "%s: MNIST has classes; --loss mse needs a CSV file "
                             "with a number to predict",
                             o->path);
    enum weft_status st = load_split(ctx, o->path, WEFT_SPLIT_TRAIN, data);
    return st == WEFT_OK ? load_split(ctx, o->path, WEFT_SPLIT_VAL, data) : st;
}
