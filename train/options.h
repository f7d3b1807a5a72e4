/* Settings of a run: every option of options.def with its value and where that came from.
 *
 * Precedence: command line, then configuration file, then defaults, whatever the order of calls.
 * Errors: WEFT_ERR_ARG (or _IO, _FORMAT) with one line in options->message that names the option;
 * the program exits with 2 for usage errors. */
#ifndef WEFT_TRAIN_OPTIONS_H
#define WEFT_TRAIN_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "train/json_out.h"
#include "weft/context.h"

enum weft_option_where {
    WEFT_FOR_GPT2 = 1,
    WEFT_FOR_MLP = 2,
    WEFT_FOR_TRAIN = WEFT_FOR_GPT2 | WEFT_FOR_MLP,
    WEFT_FOR_GENERATE = 4,
    WEFT_FOR_EVAL = 8,
    WEFT_FOR_PLAN = 16,
    WEFT_FOR_REPORT = 32,
    WEFT_FOR_DATA = 64,
    WEFT_FOR_INFO = 128,
    WEFT_FOR_HASH = 256,
    WEFT_FOR_DIFF = 512,
    WEFT_FOR_BENCH = 1024,
    WEFT_FOR_STUDY = 2048,
    WEFT_FOR_CONVERT = 4096,
    WEFT_FOR_TUNE = 1 << 20,
    WEFT_OPTION_UNSAVED = 1 << 30,
};

enum weft_option_type { WEFT_TEXT, WEFT_CHOICE, WEFT_COUNT, WEFT_REAL, WEFT_FLAG };
enum weft_option_from { WEFT_FROM_NOTHING, WEFT_FROM_DEFAULT, WEFT_FROM_CONFIG, WEFT_FROM_USER };

enum weft_option_id {
#define WEFT_OPTION(name, ...) WEFT_OPT_##name,
#include "train/options.def"
#undef WEFT_OPTION
    WEFT_OPTION_COUNT
};

/* One field an option: const char *data; ... uint64_t steps; ... double lr; ... bool json; */
struct weft_options {
#define WEFT_TYPE_TEXT               const char *
#define WEFT_TYPE_CHOICE             const char *
#define WEFT_TYPE_COUNT              uint64_t
#define WEFT_TYPE_REAL               double
#define WEFT_TYPE_FLAG               bool
#define WEFT_OPTION(name, type, ...) WEFT_TYPE_##type name;
#include "train/options.def"
#undef WEFT_OPTION
    unsigned char from[WEFT_OPTION_COUNT]; /* enum weft_option_from; NOTHING: field is 0 or NULL */
    char *own[WEFT_OPTION_COUNT];          /* memory of texts */
    unsigned where;                        /* the command: bits of enum weft_option_where */
    char message[WEFT_MESSAGE_MAX];        /* of the last error */
};

struct weft_option_info {
    const char *name; /* with underscores; weft_option_spell gives what is typed */
    enum weft_option_type type;
    const char *fallback[2]; /* default of gpt2, of the rest */
    const char *values, *help;
    unsigned where;
    size_t offset; /* of the field in struct weft_options */
};
extern const struct weft_option_info weft_option_table[WEFT_OPTION_COUNT];

/* All defaults of a command, e.g. WEFT_FOR_GPT2, or WEFT_FOR_PLAN | WEFT_FOR_MLP. */
void weft_options_init(struct weft_options *o, unsigned where);
void weft_options_free(struct weft_options *o);

/* Was it given, on the command line or in a file? */
bool weft_options_given(const struct weft_options *o, enum weft_option_id id);
/* Has it a value at all? */
bool weft_options_has(const struct weft_options *o, enum weft_option_id id);

/* Set one from text; ignored when it already has a value from a stronger source. */
WEFT_NODISCARD enum weft_status weft_options_set(struct weft_options *o, enum weft_option_id id,
                                                 const char *text, enum weft_option_from from);

/* "--name value", "--name=value", "--" ends options. What is left over goes, in order, to
 * rest[0..*n_rest), which has room for argc entries; NULL when nothing may be left over. */
WEFT_NODISCARD enum weft_status weft_options_parse(struct weft_options *o, int argc,
                                                   char *const *argv, const char **rest,
                                                   size_t *n_rest);

/* A JSON object of settings, or a run.json (its "settings"). Unknown keys are errors. */
WEFT_NODISCARD enum weft_status weft_options_load(struct weft_options *o, const char *path);

/* The settings as members of the object that is open in j: all that apply to the command and have a
 * value, in the order of options.def. */
void weft_options_write(const struct weft_options *o, struct weft_json *j);

/* The value of one option as text, e.g. to print or compare; "" without a value. Returns buf. */
const char *weft_options_text(const struct weft_options *o, enum weft_option_id id, char *buf,
                              size_t size);

/* The option table of a command as --help shows it, a line a call. */
void weft_options_help(unsigned where, void (*line)(void *user, const char *text), void *user);

/* "val_fraction" -> "val-fraction". Returns buf. */
#define WEFT_OPTION_NAME 40
const char *weft_option_spell(enum weft_option_id id, char buf[WEFT_OPTION_NAME]);
/* The option of this name, dashes or underscores, that the command knows; WEFT_OPTION_COUNT and a
 * message with the nearest name when there is none. prefix ("--" or "") goes before names there. */
enum weft_option_id weft_option_find(struct weft_options *o, const char *name, size_t length,
                                     const char *prefix);

/* The known word nearest to a mistyped one, or NULL when nothing is near. words ends with NULL. */
const char *weft_nearest_word(const char *word, const char *const *words);

#endif
