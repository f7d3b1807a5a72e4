#include "train/jsonl.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "train/atomic.h"
#include "train/file_map.h"

enum weft_status weft_jsonl_open(weft_ctx *ctx, const char *path, struct weft_jsonl *out) {
    const int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return weft_ctx_fail(ctx, WEFT_ERR_IO, "%s: cannot be opened for writing: %s", path,
                             strerror(errno));
    char *copy = strdup(path);
    if (!copy) {
        close(fd);
        return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: out of memory", path);
    }
    *out = (struct weft_jsonl){.ctx = ctx, .path = copy, .fd = fd};
    return WEFT_OK;
}

#define FLUSH_AT (64u << 10)

struct weft_json *weft_jsonl_begin(struct weft_jsonl *file) {
    weft_json_open(&file->line, NULL, '{');
    return &file->line;
}

enum weft_status weft_jsonl_end(struct weft_jsonl *file) {
    struct weft_json *j = &file->line;
    weft_json_end(j);
    if (j->failed) {
        *j = (struct weft_json){0};
        return weft_ctx_fail(file->ctx, WEFT_ERR_NOMEM, "%s: out of memory", file->path);
    }
    j->data[j->size++] = '\n'; // in place of the final zero
    return file->buffered && j->size < FLUSH_AT ? WEFT_OK : weft_jsonl_flush(file);
}

enum weft_status weft_jsonl_flush(struct weft_jsonl *file) {
    const struct weft_json *j = &file->line;
    enum weft_status st = WEFT_OK;
    for (size_t done = 0; st == WEFT_OK && done < j->size;) {
        const ssize_t n = write(file->fd, j->data + done, j->size - done);
        if (n > 0) {
            done += (size_t)n;
        } else if (errno != EINTR) {
            st = weft_ctx_fail(file->ctx, WEFT_ERR_IO, "%s: cannot be written: %s", file->path,
                               strerror(errno));
        }
    }
    weft_json_reset(&file->line);
    return st;
}

enum weft_status weft_jsonl_sync(struct weft_jsonl *file) {
    const enum weft_status st = weft_jsonl_flush(file);
    if (st != WEFT_OK || fdatasync(file->fd) == 0 || errno == EINVAL) return st;
    return weft_ctx_fail(file->ctx, WEFT_ERR_IO, "%s: cannot be synced: %s", file->path,
                         strerror(errno));
}

void weft_jsonl_close(struct weft_jsonl *file) {
    if (file->path) {
        if (weft_jsonl_flush(file) != WEFT_OK) weft_json_reset(&file->line);
        close(file->fd);
    }
    free(file->path);
    weft_json_free(&file->line);
    *file = (struct weft_jsonl){0};
}

/* The step of a line, or -1 when the line is not a JSON object with one. */
static int64_t step_of(const char *line, size_t size) {
    json_t *object = json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL);
    const json_t *step = json_object_get(object, "step");
    const int64_t value = json_is_integer(step) ? json_integer_value(step) : -1;
    json_decref(object);
    return value;
}

enum weft_status weft_jsonl_cut(weft_ctx *ctx, const char *path, int64_t last_step,
                                size_t *unreadable) {
    *unreadable = 0;
    if (access(path, F_OK) != 0 && errno == ENOENT) return WEFT_OK;
    struct weft_file file;
    struct weft_out out;
    bool cut = false;
    size_t from = 0; // of what is kept and not yet written
    enum weft_status st = weft_file_open(ctx, path, &file);
    if (st != WEFT_OK) return st;
    const char *text = (const char *)file.data;
    for (size_t at = 0, next; st == WEFT_OK && at < file.size; at = next) {
        const char *end = memchr(text + at, '\n', file.size - at);
        const size_t length = (end ? (size_t)(end - text) : file.size) - at;
        const int64_t step = step_of(text + at, length);
        next = at + length + (end != NULL);
        // unreadable and without an end: the line that was being written when the run stopped
        const bool keep = step < 0 ? end && last_step >= 0 : step <= last_step;
        *unreadable += keep && step < 0 && length > 0;
        if (keep && end) continue;
        if (!cut) st = weft_out_open(ctx, path, &out);
        cut = true;
        if (st != WEFT_OK) break;
        weft_out_write(&out, text + from, (keep ? next : at) - from);
        if (keep) weft_out_write(&out, "\n", 1);
        from = next;
    }
    if (cut && st == WEFT_OK) {
        weft_out_write(&out, text + from, file.size - from);
        st = weft_out_commit(&out);
    }
    weft_file_close(&file);
    return st;
}
