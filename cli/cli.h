/* What the commands share: their arguments, a context, and how they end. */
#ifndef WEFT_CLI_CLI_H
#define WEFT_CLI_CLI_H

#include "train/options.h"
#include "weft/weft.h"

enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

struct cli {
    const char *command;
    struct weft_options o;
    const char **rest; /* (count) arguments that are not options */
    size_t count;
    weft_ctx *ctx;
    const char *tuned_by; /* where the context's tuning comes from */
    struct cli_binding { /* cli_bind */
        int cpu[WEFT_MAX_THREADS]; /* of each thread */
        size_t nodes;              /* memory nodes they lie on; 0: not bound */
        const char *why;           /* not bound: why not */
    } bound;
};

/* Print `weft: <text>` on stderr; return CLI_FAILED, or CLI_USAGE after a hint at --help. */
int cli_fail(const char *fmt, ...) WEFT_FORMAT(1, 2);
int cli_usage(const struct cli *c, const char *fmt, ...) WEFT_FORMAT(2, 3);
/* `weft: warning: <text>` on stderr. */
void cli_warn(const char *fmt, ...) WEFT_FORMAT(1, 2);
/* Turn the status of a call on c->ctx into an exit code, printing its message. */
int cli_end(const struct cli *c, enum weft_status st);

/* Where --bind puts so many threads, into c->bound; CLI_USAGE when what was asked for cannot be. */
int cli_bind(struct cli *c, size_t threads);

/* Long work shows how it goes: a weft_progress's write (text on stdout, at once); whether stdout is
 * a terminal, and how many columns it has (0: unknown). */
void cli_write(void *user, const char *text);
bool cli_terminal(unsigned *columns);

/* Bytes for people: "1.95 GiB". Returns buf. */
const char *cli_bytes(char buf[32], size_t bytes);
/* Print a finished JSON document on stdout and free it. */
int cli_json(struct weft_json *j);

/* Become weft-bench with these arguments (cmd_bench.c); returns when that cannot be. */
int cmd_bench_exec(int argc, char *const *argv);

#define WEFT_COMMAND(name, ...) int cmd_##name(struct cli *c);
#include "cli/commands.def"
#undef WEFT_COMMAND

#endif
