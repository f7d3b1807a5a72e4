#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void say(const char *kind, const char *fmt, va_list args) {
    fflush(stdout);
    fprintf(stderr, "weft: %s", kind);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
}

int cli_fail(const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    say("", fmt, args);
    va_end(args);
    return CLI_FAILED;
}

int cli_usage(const struct cli *c, const char *fmt, ...) {
    char text[WEFT_MESSAGE_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (strstr(text, "--help"))
        cli_fail("%s", text);
    else
        cli_fail("%s (see 'weft%s%s --help')", text, c->command ? " " : "",
                 c->command ? c->command : "");
    return CLI_USAGE;
}

void cli_warn(const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    say("warning: ", fmt, args);
    va_end(args);
}

int cli_end(const struct cli *c, enum weft_status st) {
    if (st == WEFT_OK) return CLI_OK;
    const char *message = weft_ctx_message(c->ctx);
    return cli_fail("%s", message && *message ? message : weft_status_text(st));
}

void cli_write(void *user, const char *text) {
    (void)user;
    fputs(text, stdout);
    fflush(stdout);
}

bool cli_terminal(unsigned *columns) {
    struct winsize window;
    const bool terminal = isatty(STDOUT_FILENO);
    if (terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0) *columns = window.ws_col;
    return terminal;
}

const char *cli_bytes(char buf[32], size_t bytes) {
    static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t u = 0;
    for (; value >= 1000 && u < 4; u++) value /= 1024;
    snprintf(buf, 32, "%.*f %s",
             u == 0          ? 0
             : value < 9.995 ? 2
             : value < 99.95 ? 1
                             : 0,
             value, unit[u]);
    return buf;
}

int cli_json(struct weft_json *j) {
    weft_json_end(j);
    const bool failed = j->failed;
    if (!failed) fwrite(j->data, 1, j->size, stdout);
    weft_json_free(j);
    return failed ? cli_fail("out of memory") : CLI_OK;
}
