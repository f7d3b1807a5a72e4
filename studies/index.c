/* See index.h. */
#include "studies/index.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "studies/inside.h"
#include "studies/study_page.h"
#include "train/atomic.h"
#include "train/page.h"
#include "train/plot.h"
#include "train/progress.h"

struct row_count {
    size_t pass, fail, open; /* open: not reproduced */
};

static struct row_count count(const json_t *root) {
    struct row_count n = {0};
    size_t i;
    json_t *check;
    json_array_foreach(json_object_get(root, "checks"), i, check) {
        const char *const v = json_string_value(json_object_get(check, "verdict"));
        if (v == NULL) continue;
        const char *const class = json_string_value(json_object_get(check, "class"));
        n.pass += strcmp(v, "pass") == 0;
        n.open += strcmp(v, "not-reproduced") == 0;
        n.open += strcmp(v, "vacuous") == 0 && class != NULL && strcmp(class, "EF") == 0;
        n.fail += strcmp(v, "fail") == 0;
        n.fail += strcmp(v, "vacuous") == 0 && (class == NULL || strcmp(class, "EF") != 0);
    }
    return n;
}

static void put_row(FILE *out, const struct weft_study *def, const json_t *root) {
    char time[WEFT_SHORT_TEXT];
    fprintf(out, "<tr><td><a href=\"%s/report.html\">%s</a></td><td>", def->name, def->name);
    weft_html_text(out, def->question);
    if (root == NULL) {
        fputs("</td><td class=\"v fail\">not run</td><td></td></tr>\n", out);
        return;
    }
    const struct row_count n = count(root);
    const char *const answer = json_string_value(json_object_get(root, "answer"));
    fputs("<small>", out);
    weft_html_text(out, answer == NULL ? "" : answer);
    fprintf(out, "</small></td><td class=\"v %s\">%zu pass", n.fail ? "fail" : "pass", n.pass);
    if (n.fail) fprintf(out, ", %zu fail", n.fail);
    if (n.open)
        fprintf(out, "<br><span class=\"not-reproduced\">%zu not reproduced</span>", n.open);
    fprintf(out, "</td><td class=\"n\">%s</td></tr>\n",
            weft_short_time(json_number_value(json_object_get(root, "seconds")), time));
}

static void put_rows(FILE *out, const char *base) {
    fputs("<h1>Studies</h1>\n<p class=\"lead\">One row a study; its name leads to the report.</p>\n"
          "<table><thead><tr><th>study</th><th>question and answer</th><th>checks</th><th>cell time"
          "</th></tr></thead><tbody>\n",
          out);
    for (size_t i = 0; study_at(i) != NULL; i++) {
        char *const file = weft_text("%s/%s/result.json", base, study_at(i)->name);
        json_t *const root = file == NULL ? NULL : json_load_file(file, 0, NULL);
        put_row(out, study_at(i), root);
        json_decref(root);
        free(file);
    }
    fputs("</tbody></table>\n", out);
}

enum weft_status index_write(weft_ctx *ctx, const char *base) {
    struct weft_page page;
    char *const path = weft_text("%s/index.html", base);
    if (path == NULL) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory");
    enum weft_status st = weft_page_open(ctx, &page);
    if (st == WEFT_OK) {
        page_begin(page.out, "studies");
        put_rows(page.out, base);
        page_end(page.out);
        st = weft_page_commit(ctx, &page, path);
    }
    free(path);
    return st;
}
