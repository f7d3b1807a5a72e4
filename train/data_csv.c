/* A CSV file: one column is the label, the others are numbers. Features, and the number to predict
 * in a regression, are standardised with mean and standard deviation of the training rows (a column
 * that never changes becomes 0). Classes are the label's distinct values in order: by value when
 * all are whole numbers, else by their bytes.
 *
 * The first line is a header when a feature's field in it is not a number. scikit-learn's own first
 * line (rows, features, class names) is understood. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "train/csv.h"
#include "train/data.h"
#include "train/shuffle.h"
#include "weft/math.h"

enum { STREAM_SPLIT = 0 };

struct table {
    weft_ctx *ctx;
    const char *path;
    struct weft_csv csv;
    size_t columns, label;
    bool header;        /* the first line has names */
    char **names;       /* (columns), when there is a header */
    char **class_names; /* from scikit-learn's first line, or NULL */
    size_t n_class_names;
    bool skip; /* the first line is scikit-learn's */
    size_t rows, room;
    double *x;     /* (rows, columns - 1) */
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

static char **copy_fields(char *const *field, size_t n) {
    char **copy = calloc(n + 1, sizeof *copy);
    for (size_t i = 0; copy && i < n; i++) {
        copy[i] = strdup(field[i]);
        if (!copy[i]) {
            while (i-- > 0) free(copy[i]);
            free(copy);
            return NULL;
        }
    }
    return copy;
}

static void free_fields(char **field, size_t n) {
    for (size_t i = 0; field && i < n; i++) free(field[i]);
    free(field);
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
    char **names = copy_fields(t->csv.field + 2, n - 2);
    if (!names) return no_memory(t);
    enum weft_status st = weft_csv_next(&t->csv);
    if (st == WEFT_OK && t->csv.n != n && (double)t->csv.n == features + 1) {
        t->skip = true;
        t->columns = t->csv.n;
        t->class_names = names;
        t->n_class_names = n - 2;
        return WEFT_OK;
    }
    free_fields(names, n - 2);
    weft_csv_rewind(&t->csv);
    return st == WEFT_OK ? weft_csv_next(&t->csv) : st;
}

/* Is the first line a header? It is when a field other than the label's is no number, or when
 * --label names one of its words. */
static enum weft_status read_names(struct table *t, const char *label) {
    t->names = copy_fields(t->csv.field, t->columns);
    if (!t->names) return no_memory(t);
    double value;
    size_t words = 0;
    for (size_t i = 0; i < t->columns; i++) words += !number(t->names[i], &value);
    t->header = words > 0; // perhaps: then --label may be a name
    const enum weft_status st = find_label(t, label);
    if (st != WEFT_OK) return st;
    const char *name = t->names[t->label];
    const bool word = !number(name, &value);
    t->header = words > word || (word && label && strcmp(name, label) == 0);
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
        st = find_label(t, label);
    } else {
        st = read_names(t, label);
    }
    if (st != WEFT_OK) return st;
    weft_csv_rewind(&t->csv);
    return t->skip || t->header ? weft_csv_next(&t->csv) : WEFT_OK;
}

static enum weft_status read_row(struct table *t) {
    const size_t features = t->columns - 1;
    if (t->csv.n != t->columns)
        return weft_ctx_fail(t->ctx, WEFT_ERR_FORMAT,
                             "%s: line %zu has %zu fields, but the first one has %zu", t->path,
                             t->csv.line, t->csv.n, t->columns);
    if (t->rows == t->room) {
        const size_t room = 2 * t->room + 256;
        double *x = realloc(t->x, room * features * sizeof *x);
        if (x) t->x = x;
        char **labels = x ? realloc(t->labels, room * sizeof *labels) : NULL;
        if (!labels) return no_memory(t);
        t->labels = labels;
        t->room = room;
    }
    double *x = t->x + t->rows * features;
    for (size_t i = 0; i < t->columns; i++) {
        if (i == t->label) continue;
        if (!number(t->csv.field[i], x++))
            return weft_ctx_fail(t->ctx, WEFT_ERR_FORMAT,
                                 "%s: line %zu, column %zu%s%s: '%.40s' is not a finite number",
                                 t->path, t->csv.line, i + 1, t->header ? " " : "",
                                 t->header ? t->names[i] : "", t->csv.field[i]);
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
    if (st == WEFT_OK && t->rows < 2)
        st = weft_ctx_fail(t->ctx, WEFT_ERR_FORMAT, "%s: has %zu rows; at least 2 are needed",
                           t->path, t->rows);
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

static enum weft_status make_classes(struct table *t, struct weft_data *data) {
    size_t numbers = 0, wholes = 0;
    double value;
    for (size_t i = 0; i < t->rows; i++) {
        numbers += number(t->labels[i], &value);
        wholes += whole(t->labels[i], &value);
    }
    if (numbers == t->rows && wholes < t->rows)
        return weft_ctx_fail(t->ctx, WEFT_ERR_ARG,
                             "%s: the labels are numbers with fractions, not "
                             "classes; --loss mse predicts them",
                             t->path);
    int (*order)(const void *, const void *) = wholes == t->rows ? by_value : by_text;
    char **sorted = malloc(t->rows * sizeof *sorted);
    data->labels[0] = malloc(t->rows * sizeof *data->labels[0]);
    if (!sorted || !data->labels[0]) {
        free(sorted);
        return no_memory(t);
    }
    memcpy(sorted, t->labels, t->rows * sizeof *sorted);
    qsort(sorted, t->rows, sizeof *sorted, order);
    size_t n = 1;
    for (size_t i = 1; i < t->rows; i++) {
        if (order(&sorted[i], &sorted[n - 1]) != 0) sorted[n++] = sorted[i];
    }
    for (size_t i = 0; i < t->rows; i++) {
        char **found = bsearch(&t->labels[i], sorted, n, sizeof *sorted, order);
        data->labels[0][i] = (int32_t)(found - sorted);
    }
    data->class_names = copy_fields(n == t->n_class_names ? t->class_names : sorted, n);
    data->classes = data->class_names ? n : 0;
    free(sorted);
    if (!data->class_names) return no_memory(t);
    if (n < 2)
        return weft_ctx_fail(t->ctx, WEFT_ERR_FORMAT,
                             "%s: all labels are '%s'; nothing can be "
                             "learned from one class",
                             t->path, data->class_names[0]);
    return WEFT_OK;
}

/* Mean and 1/std of column i over the training rows; scale 0 for a constant column. */
static void moments(const double *x, size_t stride, const uint64_t *rows, uint64_t n, double *mean,
                    double *scale) {
    double sum = 0, squares = 0;
    for (uint64_t i = 0; i < n; i++) sum += x[rows[i] * stride];
    *mean = sum / (double)n;
    for (uint64_t i = 0; i < n; i++) {
        const double d = x[rows[i] * stride] - *mean;
        squares += d * d;
    }
    *scale = squares > 0 ? 1 / weft_sqrt(squares / (double)n) : 0;
}

static enum weft_status make_targets(struct table *t, struct weft_data *data) {
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
    if (st == WEFT_OK) {
        moments(y, 1, data->rows + data->n[WEFT_SPLIT_VAL], data->n[WEFT_SPLIT_TRAIN],
                &data->target_mean, &data->target_scale);
        for (size_t i = 0; i < t->rows; i++)
            data->y[i] = (float)((y[i] - data->target_mean) * data->target_scale);
    }
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

static enum weft_status make_features(struct table *t, struct weft_data *data) {
    const size_t n = data->features = t->columns - 1;
    data->mean = malloc(n * sizeof *data->mean);
    data->scale = malloc(n * sizeof *data->scale);
    data->x = malloc(t->rows * n * sizeof *data->x);
    if (!data->mean || !data->scale || !data->x) return no_memory(t);
    for (size_t c = 0; c < n; c++)
        moments(t->x + c, n, data->rows + data->n[WEFT_SPLIT_VAL], data->n[WEFT_SPLIT_TRAIN],
                &data->mean[c], &data->scale[c]);
    for (size_t r = 0; r < t->rows; r++) {
        for (size_t c = 0; c < n; c++)
            data->x[r * n + c] = (float)((t->x[r * n + c] - data->mean[c]) * data->scale[c]);
    }
    return WEFT_OK;
}

enum weft_status weft_data_csv(weft_ctx *ctx, const struct weft_data_options *o,
                               struct weft_data *data) {
    data->format = "CSV";
    struct weft_file file;
    enum weft_status st = weft_file_open(ctx, o->path, &file);
    if (st != WEFT_OK) return st;
    struct table t = {.ctx = ctx, .path = o->path};
    data->bytes = file.size;
    data->hash = weft_hash(file.data, file.size, 0);
    st = weft_csv_open(ctx, o->path, (const char *)file.data, file.size, &t.csv);
    if (st == WEFT_OK) st = read_table(&t, o->label);
    if (st == WEFT_OK) st = make_split(&t, o, data);
    if (st == WEFT_OK) st = make_features(&t, data);
    if (st == WEFT_OK) st = o->regression ? make_targets(&t, data) : make_classes(&t, data);
    free_fields(t.names, t.columns);
    free_fields(t.class_names, t.n_class_names);
    free_fields(t.labels, t.rows);
    free(t.x);
    weft_csv_close(&t.csv);
    weft_file_close(&file);
    return st;
}
