#include "train/writer_lines.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "train/atomic.h"
#include "train/json_in.h"

#define LINE_MOST ((size_t)16 << 20) /* bytes */
#define STOPS     64

struct line {
    struct line *next;
    json_t *object;
    struct weft_stops stop;
    char *text;
    size_t size, room;
    size_t prompt_tokens, tokens;
    enum weft_finish finish;
    bool done, failed; /* failed: out of memory */
};

struct lines {
    const struct weft_lines *how;
    struct line *first, **last;
    size_t n, read; /* in memory; since the beginning */
    bool end;       /* of the input */
    char *buffer;   /* (room) the line that is read */
    size_t room;
};

static enum weft_status no_memory(weft_ctx *ctx) {
    return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory for a text");
}

/* ---- stop strings ---- */

void weft_stops_free(struct weft_stops *s) {
    for (size_t i = 0; i < s->n; i++) free(s->text[i]);
    free(s->text);
    *s = (struct weft_stops){0};
}

static enum weft_status take_stops(weft_ctx *ctx, const char *name, const json_t *value,
                                   struct weft_stops *out) {
    const size_t n = json_is_array(value) ? json_array_size(value) : 1;
    struct weft_stops s = {.text = calloc(n + 1, sizeof *s.text)};
    enum weft_status st = s.text ? WEFT_OK : no_memory(ctx);
    if (st == WEFT_OK && n > STOPS)
        st = weft_ctx_fail(ctx, WEFT_ERR_ARG, "%s: more than %d stop strings", name, STOPS);
    for (size_t i = 0; st == WEFT_OK && i < n; i++) {
        const json_t *item = json_is_array(value) ? json_array_get(value, i) : value;
        const char *text = json_string_value(item);
        if (!text || !*text || strlen(text) != json_string_length(item)) {
            st =
                weft_ctx_fail(ctx, WEFT_ERR_ARG,
                              "%s: stop must be a text that is not empty, or a list of such", name);
        } else {
            s.text[s.n] = strdup(text);
            if (!s.text[s.n++]) st = no_memory(ctx);
        }
    }
    if (st != WEFT_OK) {
        weft_stops_free(&s);
        return st;
    }
    *out = s;
    return WEFT_OK;
}

enum weft_status weft_stops_parse(weft_ctx *ctx, const char *option, struct weft_stops *out) {
    json_t *value = NULL;
    enum weft_status st = WEFT_OK;
    *out = (struct weft_stops){0};
    if (!option || !*option) return WEFT_OK;
    if (*option == '[')
        st = weft_json_parse(ctx, "--stop", option, strlen(option), &value);
    else if (!(value = json_string_nocheck(option)))
        st = no_memory(ctx);
    if (st == WEFT_OK) st = take_stops(ctx, "--stop", value, out);
    json_decref(value);
    return st;
}

/* ---- a line in ---- */

/* The next line without its end; *size SIZE_MAX: there is none. */
static enum weft_status read_line(struct lines *l, size_t *size) {
    size_t n = 0;
    int c;
    while ((c = getc_unlocked(l->how->in)) != EOF && c != '\n') {
        if (n == LINE_MOST)
            return weft_ctx_fail(l->how->ctx, WEFT_ERR_FORMAT,
                                 "%s: line %zu is longer than %zu bytes", l->how->in_name,
                                 l->read + 1, LINE_MOST);
        if (n == l->room) {
            const size_t room = 2 * l->room + 1024;
            char *more = realloc(l->buffer, room);
            if (!more) return no_memory(l->how->ctx);
            l->buffer = more;
            l->room = room;
        }
        l->buffer[n++] = (char)c;
    }
    if (ferror(l->how->in))
        return weft_ctx_fail(l->how->ctx, WEFT_ERR_IO, "%s: cannot be read", l->how->in_name);
    *size = c == EOF && n == 0 ? SIZE_MAX : n;
    return WEFT_OK;
}

static bool is_blank(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (!strchr(" \t\r", text[i]) || !text[i]) return false;
    return true;
}

struct fields {
    weft_ctx *ctx;
    const char *name;
    const json_t *object;
    enum weft_status status;
};

static double number(struct fields *f, const char *key, double usual, double hi) {
    const json_t *value = json_object_get(f->object, key);
    if (!value || f->status != WEFT_OK) return usual;
    const double x = json_is_number(value) ? json_number_value(value) : NAN;
    if (x >= 0 && x <= hi) return x;
    f->status = weft_ctx_fail(f->ctx, WEFT_ERR_ARG, "%s: %s must be a number from 0 to %g", f->name,
                              key, hi);
    return usual;
}

static uint64_t count(struct fields *f, const char *key, uint64_t usual) {
    const json_t *value = json_object_get(f->object, key);
    if (!value || f->status != WEFT_OK) return usual;
    const json_int_t x = json_is_integer(value) ? json_integer_value(value) : -1;
    if (x >= 0) return (uint64_t)x;
    f->status = weft_ctx_fail(f->ctx, WEFT_ERR_ARG, "%s: %s must be a whole number of at least 0",
                              f->name, key);
    return usual;
}

static bool put(void *user, const char *text, size_t size) {
    struct line *t = user;
    if (t->room - t->size < size) {
        const size_t room = 2 * (t->size + size) + 256;
        char *more = realloc(t->text, room);
        if (!more) {
            t->failed = true;
            return false;
        }
        t->text = more;
        t->room = room;
    }
    memcpy(t->text + t->size, text, size);
    t->size += size;
    return true;
}

static void end(void *user, enum weft_finish finish, size_t tokens) {
    struct line *t = user;
    t->finish = finish;
    t->tokens = tokens;
    t->done = true;
}

static void free_line(struct line *t) {
    json_decref(t->object);
    weft_stops_free(&t->stop);
    free(t->text);
    free(t);
}

/* What the line asks for. */
static enum weft_status make_prompt(struct lines *l, struct line *t, const char *name,
                                    struct weft_prompt *p) {
    weft_ctx *ctx = l->how->ctx;
    const json_t *text = json_object_get(t->object, "prompt");
    const json_t *stop = json_object_get(t->object, "stop");
    struct fields f = {.ctx = ctx, .name = name, .object = t->object, .status = WEFT_OK};
    *p = l->how->usual;
    struct weft_sampling *s = &p->sampling;
    if (!json_is_string(text))
        return weft_ctx_fail(ctx, WEFT_ERR_FORMAT, "%s: must be an object with a text \"prompt\"",
                             name);
    s->temperature = number(&f, "temperature", s->temperature, 1000);
    s->top_p = number(&f, "top_p", s->top_p, 1);
    s->min_p = number(&f, "min_p", s->min_p, 1);
    s->repetition_penalty = number(&f, "repetition_penalty", s->repetition_penalty, 1000);
    s->top_k = (size_t)count(&f, "top_k", s->top_k);
    s->seed = count(&f, "seed", s->seed + l->read);
    p->tokens = (size_t)count(&f, "tokens", p->tokens);
    if (f.status == WEFT_OK && stop && !json_is_null(stop))
        f.status = take_stops(ctx, name, stop, &t->stop);
    if (t->stop.n > 0) {
        p->stop = (const char *const *)t->stop.text;
        p->stops = t->stop.n;
    }
    p->text = json_string_value(text);
    p->size = json_string_length(text);
    p->put = put;
    p->end = end;
    p->user = t;
    return f.status;
}

static enum weft_status add_line(struct lines *l, size_t size) {
    struct weft_prompt p;
    weft_ctx *ctx = l->how->ctx;
    struct line *t = calloc(1, sizeof *t);
    char *name = weft_text("%s: line %zu", l->how->in_name, l->read + 1);
    enum weft_status st = t && name ? WEFT_OK : no_memory(ctx);
    if (st == WEFT_OK) st = weft_json_parse(ctx, name, l->buffer, size, &t->object);
    if (st == WEFT_OK) st = make_prompt(l, t, name, &p);
    if (st == WEFT_OK) st = weft_writer_add(l->how->writer, name, &p, &t->prompt_tokens);
    free(name);
    if (st != WEFT_OK) {
        if (t) free_line(t);
        return st;
    }
    *l->last = t;
    l->last = &t->next;
    l->n++;
    return WEFT_OK;
}

static enum weft_status fill(struct lines *l) {
    enum weft_status st = WEFT_OK;
    while (st == WEFT_OK && !l->end && l->n < l->how->most) {
        size_t size = SIZE_MAX;
        st = read_line(l, &size);
        if (st == WEFT_OK && size == SIZE_MAX) l->end = true;
        if (st != WEFT_OK || l->end) break;
        if (!is_blank(l->buffer, size)) st = add_line(l, size);
        l->read++;
    }
    return st;
}

/* ---- a line out ---- */

static enum weft_status write_line(struct lines *l, struct line *t) {
    json_t *text = json_stringn(t->size > 0 ? t->text : "", t->size);
    bool good = !t->failed && text && json_object_set(t->object, "text", text) == 0;
    json_decref(text);
    good =
        good &&
        json_object_set_new(t->object, "finish", json_string(weft_finish_name(t->finish))) == 0 &&
        json_object_set_new(t->object, "prompt_tokens",
                            json_integer((json_int_t)t->prompt_tokens)) == 0 &&
        json_object_set_new(t->object, "text_tokens", json_integer((json_int_t)t->tokens)) == 0;
    char *line = good ? json_dumps(t->object, JSON_COMPACT) : NULL;
    if (!line) return no_memory(l->how->ctx);
    good = fprintf(l->how->out, "%s\n", line) > 0 && fflush(l->how->out) == 0;
    free(line);
    return good ? WEFT_OK : weft_ctx_fail(l->how->ctx, WEFT_ERR_IO, "the texts cannot be written");
}

/* Those at the front that have ended. */
static enum weft_status flush(struct lines *l) {
    enum weft_status st = WEFT_OK;
    while (st == WEFT_OK && l->first && l->first->done) {
        struct line *t = l->first;
        st = write_line(l, t);
        l->first = t->next;
        if (!l->first) l->last = &l->first;
        l->n--;
        free_line(t);
    }
    return st;
}

enum weft_status weft_generate_lines(const struct weft_lines *how) {
    struct lines l = {.how = how, .last = &l.first};
    enum weft_status st = fill(&l);
    for (size_t left = l.n; st == WEFT_OK && (left > 0 || !l.end);) {
        st = weft_writer_step(how->writer, &left);
        if (st == WEFT_OK) st = flush(&l);
        if (st == WEFT_OK) st = fill(&l);
        if (l.n > left) left = l.n;
    }
    // those that have not ended are the writer's to forget: it is not stepped again
    while (l.first) {
        struct line *t = l.first;
        l.first = t->next;
        free_line(t);
    }
    free(l.buffer);
    return st;
}
