/* A CSV file: one column is the label, the others are numbers. Features, and the number to predict
 * in a regression, are standardised with mean and standard deviation of the training rows (a column
 * that never changes becomes 0). Classes are the label's distinct values in order: by value when
 * all are whole numbers, else by their bytes.
 *
 * A model that is evaluated brings its columns along: then columns are found by their names (by
 * their order where there is no header), and figures and classes are those of its training.
 *
 * The first line is a header when a feature's field in it is neither a number nor a mark of a
 * missing one. scikit-learn's own first line (rows, features, class names) is understood. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "train/csv.h"
#include "train/data.h"
#include "train/shuffle.h"
#include "train/utf8.h"
#include "weft/math.h"

enum { STREAM_SPLIT = 0 };
#define LABEL_BYTES 32 /* of a short text in malloc's memory */

struct table {
    weft_ctx *ctx;
    const char *path;
    const struct weft_columns *known; /* of the model that is evaluated, or NULL */
    struct weft_csv csv;
    size_t columns, label, features;
    size_t *from;       /* (features) the column of each */
    bool header;        /* the first line has names */
    char **names;       /* (columns), when there is a header */
    char **class_names; /* from scikit-learn's first line, or NULL */
    size_t n_class_names;
    bool skip; /* the first line is scikit-learn's */
    size_t rows, room;
    double *x;     /* (rows, features) */
    char **labels; /* (rows) */
};

static enum weft_status no_memory(const struct table *t) {
    return weft_ctx_fail(t->ctx, WEFT_ERR_NOMEM, "%s: out of memory", t->path);
}

static bool number(const char *text, double *out) {
    char *end;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*out);
}

static bool whole(const char *text, double *out) {
    return number(text, out) && *out == floor(*out) && fabs(*out) < 0x1p53;
}

/* Does a field say that its number is not known? */
static bool missing(const char *text) {
    static const char *const marks[] = {"", "?", "-", "NA", "N/A", "na", "n/a", "null", "NULL"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (strcmp(text, marks[i]) == 0) return true;
    char *end;
    const double value = strtod(text, &end); // "nan" and "inf", too
    return end != text && *end == '\0' && !isfinite(value);
}

/* Names of columns and classes are kept in JSON. */
static enum weft_status check_text(const struct table *t, const char *text) {
    return weft_utf8_valid(text)
               ? WEFT_OK
               : weft_ctx_fail(t->ctx, WEFT_ERR_FORMAT,
                               "%s: line %zu has a name that is not UTF-8: save the file in that "
                               "encoding",
                               t->path, t->csv.line);
}

/* Which column --label means. */
static enum weft_status find_label(struct table *t, const char *label) {
    t->label = t->columns - 1;
    if (!label) return WEFT_OK;
    double index;
    if (whole(label, &index) && index >= 1 && index <= (double)t->columns) {
        t->label = (size_t)index - 1;
        return WEFT_OK;
    }
    for (size_t i = 0; t->header && i < t->columns; i++) {
        t->label = i;
        if (strcmp(t->names[i], label) == 0) return WEFT_OK;
    }
    return weft_ctx_fail(t->ctx, WEFT_ERR_ARG,
                         "%s: has no column '%s' for --label: %s%zu columns%s", t->path, label,
                         t->header ? "its header has other names for " : "it has no header and ",
                         t->columns, t->header ? "" : ", to be named 1, 2, ...");
}

/* scikit-learn's first line: rows, features, names of classes; the lines after have features + 1.
 */
static enum weft_status try_sklearn(struct table *t) {
    double rows, features;
    const size_t n = t->csv.n;
    if (n < 2 || !whole(t->csv.field[0], &rows) || !whole(t->csv.field[1], &features))
        return WEFT_OK;
    char **names = weft_texts_copy(t->csv.field + 2, n - 2);
    if (!names) return no_memory(t);
    enum weft_status st = weft_csv_next(&t->csv);
    if (st == WEFT_OK && t->csv.n != n && (double)t->csv.n == features + 1) {
        t->skip = true;
        t->columns = t->csv.n;
        t->class_names = names;
        t->n_class_names = n - 2;
        return WEFT_OK;
    }
    weft_texts_free(names, n - 2);
    weft_csv_rewind(&t->csv);
    return st == WEFT_OK ? weft_csv_next(&t->csv) : st;
}

/* The label's column as --label says it, or as the model was trained with: by name if a field of
 * the first line has it, else by number. */
static const char *wanted_label(const struct table *t, const char *label, char number[24]) {
    if (label || !t->known) return label;
    for (size_t i = 0; t->names && t->known->label && i < t->columns; i++)
        if (strcmp(t->names[i], t->known->label) == 0) return t->known->label;
    snprintf(number, 24, "%zu", t->known->label_at + 1);
    return number;
}

/* Is the first line a header? It is when a field other than the label's is a word, or when --label
 * names one of its words. */
static enum weft_status read_names(struct table *t, const char *label) {
    char number_of[24];
    t->names = weft_texts_copy(t->csv.field, t->columns);
    if (!t->names) return no_memory(t);
    double value;
    size_t words = 0;
    for (size_t i = 0; i < t->columns; i++)
        words += !number(t->names[i], &value) && !missing(t->names[i]);
    t->header = words > 0; // perhaps: then --label may be a name
    label = wanted_label(t, label, number_of);
    const enum weft_status st = find_label(t, label);
    if (st != WEFT_OK) return st;
    const char *name = t->names[t->label];
    const bool word = !number(name, &value) && !missing(name);
    t->header = words > word || (word && label && strcmp(name, label) == 0);
    const char *known = t->known ? t->known->label : NULL;
    if (t->header && known && label == number_of)
        return weft_ctx_fail(t->ctx, WEFT_ERR_FORMAT,
                             "%s: has no column '%s', which the model was trained to predict; "
                             "--label says which one it is here",
                             t->path, known);
    for (size_t i = 0; t->header && i < t->columns; i++) {
        const enum weft_status text = check_text(t, t->names[i]);
        if (text != WEFT_OK) return text;
    }
    return WEFT_OK;
}

/* The column of the model's feature i: the first of its name, or the second if it is the second of
 * that name there, ... */
static bool find_feature(const struct table *t, size_t i) {
    const char *name = t->known->name[i];
    size_t before = 0;
    for (size_t k = 0; k < i; k++) before += strcmp(t->known->name[k], name) == 0;
    for (size_t c = 0; c < t->columns; c++) {
        if (strcmp(t->names[c], name) != 0 || before-- > 0) continue;
        t->from[i] = c;
        return true;
    }
    return false;
}

/* Which columns are the features. */
static enum weft_status choose_features(struct table *t) {
    const bool by_name = t->known && t->known->name && t->header;
    t->features = by_name ? t->known->n : t->columns - 1;
    t->from = calloc(t->features + 1, sizeof *t->from);
    if (!t->from) return no_memory(t);
    if (!by_name) {
        for (size_t c = 0, i = 0; c < t->columns; c++)
            if (c != t->label) t->from[i++] = c;
    }
    if (t->known && t->features != t->known->n)
        return weft_ctx_fail(t->ctx, WEFT_ERR_SHAPE,
                             "%s: has %zu features besides the label, but the model was trained on "
                             "%zu",
                             t->path, t->features, t->known->n);
    for (size_t i = 0; by_name && i < t->features; i++)
        if (!find_feature(t, i))
            return weft_ctx_fail(t->ctx, WEFT_ERR_FORMAT,
                                 "%s: has no column '%s', which the model was trained on", t->path,
                                 t->known->name[i]);
    return WEFT_OK;
}

/* Look at the first line: columns, header or not, label; then stand before the first row. */
static enum weft_status read_head(struct table *t, const char *label) {
    enum weft_status st = weft_csv_next(&t->csv);
    if (st != WEFT_OK) return st;
    if (t->csv.n == 0) return weft_ctx_fail(t->ctx, WEFT_ERR_FORMAT, "%s: is empty", t->path);
    t->columns = t->csv.n;
    st = try_sklearn(t);
    if (st != WEFT_OK) return st;
    if (t->columns < 2)
        return weft_ctx_fail(t->ctx, WEFT_ERR_FORMAT,
                             "%s: line %zu has one column; features and a label, separated by , ; "
                             "or tab, are needed",
                             t->path, t->csv.line);
    if (t->skip) {
        char number_of[24];
        st = find_label(t, wanted_label(t, label, number_of));
    } else {
        st = read_names(t, label);
    }
    if (st == WEFT_OK) st = choose_features(t);
    if (st != WEFT_OK) return st;
    weft_csv_rewind(&t->csv);
    return t->skip || t->header ? weft_csv_next(&t->csv) : WEFT_OK;
}

static enum weft_status read_row(struct table *t) {
    if (t->csv.n != t->columns)
        return weft_ctx_fail(t->ctx, WEFT_ERR_FORMAT,
                             "%s: line %zu has %zu fields, but the first one has %zu", t->path,
                             t->csv.line, t->csv.n, t->columns);
    if (t->rows == t->room) {
        const size_t room = 2 * t->room + 256;
        double *x = realloc(t->x, room * t->features * sizeof *x);
        if (x) t->x = x;
        char **labels = x ? realloc(t->labels, room * sizeof *labels) : NULL;
        if (!labels) return no_memory(t);
        t->labels = labels;
        t->room = room;
    }
    double *x = t->x + t->rows * t->features;
    for (size_t i = 0; i < t->features; i++) {
        const size_t c = t->from[i];
        if (!number(t->csv.field[c], &x[i]))
            return weft_ctx_fail(t->ctx, WEFT_ERR_FORMAT,
                                 "%s: line %zu, column %zu%s%s: '%.40s' is not a finite number",
                                 t->path, t->csv.line, c + 1, t->header ? " " : "",
                                 t->header ? t->names[c] : "", t->csv.field[c]);
    }
    const char *label = t->csv.field[t->label];
    if (!*label)
        return weft_ctx_fail(t->ctx, WEFT_ERR_FORMAT, "%s: line %zu: the label is empty", t->path,
                             t->csv.line);
    t->labels[t->rows] = strdup(label);
    if (!t->labels[t->rows]) return no_memory(t);
    t->rows++;
    return WEFT_OK;
}

static enum weft_status read_table(struct table *t, const char *label) {
    enum weft_status st = read_head(t, label);
    while (st == WEFT_OK) {
        st = weft_csv_next(&t->csv);
        if (st != WEFT_OK || t->csv.n == 0) break;
        st = read_row(t);
    }
    const size_t least = t->known ? 1 : 2;
    if (st == WEFT_OK && t->rows < least)
        st = weft_ctx_fail(t->ctx, WEFT_ERR_FORMAT, "%s: has %zu rows; at least %zu are needed",
                           t->path, t->rows, least);
    return st;
}

/* ---- rows to samples ---- */

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int by_value(const void *a, const void *b) {
    double x, y;
    whole(*(char *const *)a, &x);
    whole(*(char *const *)b, &y);
    return (x > y) - (x < y);
}

/* Sort the labels into classes: the model's, or (sorted) those that there are. */
static enum weft_status sort_labels(struct table *t, char **class_label, size_t n,
                                    int (*order)(const void *, const void *), int32_t *out) {
    double value;
    for (size_t i = 0; i < t->rows; i++) {
        const bool fits = order == by_text || whole(t->labels[i], &value);
        char **found =
            fits ? bsearch(&t->labels[i], class_label, n, sizeof *class_label, order) : NULL;
        if (!found)
            return weft_ctx_fail(t->ctx, WEFT_ERR_FORMAT,
                                 "%s: row %zu: the label '%.40s' is none of the model's %zu "
                                 "classes: %.40s, %.40s%s",
                                 t->path, i + 1, t->labels[i], n, class_label[0],
                                 n > 1 ? class_label[1] : "", n > 2 ? ", ..." : "");
        out[i] = (int32_t)(found - class_label);
    }
    return WEFT_OK;
}

/* The distinct labels, in order, at the front of `sorted`; their number. */
static size_t distinct(const struct table *t, int (*order)(const void *, const void *),
                       char **sorted) {
    size_t n = 1;
    memcpy(sorted, t->labels, t->rows * sizeof *sorted);
    qsort(sorted, t->rows, sizeof *sorted, order);
    for (size_t i = 1; i < t->rows; i++)
        if (order(&sorted[i], &sorted[n - 1]) != 0) sorted[n++] = sorted[i];
    return n;
}

static bool all_whole(char *const *text, size_t n) {
    double value;
    size_t wholes = 0;
    for (size_t i = 0; i < n; i++) wholes += whole(text[i], &value);
    return wholes == n;
}

/* What the label's column of the training file says are the classes. */
static enum weft_status find_classes(struct table *t, struct weft_columns *c) {
    size_t numbers = 0;
    double value;
    const bool wholes = all_whole(t->labels, t->rows);
    for (size_t i = 0; i < t->rows; i++) numbers += number(t->labels[i], &value);
    if (numbers == t->rows && !wholes)
        return weft_ctx_fail(t->ctx, WEFT_ERR_ARG,
                             "%s: the labels are numbers with fractions, not "
                             "classes; --loss mse predicts them",
                             t->path);
    char **sorted = malloc(t->rows * sizeof *sorted);
    if (!sorted) return no_memory(t);
    const size_t n = distinct(t, wholes ? by_value : by_text, sorted);
    c->class_label = weft_texts_copy(sorted, n);
    c->classes = c->class_label ? n : 0;
    free(sorted);
    if (!c->class_label) return no_memory(t);
    if (n < 2)
        return weft_ctx_fail(t->ctx, WEFT_ERR_FORMAT,
                             "%s: all labels are '%s'; nothing can be "
                             "learned from one class",
                             t->path, c->class_label[0]);
    enum weft_status st = WEFT_OK;
    for (size_t i = 0; st == WEFT_OK && i < n; i++) st = check_text(t, c->class_label[i]);
    return st;
}

static enum weft_status make_classes(struct table *t, const struct weft_columns *c,
                                     struct weft_data *data) {
    const size_t n = c->classes;
    data->labels[0] = malloc(t->rows * sizeof *data->labels[0]);
    data->class_names = weft_texts_copy(n == t->n_class_names ? t->class_names : c->class_label, n);
    data->classes = data->class_names ? n : 0;
    if (!data->labels[0] || !data->class_names) return no_memory(t);
    return sort_labels(t, c->class_label, n, all_whole(c->class_label, n) ? by_value : by_text,
                       data->labels[0]);
}

/* Mean and 1/std of column i over the training rows; scale 0 for a constant column. Relative to the
 * first value, so that a constant has no rounding; in units of the largest, so that no square
 * overflows. false: the numbers are too large, or too near each other. */
static bool moments(const double *x, size_t stride, const uint64_t *rows, uint64_t n, double *mean,
                    double *scale) {
    const double first = x[rows[0] * stride];
    double sum = 0, squares = 0, most = 0;
    for (uint64_t i = 0; i < n; i++) most = fmax(most, fabs(x[rows[i] * stride] - first));
    *mean = first;
    *scale = 0;
    if (most == 0) return true;
    for (uint64_t i = 0; i < n; i++) sum += (x[rows[i] * stride] - first) / most;
    *mean = first + most * (sum / (double)n);
    for (uint64_t i = 0; i < n; i++) {
        const double d = (x[rows[i] * stride] - *mean) / most;
        squares += d * d;
    }
    *scale = 1 / (most * weft_sqrt(squares / (double)n));
    return isfinite(*mean) && isfinite(*scale);
}

static enum weft_status bad_spread(const struct table *t, size_t column) {
    return weft_ctx_fail(t->ctx, WEFT_ERR_FORMAT,
                         "%s: column %zu%s%s: its numbers are too large, or too near each other, "
                         "to be standardised",
                         t->path, column + 1, t->header ? " " : "",
                         t->header ? t->names[column] : "");
}

static enum weft_status make_targets(struct table *t, struct weft_columns *c,
                                     struct weft_data *data) {
    double *y = malloc(t->rows * sizeof *y);
    data->y = malloc(t->rows * sizeof *data->y);
    enum weft_status st = y && data->y ? WEFT_OK : no_memory(t);
    for (size_t i = 0; st == WEFT_OK && i < t->rows; i++) {
        if (!number(t->labels[i], &y[i]))
            st =
                weft_ctx_fail(t->ctx, WEFT_ERR_FORMAT,
                              "%s: row %zu: the label '%.40s' is not a number, as --loss mse needs",
                              t->path, i + 1, t->labels[i]);
    }
    if (st == WEFT_OK && !t->known &&
        !moments(y, 1, data->rows + data->n[WEFT_SPLIT_VAL], data->n[WEFT_SPLIT_TRAIN],
                 &c->target_mean, &c->target_scale))
        st = bad_spread(t, t->label);
    for (size_t i = 0; st == WEFT_OK && i < t->rows; i++)
        data->y[i] = (float)((y[i] - c->target_mean) * c->target_scale);
    free(y);
    return st;
}

static enum weft_status make_split(struct table *t, const struct weft_data_options *o,
                                   struct weft_data *data) {
    const uint64_t val = (uint64_t)((double)t->rows * o->val_fraction + 0.5);
    data->n[WEFT_SPLIT_VAL] = val;
    data->n[WEFT_SPLIT_TRAIN] = t->rows - val;
    if (val == 0 && o->val_fraction > 0)
        return weft_ctx_fail(t->ctx, WEFT_ERR_ARG,
                             "%s: %zu rows are too few for --val-fraction %g; "
                             "raise it, or 0 trains without validation",
                             t->path, t->rows, o->val_fraction);
    data->rows = malloc(t->rows * sizeof *data->rows);
    if (!data->rows) return no_memory(t);
    for (uint64_t i = 0; i < t->rows; i++)
        data->rows[i] = weft_shuffle(o->seed, STREAM_SPLIT, i, t->rows);
    return WEFT_OK;
}

/* What a later reader needs to know, but for classes and targets. */
static enum weft_status describe(struct table *t, struct weft_data *data) {
    const size_t n = t->features;
    struct weft_columns *c = data->columns = calloc(1, sizeof *c);
    if (!c) return no_memory(t);
    c->n = n;
    c->label_at = t->label;
    c->mean = malloc(n * sizeof *c->mean);
    c->scale = malloc(n * sizeof *c->scale);
    if (t->header) {
        c->name = calloc(n + 1, sizeof *c->name);
        c->label = strdup(t->names[t->label]);
    }
    if (!c->mean || !c->scale || (t->header && !(c->name && c->label))) return no_memory(t);
    for (size_t i = 0; i < n; i++) {
        if (t->header && !(c->name[i] = strdup(t->names[t->from[i]]))) return no_memory(t);
        if (!moments(t->x + i, n, data->rows + data->n[WEFT_SPLIT_VAL], data->n[WEFT_SPLIT_TRAIN],
                     &c->mean[i], &c->scale[i]))
            return bad_spread(t, t->from[i]);
    }
    return WEFT_OK;
}

static enum weft_status make_features(struct table *t, const struct weft_columns *c,
                                      struct weft_data *data) {
    const size_t n = data->features = t->features, all = t->rows * n;
    char *const memory = (char *)t->x; // of the doubles, then of the floats, which end before them
    for (size_t i = 0; i < all; i++) {
        double raw;
        memcpy(&raw, memory + i * sizeof raw, sizeof raw);
        const float x = (float)((raw - c->mean[i % n]) * c->scale[i % n]);
        memcpy(memory + i * sizeof x, &x, sizeof x);
    }
    t->x = NULL;
    data->x = realloc(memory, all * sizeof *data->x);
    if (data->x) return WEFT_OK;
    free(memory);
    return no_memory(t);
}

static enum weft_status make_samples(struct table *t, const struct weft_data_options *o,
                                     struct weft_data *data) {
    enum weft_status st = make_split(t, o, data);
    if (st == WEFT_OK && !t->known) st = describe(t, data);
    if (st == WEFT_OK && !t->known && !o->regression) st = find_classes(t, data->columns);
    if (st != WEFT_OK) return st;
    // targets of a known model are read only
    struct weft_columns known, *c = data->columns;
    if (t->known) known = *t->known, c = &known;
    st = make_features(t, c, data);
    if (st != WEFT_OK) return st;
    return o->regression ? make_targets(t, c, data) : make_classes(t, c, data);
}

enum weft_status weft_data_csv(weft_ctx *ctx, const struct weft_data_options *o,
                               struct weft_data *data) {
    data->format = "CSV";
    struct weft_file file;
    enum weft_status st = weft_file_open(ctx, o->path, &file);
    if (st != WEFT_OK) return st;
    struct table t = {.ctx = ctx, .path = o->path, .known = o->columns};
    data->bytes = file.size;
    data->hash = weft_hash(file.data, file.size, 0);
    st = weft_csv_open(ctx, o->path, (const char *)file.data, file.size, &t.csv);
    if (st == WEFT_OK) st = read_table(&t, o->label);
    data->reading =
        file.size + t.rows * (t.features * sizeof *t.x + sizeof *t.labels + LABEL_BYTES);
    if (st == WEFT_OK) st = make_samples(&t, o, data);
    weft_texts_free(t.names, t.columns);
    weft_texts_free(t.class_names, t.n_class_names);
    weft_texts_free(t.labels, t.rows);
    free(t.from);
    free(t.x);
    weft_csv_close(&t.csv);
    weft_file_close(&file);
    return st;
}
