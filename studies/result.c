/* result.json: everything a program wants to know about a finished study; and study.json, which
 * says what a folder holds, so that a rerun goes on with the same and a report can be redrawn. */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "studies/inside.h"
#include "train/atomic.h"

static enum weft_status write_json(struct study *s, const char *name, struct weft_json *j) {
    weft_json_end(j);
    char *const path = weft_text("%s/%s", s->dir, name);
    const enum weft_status st = j->failed || path == NULL
                                    ? weft_ctx_fail(s->ctx, WEFT_ERR_NOMEM, "out of memory")
                                    : weft_write_file(s->ctx, path, j->data, j->size);
    weft_json_free(j);
    free(path);
    return st;
}

static void put_data(struct weft_json *j, const struct study *s) {
    char hash[17];
    const struct study_corpus *const c = s->corpus;
    if (c == NULL || c->bytes == 0) {
        weft_json_text(j, "data", NULL);
        return;
    }
    snprintf(hash, sizeof hash, "%016" PRIx64, c->hash);
    weft_json_open(j, "data", '{');
    weft_json_text(j, "path", c->path);
    weft_json_count(j, "bytes", c->bytes);
    weft_json_text(j, "hash", hash);
    weft_json_real(j, "epochs", s->epochs);
    if (isfinite(c->h1)) {
        weft_json_real(j, "h1", c->h1);
        weft_json_real(j, "h2", c->h2);
        weft_json_count(j, "vocab", c->vocab);
    }
    weft_json_close(j);
}

static void put_what(struct weft_json *j, const struct study *s) {
    weft_json_text(j, "study", s->def->name);
    weft_json_text(j, "setting", study_setting_name(s->set.setting));
    weft_json_text(j, "part", s->set.parts);
}

/* ---- study.json ---- */
enum weft_status study_mark_write(struct study *s) {
    struct weft_json j = {.pretty = true};
    weft_json_open(&j, NULL, '{');
    put_what(&j, s);
    weft_json_count(&j, "seeds", s->set.seeds);
    put_data(&j, s);
    return write_json(s, "study.json", &j);
}

static uint64_t hash_of(const json_t *data) {
    const char *const text = json_string_value(json_object_get(data, "hash"));
    return text == NULL ? 0 : strtoull(text, NULL, 16);
}

static enum weft_status not_ours(weft_ctx *ctx, const char *path) {
    return weft_ctx_fail(ctx, WEFT_ERR_FORMAT, "%s: is damaged: choose another --out", path);
}

enum weft_status study_mark_read(weft_ctx *ctx, const char *dir, struct study_mark *out) {
    *out = (struct study_mark){.h1 = (double)NAN, .h2 = (double)NAN};
    char *const path = weft_text("%s/study.json", dir);
    if (path == NULL) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory");
    json_t *const root = json_load_file(path, 0, NULL);
    const char *const name = json_string_value(json_object_get(root, "study"));
    const char *const setting = json_string_value(json_object_get(root, "setting"));
    const char *const parts = json_string_value(json_object_get(root, "part"));
    json_t *const data = json_object_get(root, "data");
    enum weft_status st = WEFT_OK;
    out->setting = STUDY_SETTINGS;
    for (enum study_setting i = 0; setting != NULL && i < STUDY_SETTINGS; i++)
        if (strcmp(setting, study_setting_name(i)) == 0) out->setting = i;
    if (name == NULL || parts == NULL || strlen(parts) >= sizeof out->parts ||
        out->setting == STUDY_SETTINGS) {
        st = not_ours(ctx, path);
    } else {
        snprintf(out->name, sizeof out->name, "%s", name);
        strcpy(out->parts, parts);
        out->seeds = (uint64_t)json_integer_value(json_object_get(root, "seeds"));
        out->has_data = json_is_object(data);
        out->hash = hash_of(data);
        out->bytes = (uint64_t)json_integer_value(json_object_get(data, "bytes"));
        out->vocab = (size_t)json_integer_value(json_object_get(data, "vocab"));
        if (json_is_number(json_object_get(data, "h1"))) {
            out->h1 = json_number_value(json_object_get(data, "h1"));
            out->h2 = json_number_value(json_object_get(data, "h2"));
        }
        const char *const from = json_string_value(json_object_get(data, "path"));
        snprintf(out->data, sizeof out->data, "%s", from == NULL ? "" : from);
    }
    json_decref(root);
    free(path);
    return st;
}

/* ---- result.json ---- */
static void put_checks(struct weft_json *j, const struct study *s) {
    weft_json_open(j, "checks", '[');
    for (size_t i = 0; i < s->checks; i++) {
        const struct study_check *const c = &s->check[i];
        weft_json_open(j, NULL, '{');
        weft_json_text(j, "id", c->id);
        weft_json_text(j, "class", check_class_name(c->class));
        weft_json_text(j, "what", c->what);
        weft_json_real(j, "value", c->value);
        weft_json_real(j, "low", c->low);
        weft_json_real(j, "high", c->high);
        weft_json_text(j, "verdict", check_verdict_name(c->verdict));
        weft_json_text(j, "published", c->published);
        weft_json_text(j, "note", c->note);
        weft_json_close(j);
    }
    weft_json_close(j);
}

static void put_machine(struct weft_json *j, const struct study *s) {
    struct weft_cpu_info cpu;
    weft_cpu_query(&cpu);
    weft_json_open(j, "machine", '{');
    weft_json_text(j, "cpu", cpu.model);
    weft_json_int(j, "cores", cpu.cores_allowed);
    weft_json_count(j, "ram_available", weft_memory_available());
    weft_json_close(j);
    weft_json_text(j, "isa", weft_ctx_isa(s->ctx));
    weft_json_int(j, "threads", cpu.cores_allowed);
    weft_json_text(j, "precision", "f32");
    weft_json_open(j, "library", '{');
    weft_json_text(j, "version", weft_version());
    weft_json_text(j, "commit", WEFT_COMMIT);
    weft_json_text(j, "compiler", weft_compiler());
    weft_json_close(j);
}

static void put_seeds(struct weft_json *j, const struct study *s) {
    weft_json_open(j, "seeds", '[');
    for (uint64_t seed = 1; seed <= 1000; seed++)
        for (size_t i = 0; i < s->cells; i++)
            if (s->cell[i].seed == seed) {
                weft_json_count(j, NULL, seed);
                break;
            }
    weft_json_close(j);
}

enum weft_status study_result_write(struct study *s) {
    struct weft_json j = {.pretty = true};
    weft_json_open(&j, NULL, '{');
    put_what(&j, s);
    weft_json_text(&j, "question", s->def->question);
    weft_json_text(&j, "answer", s->answer);
    weft_json_open(&j, "settings", '{');
    for (size_t i = 0; i < s->notes; i++)
        if (s->note[i].text != NULL) weft_json_text(&j, s->note[i].key, s->note[i].text);
    weft_json_close(&j);
    put_seeds(&j, s);
    put_data(&j, s);
    put_machine(&j, s);
    weft_json_count(&j, "cells", s->cells);
    weft_json_real(&j, "flops", study_flops(s));
    weft_json_real(&j, "seconds", study_seconds(s));
    put_checks(&j, s);
    weft_json_open(&j, "summary", '{');
    for (size_t i = 0; i < s->notes; i++)
        if (s->note[i].text == NULL) weft_json_real(&j, s->note[i].key, s->note[i].value);
    weft_json_close(&j);
    return write_json(s, "result.json", &j);
}

/* ---- time ---- */
double study_flops(const struct study *s) {
    double sum = 0;
    for (size_t i = 0; i < s->cells; i++) sum += s->cell[i].flops;
    return sum;
}

/* Seconds of all cells together, from timing.jsonl; a cell that was run again counts again. */
double study_seconds(const struct study *s) {
    char *const path = weft_text("%s/timing.jsonl", s->dir);
    FILE *const in = path == NULL ? NULL : fopen(path, "rb");
    char line[1024];
    double sum = 0;
    while (in != NULL && fgets(line, sizeof line, in) != NULL) {
        const char *const at = strstr(line, "\"seconds\":");
        if (at != NULL) sum += strtod(at + strlen("\"seconds\":"), NULL);
    }
    if (in != NULL) fclose(in);
    free(path);
    return sum;
}
