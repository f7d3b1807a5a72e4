#include "train/page.h"

#include <stdlib.h>
#include "train/atomic.h"
#include "train/plot.h"

static void write_style(FILE *out) {
    fputs("<style>\n", out);
    weft_plot_style(out);
    fputs("*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);"
          "font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}\n"
          "main{max-width:1480px;margin:0 auto;padding:28px 28px 60px}\n"
          "h1{font-size:26px;margin:0 0 4px}h2{font-size:18px;margin:38px 0 4px}\n"
          ".lead,footer{color:var(--soft);margin:0 0 10px;font-size:14px}footer{margin-top:34px}\n"
          ".grid{display:grid;grid-template-columns:repeat(3,minmax(0,1fr));gap:16px;"
          "margin-top:10px}\n"
          "@media(max-width:1050px){.grid{grid-template-columns:repeat(2,minmax(0,1fr))}}\n"
          "@media(max-width:680px){.grid{grid-template-columns:minmax(0,1fr)}"
          "figure.w2{grid-column:auto;overflow-x:auto}figure.w2 svg{min-width:700px}"
          "main{padding:16px}}\n"
          ".cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:12px;"
          "margin-top:20px}.cards div{background:var(--card);border:1px solid var(--line);"
          "border-radius:8px;padding:10px 14px;display:flex;flex-direction:column}\n"
          ".cards span,small{color:var(--soft);font-size:12.5px}.cards b{font-size:25px;"
          "font-weight:600;line-height:1.3}\n"
          ".wide{overflow-x:auto}.columns{columns:3 380px;column-gap:32px}"
          ".columns table,.columns tbody{display:block}.columns tr{display:grid;"
          "grid-template-columns:2fr 3fr;break-inside:avoid}\n"
          "table{border-collapse:collapse;font-size:14px}th{text-align:left;font-weight:400;"
          "color:var(--soft)}td,th{padding:3px 18px 3px 0;border-bottom:1px solid var(--grid);"
          "vertical-align:top;overflow-wrap:anywhere}\n"
          ".results{margin-top:18px}.results b{font-size:17px;font-weight:600}.results .chip"
          "{display:inline-block;vertical-align:middle}.differs td,.differs th{background:"
          "color-mix(in srgb,var(--c3) 16%,transparent)}\n"
          ".numbers{font-size:12px;font-variant-numeric:tabular-nums}.numbers td,.numbers th"
          "{white-space:nowrap;padding:2px 11px 2px 0}.numbers .first{padding-left:9px;"
          "border-left:1px solid var(--line)}\n"
          "</style>\n",
          out);
}

void weft_page_begin(FILE *out, const char *title) {
    fputs("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>weft: ",
          out);
    weft_html_text(out, title);
    fputs("</title>\n", out);
    write_style(out);
    fputs("</head><body><main>\n<h1>", out);
    weft_html_text(out, title);
    fputs("</h1>\n", out);
}

void weft_page_end(FILE *out, const char *footer) {
    fputs("<footer>", out);
    weft_html_text(out, footer);
    fputs("</footer>\n</main><script>\n", out);
    weft_plot_script(out);
    fputs("</script></body></html>\n", out);
}

void weft_page_section(FILE *out, const char *title, const char *text) {
    fputs("<section><h2>", out);
    weft_html_text(out, title);
    fputs("</h2>\n", out);
    if (text) {
        fputs("<p class=\"lead\">", out);
        weft_html_text(out, text);
        fputs("</p>\n", out);
    }
    fputs("<div class=\"grid\">\n", out);
}

void weft_page_section_end(FILE *out) { fputs("</div></section>\n", out); }

enum weft_status weft_page_open(weft_ctx *ctx, struct weft_page *page) {
    *page = (struct weft_page){0};
    page->out = open_memstream(&page->text, &page->size);
    return page->out ? WEFT_OK : weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory for a page");
}

enum weft_status weft_page_commit(weft_ctx *ctx, struct weft_page *page, const char *path) {
    page->failed |= ferror(page->out) != 0;
    page->failed |= fclose(page->out) != 0;
    const enum weft_status st =
        page->failed || !page->text
            ? weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory writing %s", path)
            : weft_write_file(ctx, path, page->text, page->size);
    free(page->text);
    *page = (struct weft_page){0};
    return st;
}
