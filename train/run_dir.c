#include "train/run_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "train/atomic.h"
#include "train/safetensors.h"

static enum weft_status no_memory(weft_ctx *ctx, const char *path) {
    return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: out of memory", path);
}

static bool has_entries(const char *path) {
    DIR *dir = opendir(path);
    bool found = false;
    for (const struct dirent *entry; dir && !found && (entry = readdir(dir));)
        found = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    if (dir) closedir(dir);
    return found;
}

bool weft_run_dir_is_taken(const char *path) {
    static const char *const names[] = {"run.json", "metrics.jsonl", "stats.jsonl", "checkpoints"};
    const size_t n = sizeof names / sizeof *names;
    bool taken = false;
    for (size_t i = 0; !taken && i < n; i++) {
        char *file = weft_text("%s/%s", path, names[i]);
        taken = file && (i + 1 < n ? access(file, F_OK) == 0 : has_entries(file));
        free(file);
    }
    return taken;
}

static enum weft_status lock_folder(struct weft_run_dir *run) {
    run->lock = open(run->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (run->lock < 0)
        return weft_ctx_fail(run->ctx, WEFT_ERR_IO, "%s: cannot be opened: %s", run->path,
                             strerror(errno));
    if (flock(run->lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return weft_ctx_fail(run->ctx, WEFT_ERR_STATE,
                             "%s: another process is training into this folder: wait for it, or "
                             "choose another --out",
                             run->path);
    return WEFT_OK;
}

enum weft_status weft_run_dir_open(weft_ctx *ctx, const char *path, struct weft_run_dir *out) {
    struct weft_run_dir run = {.ctx = ctx, .lock = -1};
    run.path = strdup(path);
    run.checkpoints = weft_text("%s/checkpoints", path);
    enum weft_status st = run.path && run.checkpoints ? WEFT_OK : no_memory(ctx, path);
    run.made = access(path, F_OK) != 0;
    if (st == WEFT_OK) st = weft_make_folder(ctx, path);
    if (st == WEFT_OK) st = lock_folder(&run);
    if (st == WEFT_OK) st = weft_make_folder(ctx, run.checkpoints);
    if (st != WEFT_OK) {
        weft_run_dir_close(&run);
        return st;
    }
    *out = run;
    return WEFT_OK;
}

static enum weft_status open_log(struct weft_run_dir *run, const char *name, int64_t last_step,
                                 struct weft_jsonl *out) {
    char *path = weft_text("%s/%s", run->path, name);
    if (!path) return no_memory(run->ctx, run->path);
    size_t unreadable;
    enum weft_status st = weft_jsonl_cut(run->ctx, path, last_step, &unreadable);
    if (st == WEFT_OK) st = weft_jsonl_open(run->ctx, path, out);
    if (st == WEFT_OK) {
        out->buffered = true;
        out->unreadable = unreadable;
    }
    free(path);
    return st;
}

enum weft_status weft_run_dir_logs(struct weft_run_dir *run, int64_t last_step) {
    const enum weft_status st = open_log(run, "metrics.jsonl", last_step, &run->metrics);
    return st == WEFT_OK ? open_log(run, "stats.jsonl", last_step, &run->stats) : st;
}

void weft_run_dir_close(struct weft_run_dir *run) {
    if (!run->path) return;
    weft_jsonl_close(&run->metrics);
    weft_jsonl_close(&run->stats);
    if (run->made && rmdir(run->checkpoints) == 0) rmdir(run->path);
    if (run->lock >= 0) close(run->lock);
    free(run->path);
    free(run->checkpoints);
    *run = (struct weft_run_dir){.lock = -1};
}

/* ---- run.json ---- */

enum weft_status weft_run_dir_paths(weft_ctx *ctx, struct weft_options *o) {
    static const enum weft_option_id paths[] = {WEFT_OPT_data, WEFT_OPT_tokenizer,
                                                WEFT_OPT_init_from};
    enum weft_status st = WEFT_OK;
    for (size_t i = 0; st == WEFT_OK && i < sizeof paths / sizeof *paths; i++) {
        const enum weft_option_id id = paths[i];
        char text[4096];
        if (!weft_options_given(o, id)) continue;
        weft_options_text(o, id, text, sizeof text);
        if (id == WEFT_OPT_tokenizer && (!strcmp(text, "byte") || !strcmp(text, "char"))) continue;
        char *path = realpath(text, NULL); // NULL: opening it will say why
        if (path) st = weft_options_set(o, id, path, (enum weft_option_from)o->from[id]);
        free(path);
    }
    return st == WEFT_OK ? st : weft_ctx_fail(ctx, st, "%s", o->message);
}

static void put_cpus(const weft_ctx *ctx, struct weft_json *j) {
    const int *const cpu = weft_ctx_cpus(ctx);
    if (cpu == NULL) return;
    weft_json_open(j, "cpus", '[');
    for (int i = 0; i < weft_ctx_threads(ctx); i++) weft_json_int(j, NULL, cpu[i]);
    weft_json_close(j);
}

static void put_data(struct weft_json *j, const struct weft_data *data, double bigram) {
    char hash[17];
    snprintf(hash, sizeof hash, "%016" PRIx64, data->hash);
    weft_json_open(j, "data", '{');
    weft_json_text(j, "format", data->format);
    weft_json_count(j, "bytes", data->bytes);
    weft_json_text(j, "xxh64", hash);
    weft_json_count(j, "train_samples", data->n[WEFT_SPLIT_TRAIN]);
    weft_json_count(j, "val_samples", data->n[WEFT_SPLIT_VAL]);
    if (data->kind == WEFT_DATA_TOKENS) {
        weft_json_count(j, "train_tokens", data->tokens[WEFT_SPLIT_TRAIN]);
        weft_json_count(j, "val_tokens", data->tokens[WEFT_SPLIT_VAL]);
        if (isfinite(bigram)) weft_json_real(j, "bigram_loss", bigram);
    }
    weft_json_close(j);
}

enum weft_status weft_run_dir_describe(const struct weft_run_dir *run, const struct weft_options *o,
                                       const struct weft_settings *s, const struct weft_data *data,
                                       size_t parameters, double bigram) {
    struct weft_json j = {.pretty = true};
    weft_json_open(&j, NULL, '{');
    weft_json_text(&j, "model", s->shape.language ? "gpt2" : "mlp");
    weft_json_open(&j, "settings", '{');
    weft_options_write(o, &j);
    weft_json_close(&j);
    weft_options_write_derived(o, &j);
    weft_json_count(&j, "total_steps", s->steps);
    weft_json_count(&j, "parameters", parameters);
    weft_json_count(&j, "seed", o->seed);
    weft_json_text(&j, "isa", weft_ctx_isa(run->ctx));
    weft_json_int(&j, "threads", weft_ctx_threads(run->ctx));
    put_cpus(run->ctx, &j);
    put_data(&j, data, bigram);
    weft_json_open(&j, "versions", '{');
    weft_json_text(&j, "weft", weft_version());
    weft_json_text(&j, "compiler", weft_compiler());
    weft_json_close(&j);
    weft_json_end(&j);
    char *path = weft_text("%s/run.json", run->path);
    const enum weft_status st = j.failed || !path ? no_memory(run->ctx, run->path)
                                                  : weft_write_file(run->ctx, path, j.data, j.size);
    weft_json_free(&j);
    free(path);
    return st;
}

/* ---- going on ---- */

/* What may differ between the two parts of a run: no number that is written depends on it. The data
 * may have moved; that it is the same is checked by its hash. */
static bool is_free(enum weft_option_id id) {
    switch (id) {
    case WEFT_OPT_threads:
    case WEFT_OPT_isa:
    case WEFT_OPT_data:
    case WEFT_OPT_log_every:
    case WEFT_OPT_save_every:
    case WEFT_OPT_keep: return true;
    default: return false;
    }
}

static enum weft_status merge(weft_ctx *ctx, const char *path, const struct weft_options *saved,
                              struct weft_options *o) {
    char now[4096], then[4096], name[WEFT_OPTION_NAME];
    for (enum weft_option_id id = 0; id < WEFT_OPTION_COUNT; id++) {
        const struct weft_option_info *info = &weft_option_table[id];
        if (!(info->where & o->where) || info->where & WEFT_OPTION_UNSAVED) continue;
        weft_options_text(saved, id, then, sizeof then);
        if (!weft_options_given(o, id)) {
            o->from[id] = WEFT_FROM_NOTHING; // a default of now, which is not one of then
            const enum weft_option_from from = (enum weft_option_from)saved->from[id];
            if (from >= WEFT_FROM_DERIVED && weft_options_set(o, id, then, from) != WEFT_OK)
                return weft_ctx_fail(ctx, WEFT_ERR_ARG, "%s", o->message);
        } else if (!is_free(id) && strcmp(weft_options_text(o, id, now, sizeof now), then) != 0) {
            return weft_ctx_fail(ctx, WEFT_ERR_ARG,
                                 "--%s is %s, but the run in %s began with %s: leave the option "
                                 "out, or begin a new run with another --out",
                                 weft_option_spell(id, name), now, path, *then ? then : "none");
        }
    }
    return WEFT_OK;
}

int weft_isa_portable(const char *isa) {
    const size_t n = strlen(isa);
    return (int)(n > 4 && strcmp(isa + n - 4, "bf16") == 0 ? n - 4 : n);
}
static bool has_dots(const char *isa) { return (size_t)weft_isa_portable(isa) < strlen(isa); }

/* In bf16 the CPU's dot products have bits of their own: whoever goes on with other ones must say
 * so. */
static enum weft_status check_dots(weft_ctx *ctx, const char *path, const json_t *root,
                                   const struct weft_options *saved, const struct weft_options *o) {
    const char *const then = json_string_value(json_object_get(root, "isa"));
    const char *const now = weft_ctx_isa(ctx);
    if (!then || strcmp(saved->precision, "bf16") != 0 || weft_options_given(o, WEFT_OPT_isa))
        return WEFT_OK;
    if (strcmp(then, now) == 0 || (!has_dots(then) && !has_dots(now))) return WEFT_OK;
    const char *const keep = has_dots(then) ? then : now; /* portable bits: any table without */
    return weft_ctx_fail(ctx, WEFT_ERR_ARG,
                         "%s: the run there has the bits that bf16 has on %s, not on %s: give "
                         "--isa %.*s to keep them, or --isa %s to go on with others",
                         path, then, now, has_dots(then) ? (int)strlen(then) : weft_isa_portable(now),
                         keep, now);
}

/* run.json of a folder: NULL, with WEFT_OK, when there is none. */
static enum weft_status read_description(weft_ctx *ctx, const char *file, json_t **out) {
    *out = NULL;
    if (access(file, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR)) return WEFT_OK;
    json_error_t error;
    *out = json_load_file(file, JSON_REJECT_DUPLICATES, &error);
    if (*out) return WEFT_OK;
    return weft_ctx_fail(ctx, WEFT_ERR_FORMAT, "%s: line %d, column %d: %s", file, error.line,
                         error.column, error.text);
}

static enum weft_status settings_from(weft_ctx *ctx, const char *path, const char *file,
                                      struct weft_options *o) {
    json_t *root;
    enum weft_status st = read_description(ctx, file, &root);
    if (st == WEFT_OK && !root && weft_run_dir_is_taken(path))
        st = weft_ctx_fail(ctx, WEFT_ERR_STATE,
                           "%s: has no run.json, so that the settings of the run there are not "
                           "known: restore it, or begin a new run with another --out",
                           path);
    if (!root) return st;
    const char *model = json_string_value(json_object_get(root, "model"));
    const char *mine = o->where & WEFT_FOR_GPT2 ? "gpt2" : "mlp";
    if (!model || strcmp(model, mine) != 0) {
        st = weft_ctx_fail(ctx, WEFT_ERR_ARG, "%s: the run there trains the model %s, not %s", path,
                           model ? model : "?", mine);
    } else {
        struct weft_options *saved = calloc(1, sizeof *saved);
        if (!saved) {
            st = no_memory(ctx, path);
        } else {
            weft_options_init(saved, o->where);
            st = weft_options_load(saved, file, true);
            if (st != WEFT_OK) weft_ctx_fail(ctx, st, "%s", saved->message);
            // a version before this one kept them as they were given
            if (st == WEFT_OK) st = weft_run_dir_paths(ctx, saved);
            if (st == WEFT_OK) st = check_dots(ctx, path, root, saved, o);
            if (st == WEFT_OK) st = merge(ctx, path, saved, o);
            weft_options_free(saved);
        }
        free(saved);
    }
    json_decref(root);
    return st;
}

enum weft_status weft_run_dir_settings(weft_ctx *ctx, const char *path, struct weft_options *o) {
    char *file = weft_text("%s/run.json", path);
    const enum weft_status st = file ? settings_from(ctx, path, file, o) : no_memory(ctx, path);
    free(file);
    return st;
}

/* Can the files of a checkpoint be read, are their checksums right, and is nothing left to do? */
static bool is_whole(weft_ctx *ctx, const char *checkpoint) {
    static const char *const names[] = {"model.safetensors", "state.safetensors"};
    struct weft_shape shape;
    bool whole = weft_checkpoint_shape(ctx, checkpoint, &shape) == WEFT_OK;
    for (size_t i = 0; whole && i < sizeof names / sizeof *names; i++) {
        weft_st_file *file = NULL;
        char *path = weft_text("%s/%s", checkpoint, names[i]);
        whole =
            path && weft_st_open(ctx, path, &file) == WEFT_OK && !weft_st_find(file, "unjudged");
        weft_st_close(file);
        free(path);
    }
    return whole;
}

/* Was the writer of checkpoints killed before it was done: with a temporary folder, or without the
 * link that it sets at the end? */
static bool is_half_done(const char *folder, const char *name) {
    char target[WEFT_CHECKPOINT_NAME] = "";
    char *last = weft_text("%s/last", folder);
    const ssize_t n = last ? readlink(last, target, sizeof target - 1) : -1;
    bool half = n <= 0 || strcmp(target, name) != 0;
    free(last);
    DIR *dir = opendir(folder);
    for (const struct dirent *entry; dir && !half && (entry = readdir(dir));)
        half = strstr(entry->d_name, ".tmp") != NULL;
    if (dir) closedir(dir);
    return half;
}

bool weft_run_dir_is_finished(weft_ctx *ctx, const char *path, uint64_t *steps) {
    char name[WEFT_CHECKPOINT_NAME];
    uint64_t *list = NULL;
    size_t n = 0;
    json_t *root = NULL;
    char *file = weft_text("%s/run.json", path), *folder = weft_text("%s/checkpoints", path);
    bool finished = file && folder && read_description(ctx, file, &root) == WEFT_OK &&
                    weft_checkpoint_list(ctx, folder, &list, &n) == WEFT_OK && n > 0;
    const json_t *total = json_object_get(root, "total_steps");
    finished =
        finished && json_is_integer(total) && (uint64_t)json_integer_value(total) == list[n - 1];
    if (finished) {
        *steps = list[n - 1];
        char *last = weft_text("%s/%s", folder, weft_checkpoint_name(list[n - 1], name));
        finished = last && !is_half_done(folder, name) && is_whole(ctx, last);
        free(last);
    }
    json_decref(root);
    free(list);
    free(file);
    free(folder);
    return finished;
}

enum weft_status weft_run_dir_of_checkpoint(weft_ctx *ctx, const char *checkpoint, bool language,
                                            struct weft_options *out) {
    weft_options_init(out, language ? WEFT_FOR_GPT2 : WEFT_FOR_MLP);
    char *file = weft_text("%s/../../run.json", checkpoint);
    if (!file) return no_memory(ctx, checkpoint);
    enum weft_status st = WEFT_OK;
    if (access(file, F_OK) == 0) st = weft_options_load(out, file, true);
    if (st != WEFT_OK) {
        weft_ctx_fail(ctx, st, "%s", out->message);
        weft_options_free(out);
    }
    free(file);
    return st;
}

enum weft_status weft_run_dir_check_data(const struct weft_run_dir *run,
                                         const struct weft_data *data) {
    char *file = weft_text("%s/run.json", run->path);
    json_t *root = NULL;
    enum weft_status st =
        file ? read_description(run->ctx, file, &root) : no_memory(run->ctx, run->path);
    if (root) {
        char hash[17];
        snprintf(hash, sizeof hash, "%016" PRIx64, data->hash);
        const char *then =
            json_string_value(json_object_get(json_object_get(root, "data"), "xxh64"));
        if (then && strcmp(then, hash) != 0)
            st = weft_ctx_fail(run->ctx, WEFT_ERR_STATE,
                               "the data is not what the run in %s began with (its checksum has "
                               "changed): restore it, or begin a new run with another --out",
                               run->path);
    }
    json_decref(root);
    free(file);
    return st;
}
