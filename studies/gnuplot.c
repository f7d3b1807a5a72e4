/* See gnuplot.h. Colours are those of train/plot_style.c on a light page; gnuplot_inline turns each
 * into the variable it stands for, so that the page can be dark. */
#include "studies/gnuplot.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "studies/stats.h"
#include "train/plot.h"

#define MOST_POINTS 800 /* of a line: more cannot be told apart */

static const struct { /* what a colour of the script means in a page */
    unsigned rgb;
    const char *variable;
} colors[] = {
    {0x1d2126, "--ink"},  {0x606a75, "--soft"},  {0xdfe2e6, "--line"},
    {0xffffff, "--card"}, {0x8a929b, "--faint"},
};
#define INK   "#1d2126"
#define SOFT  "#606a75"
#define RULES "#dfe2e6"
#define FAINT "#8a929b"

/* ---- the script ---- */
static const char *color_text(const struct study_figure *f, struct figure_color c, char buf[48]) {
    char hex[8];
    if (c.kind == FIGURE_RAMP)
        snprintf(buf, 48, "palette cb %.9g", f->ramp.log ? log10(c.at) : c.at);
    else if (c.kind == FIGURE_GREY)
        snprintf(buf, 48, "rgb '%s'", FAINT);
    else
        snprintf(buf, 48, "rgb '%s'", weft_plot_hex((size_t)c.at, hex));
    return buf;
}

/* Text inside single quotes. */
static void put_quoted(FILE *out, const char *text) {
    fputc('\'', out);
    for (; *text != 0; text++) {
        if (*text == '\'') fputc('\'', out);
        fputc(*text == '\n' ? ' ' : *text, out);
    }
    fputc('\'', out);
}

static void put_axis(FILE *out, const char *name, const struct figure_axis *a) {
    fprintf(out, "set %slabel ", name);
    put_quoted(out, a->label == NULL ? "" : a->label);
    fprintf(out, " tc rgb '%s'\n", INK);
    if (a->log) fprintf(out, "set logscale %s\n", name);
    if (a->lo < a->hi) fprintf(out, "set %srange [%.9g:%.9g]\n", name, a->lo, a->hi);
}

static void put_head(FILE *out, const struct study_figure *f) {
    fputs("reset\nset encoding utf8\nset terminal svg size 640,400 dynamic noenhanced "
          "font 'sans-serif,13' background '#ffffff'\nset output ",
          out);
    char path[4400];
    snprintf(path, sizeof path, "%s/%s.svg", f->s->dir, f->name);
    put_quoted(out, path);
    fprintf(out,
            "\nset border 3 lc rgb '%s'\nset tics nomirror out scale 0.5 tc rgb '%s'\n"
            "set grid lc rgb '%s' lt 1 lw 0.7\nset datafile missing 'nan'\n"
            "set key above horizontal left maxrows 4 samplen 2 spacing 1.1 tc rgb '%s'\n"
            "set format x '%%.4g'\nset format y '%%.4g'\n",
            SOFT, INK, RULES, INK);
    put_axis(out, "x", &f->x);
    put_axis(out, "y", &f->y);
    if (f->right.label != NULL) {
        fprintf(out, "set border 11\nset y2tics out scale 0.5 tc rgb '%s'\nset format y2 '%%.4g'\n",
                INK);
        put_axis(out, "y2", &f->right);
    }
}

/* Lines or shades behind the data, with their labels at the edge. */
static void put_regions(FILE *out, const struct study_figure *f) {
    for (size_t i = 0; i < f->regions; i++) {
        const struct figure_region *const r = &f->region[i];
        if (!isfinite(r->lo) || !isfinite(r->hi)) continue;
        if (r->vertical && r->lo < r->hi)
            fprintf(out,
                    "set object rect from %.9g, graph 0 to %.9g, graph 1 fc rgb '%s' fs solid 0.15 "
                    "noborder behind\n",
                    r->lo, r->hi, FAINT);
        else if (r->vertical)
            fprintf(out,
                    "set arrow from %.9g, graph 0 to %.9g, graph 1 nohead dt 3 lw 1.4 lc rgb "
                    "'%s'\n",
                    r->lo, r->lo, FAINT);
        else
            fprintf(out,
                    "set arrow from graph 0, first %.9g to graph 1, first %.9g nohead dt 3 lw "
                    "1.4 lc rgb '%s'\n",
                    r->lo, r->lo, FAINT);
        if (r->label == NULL) continue;
        fputs("set label ", out);
        put_quoted(out, r->label);
        if (r->vertical)
            fprintf(out, " at %.9g, graph 0.03 offset 0.4,0 left", r->lo);
        else
            fprintf(out, " at graph 0.99, first %.9g offset 0,0.5 right", r->lo);
        fprintf(out, " font ',11' tc rgb '%s'\n", SOFT);
    }
}

static bool drawable(const struct figure_axis *a, double v) {
    return isfinite(v) && (!a->log || v > 0);
}

static void put_point(FILE *out, const struct study_figure *f, const struct figure_series *p,
                      size_t i) {
    const struct figure_axis *const y = p->right ? &f->right : &f->y;
    if (!drawable(&f->x, p->x[i]) || !drawable(y, p->y[i])) {
        fputc('\n', out); /* a gap */
        return;
    }
    fprintf(out, "%.9g %.9g", p->x[i], p->y[i]);
    if (p->low != NULL)
        fprintf(out, " %.9g %.9g", drawable(y, p->low[i]) ? p->low[i] : p->y[i],
                drawable(y, p->high[i]) ? p->high[i] : p->y[i]);
    fputc('\n', out);
}

/* Long lines keep the least and the largest value of every stretch. */
static void put_data(FILE *out, const struct study_figure *f, size_t k) {
    const struct figure_series *const p = &f->series[k];
    fprintf(out, "$d%zu << EOD\n", k);
    const size_t step = p->n > MOST_POINTS ? (2 * p->n + MOST_POINTS - 1) / MOST_POINTS : 1;
    for (size_t i = 0; i < p->n; i += step) {
        size_t lo = i, hi = i;
        for (size_t j = i; j < i + step && j < p->n; j++) {
            if (!(p->y[j] >= p->y[lo])) lo = j;
            if (!(p->y[j] <= p->y[hi])) hi = j;
        }
        put_point(out, f, p, lo < hi ? lo : hi);
        if (lo != hi) put_point(out, f, p, lo < hi ? hi : lo);
    }
    fputs("EOD\n", out);
}

static void put_style(FILE *out, const struct study_figure *f, const struct figure_series *p) {
    static const char *const style[] = {
        [FIGURE_LINE] = "lines lw 1.6",         [FIGURE_DASHED] = "lines lw 1.4 dt (7,4)",
        [FIGURE_DOTTED] = "lines lw 1.4 dt 3",  [FIGURE_DOTS] = "linespoints lw 1.6 pt 7 ps 0.45",
        [FIGURE_POINTS] = "points pt 7 ps 0.5", [FIGURE_BARS] = "boxes fs solid 0.7 noborder",
    };
    char color[48];
    fprintf(out, " with %s lc %s ", style[p->mark], color_text(f, p->color, color));
    if (p->label == NULL) {
        fputs("notitle", out);
    } else {
        fputs("title ", out);
        put_quoted(out, p->label);
    }
}

static bool has_point(const struct study_figure *f, const struct figure_series *p) {
    for (size_t i = 0; i < p->n; i++)
        if (drawable(&f->x, p->x[i]) && drawable(p->right ? &f->right : &f->y, p->y[i]))
            return true;
    return false;
}

static void put_series(FILE *out, const struct study_figure *f) {
    char color[48];
    const char *between = "plot ";
    for (size_t k = 0; k < f->count; k++) put_data(out, f, k);
    for (size_t k = 0; k < f->count; k++) { /* shades first: lines stand above them */
        const struct figure_series *const p = &f->series[k];
        if (p->low == NULL || p->n < 2 || !has_point(f, p)) continue;
        fprintf(out,
                "%s$d%zu using 1:3:4%s with filledcurves lc %s fs transparent solid 0.18 "
                "noborder notitle",
                between, k, p->right ? " axes x1y2" : "", color_text(f, p->color, color));
        between = ", ";
    }
    for (size_t k = 0; k < f->count; k++) {
        const struct figure_series *const p = &f->series[k];
        if (!has_point(f, p)) continue;
        fprintf(out, "%s$d%zu using 1:2%s", between, k, p->right ? " axes x1y2" : "");
        put_style(out, f, p);
        between = ", ";
    }
    fputc('\n', out);
}

static void put_palette(FILE *out, const struct study_figure *f) {
    fputs("set palette defined (0 '#2f6fd0', 0.35 '#7b56b1', 0.7 '#d04553', 1 '#d08a1c')\n", out);
    if (f->ramp.label == NULL) return;
    const double lo = f->ramp.log ? log10(f->ramp.lo) : f->ramp.lo;
    const double hi = f->ramp.log ? log10(f->ramp.hi) : f->ramp.hi;
    fprintf(out, "set cbrange [%.9g:%.9g]\nset cblabel ", lo, hi);
    put_quoted(out, f->ramp.label);
    fprintf(out, " tc rgb '%s'\nset colorbox noborder\n", INK);
    fprintf(out, "set format cb '%s'\n", f->ramp.log ? "1e%.2g" : "%.4g");
    fputs("set rmargin at screen 0.84\n", out);
}

/* Edge i of n points, halfway between its neighbours. */
static double edge_at(const struct figure_axis *a, const double *v, size_t n, size_t i) {
    const size_t j = i == 0 ? 1 : i < n ? i : n - 1;
    const double lo = a->log ? log(v[j - 1]) : v[j - 1], hi = a->log ? log(v[j]) : v[j];
    const double at = i == 0 ? lo - (hi - lo) / 2 : i < n ? (lo + hi) / 2 : hi + (hi - lo) / 2;
    return a->log ? exp(at) : at;
}

/* Colours span 98% of the values: one that exploded must not pale all others. */
static void put_heat_range(FILE *out, const struct study_figure *f) {
    double *const v = study_doubles(f->s, f->nx * f->ny);
    size_t n = 0;
    for (size_t i = 0; i < f->nx * f->ny; i++)
        if (isfinite(f->heat[i]) && (!f->heat_log || f->heat[i] > 0)) v[n++] = f->heat[i];
    const double lo = stats_percentile(v, n, 0.01), hi = stats_percentile(v, n, 0.99);
    if (f->heat_log) fputs("set logscale cb\n", out);
    if (lo < hi) fprintf(out, "set cbrange [%.9g:%.9g]\n", lo, hi);
}

static void put_heat(FILE *out, const struct study_figure *f) {
    fputs("set palette defined (0 '#f3f5f8', 0.25 '#9cc3ea', 0.5 '#4a7fd0', 0.75 '#7a3fa0', 1 "
          "'#b01e50')\nset colorbox noborder\nset format cb '%.3g'\nunset key\n"
          "set grid noxtics noytics\nset rmargin at screen 0.84\n",
          out);
    put_heat_range(out, f);
    if (f->ramp.label != NULL) {
        fputs("set cblabel ", out);
        put_quoted(out, f->ramp.label);
        fprintf(out, " tc rgb '%s'\n", INK);
    }
    fputs("set xrange [*:*] noextend\nset yrange [*:*] noextend\nset pm3d map corners2color c1\n"
          "$h << EOD\n",
          out);
    for (size_t j = 0; j <= f->ny;
         j++) { /* a cell reaches from edge to edge; c1: its first corner */
        for (size_t i = 0; i <= f->nx; i++) {
            const size_t at = (j < f->ny ? j : j - 1) * f->nx + (i < f->nx ? i : i - 1);
            const double v = f->heat[at];
            const bool there = isfinite(v) && (!f->heat_log || v > 0);
            fprintf(out, "%.9g %.9g ", edge_at(&f->x, f->heat_x, f->nx, i),
                    edge_at(&f->y, f->heat_y, f->ny, j));
            fprintf(out, there ? "%.9g\n" : "nan\n", v);
        }
        fputc('\n', out);
    }
    fputs("EOD\nsplot $h using 1:2:3 with pm3d\n", out);
}

static bool has_points(const struct study_figure *f) {
    if (f->heat != NULL) {
        for (size_t i = 0; i < f->nx * f->ny; i++)
            if (isfinite(f->heat[i])) return f->nx > 1 && f->ny > 1;
        return false;
    }
    for (size_t k = 0; k < f->count; k++)
        if (has_point(f, &f->series[k])) return true;
    return false;
}

static void put_figure(FILE *out, const struct study_figure *f) {
    put_head(out, f);
    if (!has_points(f)) {
        fprintf(out,
                "set label 'no data' at graph 0.5, graph 0.5 center tc rgb '%s'\n"
                "set xrange [0:1]\nset yrange [0:1]\nunset logscale\nplot -1 notitle\n",
                SOFT);
        return;
    }
    put_regions(out, f);
    if (f->heat != NULL) {
        put_heat(out, f);
        return;
    }
    put_palette(out, f);
    put_series(out, f);
}

/* ---- the process ---- */
static bool is_installed(const char *program) {
    const char *path = getenv("PATH");
    for (; path != NULL && *path != 0; path += strcspn(path, ":"), path += *path == ':') {
        char file[4400];
        snprintf(file, sizeof file, "%.*s/%s", (int)strcspn(path, ":"), path, program);
        if (access(file, X_OK) == 0) return true;
    }
    return false;
}

enum weft_status gnuplot_draw(struct study *s, bool *drawn) {
    *drawn = false;
    if (!is_installed("gnuplot")) return WEFT_OK;
    void (*const before)(int) = signal(SIGPIPE, SIG_IGN);
    FILE *const out = popen("gnuplot", "w");
    int code = -1;
    if (out != NULL) {
        for (size_t i = 0; i < s->figures; i++) put_figure(out, s->figure[i]);
        code = pclose(out);
    }
    signal(SIGPIPE, before);
    if (code != 0)
        return weft_ctx_fail(s->ctx, WEFT_ERR_IO,
                             "%s: gnuplot failed; the numbers are there (.csv, result.json): draw "
                             "again by weft study report %s",
                             s->dir, s->dir);
    *drawn = true;
    return WEFT_OK;
}

/* ---- in a page ---- */
/* The variable of a colour at text, "rgb( 29, 33, 38)" or "#ffffff"; its length goes to *n. */
static bool variable_of(const char *text, const char *close, char *name, size_t *n) {
    unsigned r, g, b;
    int used = 0;
    const bool hex = *text == '#';
    if (hex ? sscanf(text, "#%2x%2x%2x%n", &r, &g, &b, &used) != 3
            : sscanf(text, "rgb(%u,%u,%u)%n", &r, &g, &b, &used) != 3)
        return false;
    if (used == 0 || text + used > close) return false;
    const unsigned rgb = r << 16 | g << 8 | b;
    *n = (size_t)used;
    for (size_t i = 0; i < sizeof colors / sizeof *colors; i++)
        if (colors[i].rgb == rgb) return snprintf(name, 32, "var(%s)", colors[i].variable) > 0;
    for (size_t i = 0; i < WEFT_PLOT_HUES; i++) {
        char own[8];
        if ((unsigned)strtoul(weft_plot_hex(i, own) + 1, NULL, 16) == rgb)
            return snprintf(name, 32, "var(--c%zu)", i) > 0;
    }
    return false;
}

static void put_inline(FILE *out, const char *text, const char *end, const char *figure) {
    while (text < end) {
        char name[32];
        size_t n;
        if ((*text == 'r' || *text == '#') && variable_of(text, end, name, &n)) {
            fputs(name, out);
            text += n;
        } else if (end - text > 4 && strncmp(text, "gpPt", 4) == 0) { /* ids, unique in the page */
            fprintf(out, "%s-pt", figure);
            text += 4;
        } else if (end - text > 8 && strncmp(text, "gnuplot_", 8) == 0) {
            fprintf(out, "%s-", figure);
            text += 8;
        } else {
            fputc(*text++, out);
        }
    }
}

bool gnuplot_inline(FILE *out, const char *dir, const char *name) {
    char path[4400];
    snprintf(path, sizeof path, "%s/%s.svg", dir, name);
    FILE *const in = fopen(path, "rb");
    char *text = NULL;
    size_t room = 0;
    if (in == NULL) return false;
    const ssize_t n = getdelim(&text, &room, 0, in); /* the whole file: it has no zero byte */
    fclose(in);
    const char *const svg = n > 0 ? strstr(text, "<svg") : NULL;
    if (svg != NULL) put_inline(out, svg, text + n, name);
    free(text);
    return svg != NULL;
}
