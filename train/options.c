/* The option table, values from text, the command line and --help; JSON is in json_config.c. */
#include "train/options.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GPT2     WEFT_FOR_GPT2
#define MLP      WEFT_FOR_MLP
#define TRAIN    WEFT_FOR_TRAIN
#define GENERATE WEFT_FOR_GENERATE
#define EVAL     WEFT_FOR_EVAL
#define PLAN     WEFT_FOR_PLAN
#define REPORT   WEFT_FOR_REPORT
#define DATA     WEFT_FOR_DATA
#define INFO     WEFT_FOR_INFO
#define HASH     WEFT_FOR_HASH
#define DIFF     WEFT_FOR_DIFF
#define BENCH    WEFT_FOR_BENCH
#define STUDY    WEFT_FOR_STUDY
#define CONVERT  WEFT_FOR_CONVERT
#define TUNE     WEFT_FOR_TUNE
#define UNSAVED  WEFT_OPTION_UNSAVED

/* Names get their dashes in option_name. */
const struct weft_option_info weft_option_table[WEFT_OPTION_COUNT] = {
#define WEFT_OPTION(name, type, gpt2, rest, values, where, help)                                   \
    {#name, WEFT_##type, {gpt2, rest}, values, help, where, offsetof(struct weft_options, name)},
#include "train/options.def"
#undef WEFT_OPTION
};

static enum weft_status fail(struct weft_options *o, const char *fmt, ...) WEFT_FORMAT(2, 3);
static enum weft_status fail(struct weft_options *o, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    vsnprintf(o->message, sizeof o->message, fmt, args);
    va_end(args);
    return WEFT_ERR_ARG;
}

static void *field(const struct weft_options *o, enum weft_option_id id) {
    return (char *)(uintptr_t)o + weft_option_table[id].offset;
}

static bool same_name(const char *name, const char *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (name[i] != (text[i] == '-' ? '_' : text[i])) return false;
    }
    return name[length] == '\0';
}

const char *weft_option_spell(enum weft_option_id id, char buf[WEFT_OPTION_NAME]) {
    snprintf(buf, WEFT_OPTION_NAME, "%s", weft_option_table[id].name);
    for (char *c = buf; *c; c++) {
        if (*c == '_') *c = '-';
    }
    return buf;
}

/* ---- nearest word ---- */

/* Levenshtein distance of words shorter than WEFT_OPTION_NAME; '-' and '_' are equal. */
static size_t distance(const char *a, const char *b) {
    size_t row[WEFT_OPTION_NAME + 1];
    const size_t n = strlen(b);
    for (size_t j = 0; j <= n; j++) row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            const char x = a[i - 1] == '-' ? '_' : a[i - 1];
            const char y = b[j - 1] == '-' ? '_' : b[j - 1];
            const size_t replace = diagonal + (x != y);
            diagonal = row[j];
            if (row[j] > row[j - 1]) row[j] = row[j - 1];
            row[j]++;
            if (row[j] > replace) row[j] = replace;
        }
    }
    return row[n];
}

const char *weft_nearest_word(const char *word, const char *const *words) {
    const char *best = NULL;
    if (strlen(word) >= WEFT_OPTION_NAME) return NULL;
    size_t least = strlen(word) / 3 + 2; // farther away than this is not a typing error
    for (; *words; words++) {
        const size_t d = strlen(*words) < WEFT_OPTION_NAME ? distance(word, *words) : least;
        if (d < least) {
            least = d;
            best = *words;
        }
    }
    return best;
}

enum weft_option_id weft_option_find(struct weft_options *o, const char *name, size_t length,
                                     const char *prefix) {
    char names[WEFT_OPTION_COUNT][WEFT_OPTION_NAME];
    const char *known[WEFT_OPTION_COUNT + 1];
    size_t n = 0;
    for (enum weft_option_id id = 0; id < WEFT_OPTION_COUNT; id++) {
        const bool mine = weft_option_table[id].where & o->where;
        if (same_name(weft_option_table[id].name, name, length)) {
            if (mine) return id;
            fail(o, "%s%.*s does not apply to this command (see --help)", prefix, (int)length,
                 name);
            return WEFT_OPTION_COUNT;
        }
        if (mine) {
            known[n] = weft_option_spell(id, names[n]);
            n++;
        }
    }
    known[n] = NULL;
    char word[WEFT_OPTION_NAME];
    snprintf(word, sizeof word, "%.*s", (int)(length < 99 ? length : 99), name);
    const char *near = weft_nearest_word(word, known);
    const char *what = *prefix ? "option" : "key";
    if (near) {
        fail(o, "unknown %s %s%.*s; did you mean %s%s?", what, prefix, (int)length, name, prefix,
             near);
    } else {
        fail(o, "unknown %s %s%.*s (--help lists what there is)", what, prefix, (int)length, name);
    }
    return WEFT_OPTION_COUNT;
}

/* ---- values ---- */

/* "lo..hi" of a number option. Without hi, counts end at 2^53: the largest that every reader of
 * run.json takes as it is. */
static void range_of(const struct weft_option_info *info, double *lo, double *hi) {
    const char *dots = strstr(info->values, "..");
    *lo = strtod(info->values, NULL);
    *hi = info->type == WEFT_COUNT ? 0x1p53 : INFINITY;
    if (dots && dots[2]) *hi = strtod(dots + 2, NULL);
}

static enum weft_status bad_number(struct weft_options *o, enum weft_option_id id,
                                   const char *text) {
    const struct weft_option_info *info = &weft_option_table[id];
    char name[WEFT_OPTION_NAME];
    double lo, hi;
    range_of(info, &lo, &hi);
    char most[64] = "";
    if (isfinite(hi)) snprintf(most, sizeof most, " and at most %.16g", hi);
    return fail(o, "--%s is '%s', but must be a %s of at least %g%s", weft_option_spell(id, name),
                text, info->type == WEFT_COUNT ? "whole number" : "number", lo, most);
}

static enum weft_status set_count(struct weft_options *o, enum weft_option_id id,
                                  const char *text) {
    double lo, hi;
    range_of(&weft_option_table[id], &lo, &hi);
    char *end;
    errno = 0;
    const uint64_t value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || (double)value < lo || (double)value > hi)
        return bad_number(o, id, text);
    *(uint64_t *)field(o, id) = value;
    return WEFT_OK;
}

static enum weft_status set_real(struct weft_options *o, enum weft_option_id id, const char *text) {
    double lo, hi;
    range_of(&weft_option_table[id], &lo, &hi);
    char *end;
    const double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value) || value < lo || value > hi)
        return bad_number(o, id, text);
    *(double *)field(o, id) = value;
    return WEFT_OK;
}

/* Canonical spelling of a choice, or NULL. */
static char *find_choice(const char *values, const char *text, size_t *length) {
    for (const char *v = values; *v; v += *v == '|') {
        const size_t n = strcspn(v, "|");
        bool same = strlen(text) == n;
        for (size_t i = 0; same && i < n; i++)
            same = v[i] == text[i] || (v[i] == '_' && text[i] == '-') ||
                   (v[i] == '-' && text[i] == '_');
        *length = n;
        if (same) return (char *)(uintptr_t)v;
        v += n;
    }
    return NULL;
}

static enum weft_status set_text(struct weft_options *o, enum weft_option_id id, const char *text) {
    const struct weft_option_info *info = &weft_option_table[id];
    size_t length = strlen(text);
    if (info->type == WEFT_CHOICE) {
        const char *choice = find_choice(info->values, text, &length);
        char name[WEFT_OPTION_NAME];
        if (!choice)
            return fail(o, "--%s is '%s', but must be one of: %s", weft_option_spell(id, name),
                        text, info->values);
        text = choice;
    }
    char *copy = strndup(text, length);
    if (!copy) {
        fail(o, "out of memory while reading options");
        return WEFT_ERR_NOMEM;
    }
    free(o->own[id]);
    o->own[id] = copy;
    *(const char **)field(o, id) = copy;
    return WEFT_OK;
}

enum weft_status weft_options_set(struct weft_options *o, enum weft_option_id id, const char *text,
                                  enum weft_option_from from) {
    if (from < (enum weft_option_from)o->from[id]) return WEFT_OK;
    enum weft_status st = WEFT_OK;
    switch (weft_option_table[id].type) {
    case WEFT_COUNT: st = set_count(o, id, text); break;
    case WEFT_REAL: st = set_real(o, id, text); break;
    case WEFT_FLAG: *(bool *)field(o, id) = strcmp(text, "false") != 0; break;
    case WEFT_TEXT:
    case WEFT_CHOICE: st = set_text(o, id, text); break;
    }
    if (st == WEFT_OK) o->from[id] = (unsigned char)from;
    return st;
}

void weft_options_init(struct weft_options *o, unsigned where) {
    memset(o, 0, sizeof *o);
    o->where = where;
    for (enum weft_option_id id = 0; id < WEFT_OPTION_COUNT; id++) {
        const char *text = weft_option_table[id].fallback[where & WEFT_FOR_GPT2 ? 0 : 1];
        if (!text || !(weft_option_table[id].where & where)) continue;
        if (weft_options_set(o, id, text, WEFT_FROM_DEFAULT) != WEFT_OK) return; // message is set
    }
}

void weft_options_free(struct weft_options *o) {
    for (size_t i = 0; i < WEFT_OPTION_COUNT; i++) free(o->own[i]);
    memset(o, 0, sizeof *o);
}

bool weft_options_given(const struct weft_options *o, enum weft_option_id id) {
    return o->from[id] >= WEFT_FROM_CONFIG;
}

bool weft_options_has(const struct weft_options *o, enum weft_option_id id) {
    return o->from[id] != WEFT_FROM_NOTHING;
}

const char *weft_options_text(const struct weft_options *o, enum weft_option_id id, char *buf,
                              size_t size) {
    char number[WEFT_REAL_TEXT];
    buf[0] = '\0';
    if (!weft_options_has(o, id)) return buf;
    switch (weft_option_table[id].type) {
    case WEFT_COUNT: snprintf(buf, size, "%" PRIu64, *(const uint64_t *)field(o, id)); break;
    case WEFT_REAL:
        snprintf(buf, size, "%s", weft_real_text(*(const double *)field(o, id), number));
        break;
    case WEFT_FLAG:
        snprintf(buf, size, "%s", *(const bool *)field(o, id) ? "true" : "false");
        break;
    case WEFT_TEXT:
    case WEFT_CHOICE: snprintf(buf, size, "%s", *(const char *const *)field(o, id)); break;
    }
    return buf;
}

void weft_options_write(const struct weft_options *o, struct weft_json *j) {
    for (enum weft_option_id id = 0; id < WEFT_OPTION_COUNT; id++) {
        const struct weft_option_info *info = &weft_option_table[id];
        if (!weft_options_has(o, id) || info->where & WEFT_OPTION_UNSAVED) continue;
        switch (info->type) {
        case WEFT_COUNT: weft_json_count(j, info->name, *(const uint64_t *)field(o, id)); break;
        case WEFT_REAL: weft_json_real(j, info->name, *(const double *)field(o, id)); break;
        case WEFT_FLAG: weft_json_bool(j, info->name, *(const bool *)field(o, id)); break;
        case WEFT_TEXT:
        case WEFT_CHOICE: weft_json_text(j, info->name, *(const char *const *)field(o, id)); break;
        }
    }
}

/* ---- command line ---- */

/* The letters that a command line of `weft bench` may hold instead. */
static enum weft_option_id letter(const struct weft_options *o, const char *text) {
    static const struct {
        const char *letter;
        enum weft_option_id id;
    } known[] = {{"-b", WEFT_OPT_batch},
                 {"-t", WEFT_OPT_seq},
                 {"-r", WEFT_OPT_repetitions},
                 {"-o", WEFT_OPT_format}};
    for (size_t i = 0; o->where & BENCH && i < sizeof known / sizeof *known; i++)
        if (strcmp(text, known[i].letter) == 0) return known[i].id;
    return WEFT_OPTION_COUNT;
}

static enum weft_status parse_one(struct weft_options *o, int *i, int argc, char *const *argv) {
    const char *name = argv[*i] + 2;
    const size_t length = strcspn(name, "=");
    const enum weft_option_id id = weft_option_find(o, name, length, "--");
    if (id == WEFT_OPTION_COUNT) return WEFT_ERR_ARG;
    const char *value = name[length] == '=' ? name + length + 1 : NULL;
    char spelled[WEFT_OPTION_NAME];
    weft_option_spell(id, spelled);
    if (weft_option_table[id].type == WEFT_FLAG) {
        if (value) return fail(o, "--%s takes no value", spelled);
        value = "true";
    } else if (!value) {
        if (*i + 1 >= argc || strncmp(argv[*i + 1], "--", 2) == 0)
            return fail(o, "--%s needs a value: --%s %s", spelled, spelled,
                        weft_option_table[id].values);
        value = argv[++*i];
    }
    return weft_options_set(o, id, value, WEFT_FROM_USER);
}

enum weft_status weft_options_parse(struct weft_options *o, int argc, char *const *argv,
                                    const char **rest, size_t *n_rest) {
    bool options = true;
    size_t n = 0;
    for (int i = 0; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && strncmp(argv[i], "--", 2) == 0) {
            const enum weft_status st = parse_one(o, &i, argc, argv);
            if (st != WEFT_OK) return st;
        } else if (options && argv[i][0] == '-' && argv[i][1]) {
            const enum weft_option_id id = letter(o, argv[i]);
            if (id == WEFT_OPTION_COUNT)
                return fail(o, "unknown option %s: options are long, as in --help", argv[i]);
            if (i + 1 == argc) return fail(o, "%s needs a value", argv[i]);
            const enum weft_status st = weft_options_set(o, id, argv[++i], WEFT_FROM_USER);
            if (st != WEFT_OK) return st;
        } else if (rest) {
            rest[n++] = argv[i];
        } else {
            return fail(o, "'%s' is not expected here (see --help)", argv[i]);
        }
    }
    if (n_rest) *n_rest = n;
    return WEFT_OK;
}

/* ---- help ---- */

#define HELP_COLUMN 30
#define HELP_WIDTH  100

static const char *placeholder(const struct weft_option_info *info) {
    switch (info->type) {
    case WEFT_COUNT: return " N";
    case WEFT_REAL: return " X";
    case WEFT_CHOICE: return " NAME";
    case WEFT_TEXT:
    case WEFT_FLAG: break;
    }
    return "";
}

/* One option: its spelling, then its help wrapped at HELP_WIDTH beside it. */
static void help_one(enum weft_option_id id, unsigned where,
                     void (*line)(void *user, const char *text), void *user) {
    const struct weft_option_info *info = &weft_option_table[id];
    const char *fallback = info->fallback[where & WEFT_FOR_GPT2 ? 0 : 1];
    char name[WEFT_OPTION_NAME], left[2 * WEFT_OPTION_NAME], text[1024], out[256];
    snprintf(left, sizeof left, "  --%s%s%s%s", weft_option_spell(id, name), placeholder(info),
             info->type == WEFT_TEXT ? " " : "", info->type == WEFT_TEXT ? info->values : "");
    int n = snprintf(text, sizeof text, "%s", info->help);
    const char *before = " (";
    if (info->type == WEFT_CHOICE) {
        n += snprintf(text + n, sizeof text - (size_t)n, "%s", before);
        for (const char *v = info->values; *v; v++) // a line may end after a comma, not after a bar
            n += snprintf(text + n, sizeof text - (size_t)n, "%c%s", *v == '|' ? ',' : *v,
                          *v == '|' ? " " : "");
        before = "; ";
    }
    if (fallback && *fallback) {
        n += snprintf(text + n, sizeof text - (size_t)n, "%sdefault: %s", before, fallback);
        before = "; ";
    }
    if (before[0] == ';') snprintf(text + n, sizeof text - (size_t)n, ")");
    const char *from = text;
    while (*from) {
        size_t fit = strlen(from);
        if (fit > HELP_WIDTH - HELP_COLUMN) {
            fit = HELP_WIDTH - HELP_COLUMN;
            while (fit > 1 && from[fit] != ' ') fit--;
        }
        if (strlen(left) >= HELP_COLUMN - 1 && from == text) {
            line(user, left);
            left[0] = '\0';
        }
        snprintf(out, sizeof out, "%-*s%.*s", HELP_COLUMN, left, (int)fit, from);
        line(user, out);
        left[0] = '\0';
        from += fit;
        from += *from == ' ';
    }
}

void weft_options_help(unsigned where, void (*line)(void *user, const char *text), void *user) {
    for (enum weft_option_id id = 0; id < WEFT_OPTION_COUNT; id++) {
        if (weft_option_table[id].where & where) help_one(id, where, line, user);
    }
}
