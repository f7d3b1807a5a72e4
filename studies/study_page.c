/* See study_page.h. */
#include "studies/study_page.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "studies/figure.h"
#include "studies/gnuplot.h"
#include "studies/inside.h"
#include "train/atomic.h"
#include "train/page.h"
#include "train/plot.h"
#include "train/progress.h"

static void put_style(FILE *out) {
    fputs("<style>\n", out);
    weft_plot_colors(out);
    fputs(
        ":root{--faint:#8a929b;--ok:#23885c;--bad:#c23a46;--odd:#a9690a}\n"
        "@media(prefers-color-scheme:dark){:root{--faint:#79828c;--ok:#62cf9b;--bad:#ff8a8f;"
        "--odd:#f2b04e}}\n"
        "*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);"
        "font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}\n"
        "main{max-width:1380px;margin:0 auto;padding:28px 28px 60px}\n"
        "h1{font-size:27px;margin:0 0 2px}h2{font-size:18px;margin:34px 0 8px}\n"
        ".lead{color:var(--soft);margin:0 0 14px}.answer{font-size:18px;margin:0 0 6px;"
        "max-width:62em}footer{color:var(--soft);margin-top:34px;font-size:14px}\n"
        ".grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,560px),1fr));"
        "gap:16px}\n"
        "figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:8px;"
        "padding:12px;min-width:0}figcaption{font-weight:600;margin-bottom:4px}\n"
        "figcaption a{font-weight:400;font-size:13px;margin-left:8px;color:var(--soft)}\n"
        ".pan{overflow-x:auto}.pan svg{display:block;width:100%;min-width:520px;height:auto}\n"
        "svg text{fill:var(--ink)}\n"
        "table{border-collapse:collapse;font-size:14.5px;width:100%}th{text-align:left;"
        "font-weight:500;color:var(--soft)}td,th{padding:5px 16px 5px 0;border-bottom:1px solid "
        "var(--line);vertical-align:top;overflow-wrap:anywhere}\n"
        "th,.checks td:first-child{white-space:nowrap;overflow-wrap:normal}\n"
        "td.n{font-variant-numeric:tabular-nums;white-space:nowrap}small{color:var(--soft);"
        "font-size:13px;display:block}\n"
        ".v{font-weight:600;white-space:nowrap}.pass{color:var(--ok)}.fail,.vacuous{color:var("
        "--bad)}.not-reproduced{color:var(--odd)}.report{color:var(--soft);font-weight:400}\n"
        ".settings{display:grid;grid-template-columns:repeat(auto-fill,minmax(330px,1fr));"
        "column-gap:32px}.settings div{display:flex;gap:14px;border-bottom:1px solid var(--line);"
        "padding:4px 0;font-size:14.5px}.settings span{color:var(--soft);flex:0 0 130px}"
        ".settings b{font-weight:400;overflow-wrap:anywhere}\n"
        "@media(max-width:860px){main{padding:16px}"
        ".checks,.checks tbody{display:block}.checks thead{display:none}.checks tr{display:grid;"
        "grid-template-columns:3.2em 1fr auto;gap:0 10px;border-bottom:1px solid var(--line);"
        "padding:7px 0}.checks td{border:0;padding:1px 0}.checks td.w{grid-column:2/4}"
        ".checks td.n{grid-column:2}.checks td.v{grid-column:3;grid-row:2}.checks td.p{grid-column:"
        "2/4}.settings{grid-template-columns:minmax(0,1fr)}}\n"
        "a{color:var(--c0)}</style>\n",
        out);
}

void page_begin(FILE *out, const char *title) {
    fputs("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>weft: ",
          out);
    weft_html_text(out, title);
    fputs("</title>\n", out);
    put_style(out);
    fputs("</head><body><main>\n", out);
}

void page_end(FILE *out) {
    fprintf(out, "<footer>Written by weft %s.</footer>\n</main></body></html>\n", weft_version());
}

/* ---- checks ---- */
static void put_bounds(FILE *out, const struct study_check *c) {
    char lo[32], hi[32];
    if (c->class == CHECK_RP || c->verdict == CHECK_REPORT) return;
    weft_number_text(lo, c->low);
    weft_number_text(hi, c->high);
    if (c->low == c->high)
        fprintf(out, "= %s", lo);
    else if (isinf(c->low))
        fprintf(out, "≤ %s", hi);
    else if (isinf(c->high))
        fprintf(out, "≥ %s", lo);
    else
        fprintf(out, "%s … %s", lo, hi);
}

static void put_check(FILE *out, const struct study_check *c) {
    char number[32];
    const char *const verdict = check_verdict_name(c->verdict);
    fprintf(out, "<tr><td>%s</td><td class=\"w\">", c->id);
    weft_html_text(out, c->what);
    if (*c->note != 0) {
        fputs("<small>", out);
        weft_html_text(out, c->note);
        fputs("</small>", out);
    }
    fprintf(out, "</td><td class=\"n\">%s</td><td class=\"n\">",
            isnan(c->value) ? "no data" : weft_number_text(number, c->value));
    put_bounds(out, c);
    fprintf(out, "</td><td class=\"v %s\">%s</td><td class=\"p\">", verdict,
            c->verdict == CHECK_NOT_REPRODUCED ? "not reproduced at this size" : verdict);
    if (c->published != NULL) weft_html_text(out, c->published);
    fputs("</td></tr>\n", out);
}

static void put_checks(FILE *out, const struct study *s) {
    fputs("<h2>Checks</h2>\n<table class=\"checks\"><thead><tr><th>id</th><th>what</th><th>value"
          "</th><th>bounds</th><th>verdict</th><th>published</th></tr></thead><tbody>\n",
          out);
    for (enum check_class class = CHECK_ID; class <= CHECK_RP; class ++)
        for (size_t i = 0; i < s->checks; i++)
            if (s->check[i].class == class) put_check(out, &s->check[i]);
    for (size_t i = 0; i < s->checks; i++)
        if (s->check[i].class == CHECK_U) put_check(out, &s->check[i]);
    fputs("</tbody></table>\n", out);
}

/* ---- figures, settings ---- */
static void put_figures(FILE *out, const struct study *s) {
    if (s->figures == 0) return;
    fputs("<h2>Figures</h2>\n<div class=\"grid\">\n", out);
    for (size_t i = 0; i < s->figures; i++) {
        const struct study_figure *const f = s->figure[i];
        fputs("<figure><figcaption>", out);
        weft_html_text(out, f->title);
        fprintf(out, "<a href=\"%s.csv\">%s.csv</a></figcaption>\n<div class=\"pan\">", f->name,
                f->name);
        if (!gnuplot_inline(out, s->dir, f->name))
            fputs("<p class=\"lead\">not drawn: gnuplot was not found; the numbers are in the CSV "
                  "file</p>",
                  out);
        fputs("</div></figure>\n", out);
    }
    fputs("</div>\n", out);
}

static void put_setting(FILE *out, const char *key, const char *text) {
    fputs("<div><span>", out);
    weft_html_text(out, key);
    fputs("</span><b>", out);
    weft_html_text(out, text);
    fputs("</b></div>\n", out);
}

static void put_settings(FILE *out, const struct study *s) {
    char text[600], size[WEFT_SHORT_TEXT];
    fputs("<h2>Settings</h2>\n<div class=\"settings\">\n", out);
    put_setting(out, "setting", study_setting_name(s->set.setting));
    put_setting(out, "parts", s->set.parts);
    for (size_t i = 0; s->def->parts[i] != 0; i++) {
        snprintf(text, sizeof text, "part %c", s->def->parts[i]);
        if (study_has(s, s->def->parts[i]) && s->def->part[i] != NULL)
            put_setting(out, text, s->def->part[i]);
    }
    for (size_t i = 0; i < s->notes; i++)
        if (s->note[i].text != NULL) put_setting(out, s->note[i].key, s->note[i].text);
    snprintf(text, sizeof text, "%zu", s->cells);
    put_setting(out, "cells", text);
    if (s->corpus != NULL && s->corpus->bytes > 0) {
        snprintf(text, sizeof text, "%s, %sB, %.2g epochs at most", s->corpus->path,
                 weft_short_number((double)s->corpus->bytes, size), s->epochs);
        put_setting(out, "data", text);
    }
    put_setting(out, "source", s->def->source);
    fputs("</div>\n<h2>Summary</h2>\n<div class=\"settings\">\n", out);
    for (size_t i = 0; i < s->notes; i++)
        if (s->note[i].text == NULL)
            put_setting(out, s->note[i].key, weft_number_text(text, s->note[i].value));
    fputs("</div>\n", out);
}

static void put_machine(FILE *out, const struct study *s) {
    struct weft_cpu_info cpu;
    char text[300], time[WEFT_SHORT_TEXT], work[WEFT_SHORT_TEXT];
    weft_cpu_query(&cpu);
    fputs("<h2>Machine</h2>\n<div class=\"settings\">\n", out);
    put_setting(out, "CPU", cpu.model);
    snprintf(text, sizeof text, "%d", cpu.cores_allowed);
    put_setting(out, "cores", text);
    put_setting(out, "instruction set", weft_ctx_isa(s->ctx));
    snprintf(text, sizeof text, "weft %s, %s", weft_version(), weft_compiler());
    put_setting(out, "library", text);
    snprintf(text, sizeof text, "%s of cell time, %sFLOP planned",
             weft_short_time(study_seconds(s), time), weft_short_number(study_flops(s), work));
    put_setting(out, "time", text);
    fputs("</div>\n", out);
}

void page_study(FILE *out, const struct study *s, bool alone) {
    fprintf(out, "<section id=\"%s\"><h1>", s->def->name);
    weft_html_text(out, s->def->name);
    fputs("</h1>\n<p class=\"lead\">", out);
    weft_html_text(out, s->def->question);
    fputs("</p>\n<p class=\"answer\">", out);
    weft_html_text(out, s->answer != NULL ? s->answer : "No answer: see the checks.");
    fputs("</p>\n", out);
    put_checks(out, s);
    put_figures(out, s);
    put_settings(out, s);
    if (alone) put_machine(out, s);
    fputs("</section>\n", out);
}

enum weft_status page_write(const struct study *s) {
    struct weft_page page;
    char *const path = weft_text("%s/report.html", s->dir);
    if (path == NULL) return weft_ctx_fail(s->ctx, WEFT_ERR_NOMEM, "out of memory");
    enum weft_status st = weft_page_open(s->ctx, &page);
    if (st == WEFT_OK) {
        page_begin(page.out, s->def->name);
        page_study(page.out, s, true);
        page_end(page.out);
        st = weft_page_commit(s->ctx, &page, path);
    }
    free(path);
    return st;
}
