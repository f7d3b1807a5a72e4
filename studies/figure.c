/* See figure.h. The lists of a figure, and its CSV; gnuplot.c draws. */
#include "studies/figure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "studies/gnuplot.h"
#include "studies/inside.h"
#include "train/atomic.h"

struct study_figure *figure_new(struct study *s, const char *name, const char *title) {
    if (s->figures % 16 == 0) { /* pointers to figures stay good: each is memory of its own */
        struct study_figure **const more = study_room(s, s->figures + 16, sizeof *more);
        if (s->figures > 0) memcpy(more, s->figure, s->figures * sizeof *more);
        s->figure = more;
    }
    struct study_figure *const f = study_room(s, 1, sizeof *f);
    s->figure[s->figures++] = f;
    *f = (struct study_figure){
        .s = s, .name = study_text(s, "%s", name), .title = study_text(s, "%s", title)};
    return f;
}

struct study_figure *figure_xy(struct study *s, const char *name, const char *title, const char *x,
                               const char *y) {
    struct study_figure *const f = figure_new(s, name, title);
    f->x.label = study_text(s, "%s", x);
    f->y.label = study_text(s, "%s", y);
    return f;
}

void figure_line(struct study_figure *f, const struct figure_series *series) {
    f->series = study_grow(f->s, f->series, f->count, sizeof *f->series);
    f->series[f->count] = *series;
    if (series->label != NULL) f->series[f->count].label = study_text(f->s, "%s", series->label);
    f->count++;
}

static void add_region(struct study_figure *f, double lo, double hi, bool vertical,
                       const char *label) {
    f->region = study_grow(f->s, f->region, f->regions, sizeof *f->region);
    f->region[f->regions++] = (struct figure_region){
        lo, hi, vertical, label == NULL ? NULL : study_text(f->s, "%s", label)};
}

void figure_rule(struct study_figure *f, double y, const char *label) {
    add_region(f, y, y, false, label);
}

void figure_mark_x(struct study_figure *f, double lo, double hi, const char *label) {
    add_region(f, lo, hi, true, label);
}

void figure_heat(struct study_figure *f, size_t nx, const double *x, size_t ny, const double *y,
                 const double *value, bool log_scale) {
    f->nx = nx;
    f->ny = ny;
    f->heat_x = x;
    f->heat_y = y;
    f->heat = value;
    f->heat_log = log_scale;
}

/* ---- CSV ---- */
static void put_number(FILE *out, double x, char end) {
    char text[WEFT_REAL_TEXT];
    if (isfinite(x)) fputs(weft_real_text(x, text), out);
    fputc(end, out);
}

/* A label is one field: quoted, its quotes doubled. */
static void put_field(FILE *out, const char *text) {
    fputc('"', out);
    for (; *text != 0; text++) {
        if (*text == '"') fputc('"', out);
        fputc(*text, out);
    }
    fputs("\",", out);
}

static void put_csv(FILE *out, const struct study_figure *f) {
    fputs(f->heat != NULL ? "x,y,value\n" : "series,x,y,low,high\n", out);
    for (size_t j = 0; f->heat != NULL && j < f->ny; j++)
        for (size_t i = 0; i < f->nx; i++) {
            put_number(out, f->heat_x[i], ',');
            put_number(out, f->heat_y[j], ',');
            put_number(out, f->heat[j * f->nx + i], '\n');
        }
    for (size_t k = 0; f->heat == NULL && k < f->count; k++) {
        const struct figure_series *const p = &f->series[k];
        for (size_t i = 0; i < p->n; i++) {
            char name[32];
            snprintf(name, sizeof name, p->color.kind == FIGURE_RAMP ? "%.6g" : "%.0f",
                     p->color.at);
            put_field(out, p->label != NULL ? p->label : name);
            put_number(out, p->x[i], ',');
            put_number(out, p->y[i], ',');
            put_number(out, p->low != NULL ? p->low[i] : (double)NAN, ',');
            put_number(out, p->high != NULL ? p->high[i] : (double)NAN, '\n');
        }
    }
}

static enum weft_status write_csv(struct study *s, const struct study_figure *f) {
    char *text = NULL, *const path = weft_text("%s/%s.csv", s->dir, f->name);
    size_t size = 0;
    FILE *const out = open_memstream(&text, &size);
    enum weft_status st = WEFT_ERR_NOMEM;
    if (out != NULL) put_csv(out, f);
    if (out != NULL && fclose(out) == 0 && path != NULL)
        st = weft_write_file(s->ctx, path, text, size);
    else
        weft_ctx_fail(s->ctx, st, "out of memory for figure %s", f->name);
    free(text);
    free(path);
    return st;
}

enum weft_status figure_write_all(struct study *s, bool *drawn) {
    enum weft_status st = WEFT_OK;
    for (size_t i = 0; i < s->figures && st == WEFT_OK; i++) st = write_csv(s, s->figure[i]);
    *drawn = false;
    if (st == WEFT_OK && s->figures > 0) st = gnuplot_draw(s, drawn);
    return st;
}
