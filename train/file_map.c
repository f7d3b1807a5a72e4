#include "train/file_map.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum weft_status weft_file_descriptor(weft_ctx *ctx, const char *path, int *out, size_t *size) {
    struct stat info;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a pipe must not make it wait
    if (fd < 0)
        return weft_ctx_fail(ctx, WEFT_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        close(fd);
        return weft_ctx_fail(ctx, WEFT_ERR_IO, "%s: is not a regular file", path);
    }
    *out = fd;
    *size = (size_t)info.st_size;
    return WEFT_OK;
}

enum weft_status weft_file_open(weft_ctx *ctx, const char *path, struct weft_file *out) {
    int fd;
    struct weft_file file = {0};
    enum weft_status st = weft_file_descriptor(ctx, path, &fd, &file.size);
    if (st != WEFT_OK) return st;
    if (file.size > 0) {
        void *data = mmap(NULL, file.size, PROT_READ, MAP_PRIVATE, fd, 0);
        file.data = data;
        if (data == MAP_FAILED)
            st = weft_ctx_fail(ctx, WEFT_ERR_IO, "%s: cannot be mapped (%zu bytes): %s", path,
                               file.size, strerror(errno));
    }
    close(fd); // the mapping stays
    if (st == WEFT_OK) *out = file;
    return st;
}

void weft_file_close(struct weft_file *file) {
    if (file->data) munmap((void *)(uintptr_t)file->data, file->size);
    *file = (struct weft_file){0};
}

uint64_t weft_hash(const void *data, size_t size, uint64_t seed) {
    return XXH64(size ? data : "", size, seed);
}
