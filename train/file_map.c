#include "train/file_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

static enum weft_status map_content(weft_ctx *ctx, const char *path, int fd,
                                    struct weft_file *file) {
    if (file->size == 0) return WEFT_OK;
    void *data = mmap(NULL, file->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return weft_ctx_fail(ctx, WEFT_ERR_IO, "%s: cannot be mapped (%zu bytes): %s", path,
                             file->size, strerror(errno));
    file->data = data;
    return WEFT_OK;
}

static enum weft_status read_content(weft_ctx *ctx, const char *path, int fd,
                                     struct weft_file *file) {
    uint8_t *data = malloc(file->size + 1);
    if (!data)
        return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: out of memory (%zu bytes)", path,
                             file->size);
    file->data = data;
    file->owned = true;
    for (size_t done = 0; done < file->size;) {
        const size_t left = file->size - done;
        const ssize_t n = read(fd, data + done, left < 1u << 30 ? left : 1u << 30);
        if (n > 0) {
            done += (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            return weft_ctx_fail(ctx, WEFT_ERR_IO, "%s: cannot be read to its end: %s", path,
                                 n == 0 ? "it became shorter" : strerror(errno));
        }
    }
    return WEFT_OK;
}

enum weft_status weft_file_open(weft_ctx *ctx, const char *path, struct weft_file *out) {
    int fd;
    struct weft_file file = {0};
    enum weft_status st = weft_file_descriptor(ctx, path, &fd, &file.size);
    if (st != WEFT_OK) return st;
    st = map_content(ctx, path, fd, &file);
    close(fd); // the mapping stays
    if (st == WEFT_OK) *out = file;
    return st;
}

enum weft_status weft_file_load(weft_ctx *ctx, const char *path, size_t room,
                                struct weft_file *out) {
    int fd;
    struct weft_file file = {0};
    enum weft_status st = weft_file_descriptor(ctx, path, &fd, &file.size);
    if (st != WEFT_OK) return st;
    if (file.size <= room) {
        st = read_content(ctx, path, fd, &file);
        close(fd);
    } else {
        file.watched = strdup(path);
        file.fd = fd;
        if (!file.watched) close(fd);
        st = file.watched && fstat(fd, &file.then) == 0
                 ? map_content(ctx, path, fd, &file)
                 : weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: out of memory", path);
    }
    if (st == WEFT_OK)
        *out = file;
    else
        weft_file_close(&file);
    return st;
}

enum weft_status weft_file_check(weft_ctx *ctx, const struct weft_file *file) {
    const struct stat *then = &file->then;
    struct stat now;
    if (!file->watched || (fstat(file->fd, &now) == 0 && now.st_size == then->st_size &&
                           now.st_mtim.tv_sec == then->st_mtim.tv_sec &&
                           now.st_mtim.tv_nsec == then->st_mtim.tv_nsec))
        return WEFT_OK;
    return weft_ctx_fail(ctx, WEFT_ERR_STATE,
                         "%s: was changed while it is in use; restore what it held, and go on with "
                         "--resume",
                         file->watched);
}

void weft_file_close(struct weft_file *file) {
    if (file->owned)
        free((void *)(uintptr_t)file->data);
    else if (file->data)
        munmap((void *)(uintptr_t)file->data, file->size);
    if (file->watched) close(file->fd);
    free(file->watched);
    *file = (struct weft_file){0};
}

uint64_t weft_hash(const void *data, size_t size, uint64_t seed) {
    return XXH64(size ? data : "", size, seed);
}
