#include "train/atomic.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *weft_text(const char *fmt, ...) {
    char *text;
    va_list args;
    va_start(args, fmt);
    const int n = vasprintf(&text, fmt, args);
    va_end(args);
    return n < 0 ? NULL : text;
}

/* The message of a failed system call; tells what to do about the usual ones. */
static enum weft_status sys_fail(weft_ctx *ctx, const char *path, const char *what, int error) {
    const char *hint = "";
    if (error == ENOSPC || error == EDQUOT) hint = "; free some space and resume";
    if (error == EACCES || error == EROFS) hint = "; choose a folder you may write to";
    return weft_ctx_fail(ctx, WEFT_ERR_IO, "%s: %s: %s%s", path, what, strerror(error), hint);
}

static enum weft_status no_memory(weft_ctx *ctx, const char *path) {
    return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: out of memory", path);
}

/* Make the names in a folder, or a file's content, survive a power cut. */
static enum weft_status sync_path(weft_ctx *ctx, const char *path) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return sys_fail(ctx, path, "cannot be opened for syncing", errno);
    const int error = fsync(fd) == 0 || errno == EINVAL ? 0 : errno; // EINVAL: nothing to sync here
    close(fd);
    return error ? sys_fail(ctx, path, "cannot be synced", error) : WEFT_OK;
}

static enum weft_status sync_parent(weft_ctx *ctx, const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash) return sync_path(ctx, ".");
    char *parent = slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
    if (!parent) return no_memory(ctx, path);
    const enum weft_status st = sync_path(ctx, parent);
    free(parent);
    return st;
}

/* ---- one file ---- */

enum weft_status weft_out_open(weft_ctx *ctx, const char *path, struct weft_out *out) {
    *out = (struct weft_out){.ctx = ctx, .fd = -1};
    out->path = strdup(path);
    out->temp = weft_text("%s.tmp", path);
    if (!out->path || !out->temp) {
        out->status = no_memory(ctx, path);
    } else {
        out->fd = open(out->temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (out->fd < 0) out->status = sys_fail(ctx, out->temp, "cannot be created", errno);
    }
    const enum weft_status st = out->status;
    if (st != WEFT_OK) weft_out_abort(out);
    return st;
}

enum weft_status weft_out_write(struct weft_out *out, const void *data, size_t size) {
    const char *from = data;
    while (out->status == WEFT_OK && size > 0) {
        const ssize_t n = write(out->fd, from, size < (1u << 30) ? size : 1u << 30);
        if (n > 0) {
            from += n;
            size -= (size_t)n;
        } else if (errno != EINTR) {
            out->status = sys_fail(out->ctx, out->path, "cannot be written", errno);
        }
    }
    return out->status;
}

void weft_out_abort(struct weft_out *out) {
    if (out->fd >= 0) {
        close(out->fd);
        unlink(out->temp);
    }
    free(out->path);
    free(out->temp);
    *out = (struct weft_out){.fd = -1};
}

enum weft_status weft_out_commit(struct weft_out *out) {
    if (out->status == WEFT_OK && fsync(out->fd) != 0 && errno != EINVAL)
        out->status = sys_fail(out->ctx, out->path, "cannot be synced", errno);
    if (out->status == WEFT_OK && rename(out->temp, out->path) != 0)
        out->status = sys_fail(out->ctx, out->path, "cannot be put in place", errno);
    enum weft_status st = out->status;
    if (st == WEFT_OK) {
        close(out->fd);
        out->fd = -1;
        st = sync_parent(out->ctx, out->path);
    }
    weft_out_abort(out);
    return st;
}

enum weft_status weft_write_file(weft_ctx *ctx, const char *path, const void *data, size_t size) {
    struct weft_out out;
    const enum weft_status st = weft_out_open(ctx, path, &out);
    if (st != WEFT_OK) return st;
    weft_out_write(&out, data, size);
    return weft_out_commit(&out);
}

/* ---- one folder ---- */

enum weft_status weft_make_folder(weft_ctx *ctx, const char *path) {
    char *part = strdup(path);
    if (!part) return no_memory(ctx, path);
    enum weft_status st = WEFT_OK;
    for (char *c = part + strspn(part, "/"); st == WEFT_OK; c++) {
        if (*c != '/' && *c != '\0') continue;
        const char end = *c;
        *c = '\0';
        if (mkdir(part, 0777) != 0 && errno != EEXIST)
            st = sys_fail(ctx, part, "cannot be created", errno);
        *c = end;
        if (end == '\0') break;
    }
    struct stat info;
    if (st == WEFT_OK && (stat(path, &info) != 0 || !S_ISDIR(info.st_mode)))
        st = weft_ctx_fail(ctx, WEFT_ERR_IO, "%s: exists and is not a folder", path);
    free(part);
    return st;
}

enum weft_status weft_remove_folder(weft_ctx *ctx, const char *path) {
    DIR *dir = opendir(path);
    if (!dir) {
        if (errno == ENOENT) return WEFT_OK;
        return sys_fail(ctx, path, "cannot be removed", errno);
    }
    enum weft_status st = WEFT_OK;
    for (const struct dirent *entry; st == WEFT_OK && (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        char *inner = weft_text("%s/%s", path, entry->d_name);
        if (!inner) {
            st = no_memory(ctx, path);
        } else if (unlink(inner) != 0) {
            const int error = errno;
            if (error == EISDIR || error == EPERM) {
                st = weft_remove_folder(ctx, inner);
            } else {
                st = sys_fail(ctx, inner, "cannot be removed", error);
            }
        }
        free(inner);
    }
    closedir(dir);
    if (st == WEFT_OK && rmdir(path) != 0) st = sys_fail(ctx, path, "cannot be removed", errno);
    return st;
}

enum weft_status weft_commit_folder(weft_ctx *ctx, const char *temp, const char *path) {
    enum weft_status st = sync_path(ctx, temp);
    if (st != WEFT_OK) return st;
    if (rename(temp, path) != 0) {
        if (errno != ENOTEMPTY && errno != EEXIST)
            return sys_fail(ctx, path, "cannot be put in place", errno);
        // one is there: swap the two where the file system can, then drop the old one
        if (renameat2(AT_FDCWD, temp, AT_FDCWD, path, RENAME_EXCHANGE) == 0) {
            st = weft_remove_folder(ctx, temp);
        } else {
            st = weft_remove_folder(ctx, path);
            if (st == WEFT_OK && rename(temp, path) != 0)
                st = sys_fail(ctx, path, "cannot be put in place", errno);
        }
    }
    return st == WEFT_OK ? sync_parent(ctx, path) : st;
}

enum weft_status weft_replace_link(weft_ctx *ctx, const char *link, const char *target) {
    char *temp = weft_text("%s.tmp", link);
    if (!temp) return no_memory(ctx, link);
    enum weft_status st = WEFT_OK;
    unlink(temp); // left over from a crash
    if (symlink(target, temp) != 0 || rename(temp, link) != 0) {
        st = sys_fail(ctx, link, "cannot be linked", errno);
        unlink(temp);
    } else {
        st = sync_parent(ctx, link);
    }
    free(temp);
    return st;
}

/* ---- checkpoints ---- */

const char *weft_checkpoint_name(uint64_t step, char buf[WEFT_CHECKPOINT_NAME]) {
    snprintf(buf, WEFT_CHECKPOINT_NAME, "step-%06" PRIu64, step);
    return buf;
}

/* Is it the name of a checkpoint, spelled as weft_checkpoint_name does? */
static bool parse_name(const char *name, uint64_t *step) {
    char buf[WEFT_CHECKPOINT_NAME];
    if (strncmp(name, "step-", 5) != 0) return false;
    *step = strtoull(name + 5, NULL, 10);
    return strcmp(name, weft_checkpoint_name(*step, buf)) == 0;
}

static int by_step(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

enum weft_status weft_checkpoint_list(weft_ctx *ctx, const char *folder, uint64_t **steps,
                                      size_t *n) {
    *steps = NULL;
    *n = 0;
    DIR *dir = opendir(folder);
    if (!dir) return errno == ENOENT ? WEFT_OK : sys_fail(ctx, folder, "cannot be read", errno);
    size_t count = 0, room = 0;
    uint64_t *list = NULL;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        uint64_t step;
        if (!parse_name(entry->d_name, &step)) continue;
        if (count == room) {
            room = 2 * room + 16;
            uint64_t *more = realloc(list, room * sizeof *list);
            if (!more) {
                free(list);
                closedir(dir);
                return no_memory(ctx, folder);
            }
            list = more;
        }
        list[count++] = step;
    }
    closedir(dir);
    if (count > 0) qsort(list, count, sizeof *list, by_step);
    *steps = list;
    *n = count;
    return WEFT_OK;
}

/* step-NNNNNN.tmp folders of runs that were killed while they saved. */
static enum weft_status remove_temporaries(weft_ctx *ctx, const char *folder) {
    DIR *dir = opendir(folder);
    if (!dir) return errno == ENOENT ? WEFT_OK : sys_fail(ctx, folder, "cannot be read", errno);
    enum weft_status st = WEFT_OK;
    for (const struct dirent *entry; st == WEFT_OK && (entry = readdir(dir));) {
        const char *dot = strrchr(entry->d_name, '.');
        if (strncmp(entry->d_name, "step-", 5) != 0 || !dot || strcmp(dot, ".tmp") != 0) continue;
        char *path = weft_text("%s/%s", folder, entry->d_name);
        st = path ? weft_remove_folder(ctx, path) : no_memory(ctx, folder);
        free(path);
    }
    closedir(dir);
    return st;
}

enum weft_status weft_checkpoint_prune(weft_ctx *ctx, const char *folder, size_t keep,
                                       uint64_t spare) {
    uint64_t *steps;
    size_t n;
    enum weft_status st = weft_checkpoint_list(ctx, folder, &steps, &n);
    for (size_t i = 0; st == WEFT_OK && i + keep < n; i++) {
        if (steps[i] == spare) continue;
        char name[WEFT_CHECKPOINT_NAME];
        // out of the way in one step first: a half-removed checkpoint must not look like one
        char *path = weft_text("%s/%s", folder, weft_checkpoint_name(steps[i], name));
        char *temp = weft_text("%s/%s.tmp", folder, name);
        if (!path || !temp) {
            st = no_memory(ctx, folder);
        } else if (rename(path, temp) != 0) {
            st = sys_fail(ctx, path, "cannot be removed", errno);
        }
        free(path);
        free(temp);
    }
    free(steps);
    return st == WEFT_OK ? remove_temporaries(ctx, folder) : st;
}
