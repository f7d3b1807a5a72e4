/* weft: one program, a command a file. Results go to stdout, errors to stderr as `weft: ...`.
 * Exit codes: 0 done, 1 failed, 2 called wrongly; of diff, as others have it: 1 different, 2
 * failed. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "train/tune.h"

struct command {
    const char *name;
    unsigned where;
    bool models;
    size_t least, most;
    const char *arguments, *summary;
    int (*run)(struct cli *);
};
static const struct command commands[] = {
#define WEFT_COMMAND(name, where, models, least, most, arguments, summary)                         \
    {#name, where, models, least, most, arguments, summary, cmd_##name},
#include "cli/commands.def"
#undef WEFT_COMMAND
};
#define COMMANDS (sizeof commands / sizeof *commands)

static void help_line(void *user, const char *text) {
    (void)user;
    puts(text);
}

static int help_all(void) {
    puts("weft: train and run neural networks on CPUs, fast and with the same bits everywhere\n\n"
         "usage: weft COMMAND [options]\n\ncommands:");
    for (size_t i = 0; i < COMMANDS; i++)
        printf("  %-12s%s\n", commands[i].name, commands[i].summary);
    puts("\n`weft COMMAND --help` lists a command's options; `weft --version` prints the version.");
    return CLI_OK;
}

static int help_command(const struct command *m, unsigned model) {
    printf("weft %s: %s\n\nusage: weft %s %s\n", m->name, m->summary, m->name, m->arguments);
    static const struct {
        const char *title;
        unsigned bit;
    } part[] = {{"gpt2", WEFT_FOR_GPT2}, {"mlp", WEFT_FOR_MLP}};
    for (size_t i = 0; m->models && i < 2; i++) {
        if (model && model != part[i].bit) continue;
        printf("\noptions of weft %s %s:\n", m->name, part[i].title);
        weft_options_help(m->where | part[i].bit, help_line, NULL);
    }
    if (m->models) return CLI_OK;
    puts("\noptions:");
    weft_options_help(m->where, help_line, NULL);
    return CLI_OK;
}

static const struct command *find_command(const char *name) {
    for (size_t i = 0; i < COMMANDS; i++)
        if (!strcmp(commands[i].name, name)) return &commands[i];
    return NULL;
}

static int unknown_command(const char *name) {
    const char *names[COMMANDS + 1] = {NULL};
    for (size_t i = 0; i < COMMANDS; i++) names[i] = commands[i].name;
    const char *near = weft_nearest_word(name, names);
    const struct cli none = {.command = NULL};
    if (near) return cli_usage(&none, "unknown command '%s'; did you mean '%s'?", name, near);
    return cli_usage(&none, "unknown command '%s'", name);
}

static unsigned model_of(const char *name) {
    return !strcmp(name, "gpt2") ? WEFT_FOR_GPT2 : !strcmp(name, "mlp") ? WEFT_FOR_MLP : 0;
}

static bool wants_help(int argc, char *const *argv) {
    for (int i = 0; i < argc && strcmp(argv[i], "--"); i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) return true;
    return false;
}

/* What `weft tune` has found for this machine, unless the user says otherwise. */
static void use_tuning(struct cli *c, struct weft_ctx_options options) {
    c->tuned_by = "WEFT_TUNE";
    if (getenv("WEFT_TUNE") != NULL) return;
    c->tuned_by = "defaults";
    char *const text = weft_tuning_load(weft_ctx_isa(c->ctx), weft_ctx_threads(c->ctx));
    weft_ctx *tuned;
    options.tuning = text;
    if (text != NULL && *text != 0 && weft_ctx_create(&options, &tuned) == WEFT_OK) {
        weft_ctx_free(c->ctx);
        c->ctx = tuned;
        c->tuned_by = "weft tune";
    }
    free(text);
}

/* The context of a command, with its --threads and --isa when it has them. */
static int open_context(struct cli *c) {
    char message[WEFT_MESSAGE_MAX] = "";
    struct weft_ctx_options options = {
        .threads = weft_options_has(&c->o, WEFT_OPT_threads) ? (int)c->o.threads : 0,
        .isa = weft_options_has(&c->o, WEFT_OPT_isa) ? c->o.isa : NULL,
        .message = message,
    };
    struct weft_cpu_info cpu;
    weft_cpu_query(&cpu);
    const int threads = options.threads > 0 ? options.threads : cpu.cores_allowed;
    const int code = cli_bind(c, (size_t)threads);
    if (code != CLI_OK) return code;
    if (c->bound.nodes > 0) {
        options.cpus = c->bound.cpu;
        options.cpu_count = (size_t)threads;
        options.first_touch = c->bound.nodes > 1;
    }
    const enum weft_status st = weft_ctx_create(&options, &c->ctx);
    if (st != WEFT_OK) return cli_fail("%s", *message ? message : weft_status_text(st));
    use_tuning(c, options);
    if (options.threads > cpu.cores_allowed)
        cli_warn("--threads %d is more than the %d core%s this process may use", options.threads,
                 cpu.cores_allowed, cpu.cores_allowed > 1 ? "s" : "");
    return CLI_OK;
}

static int check_count(const struct cli *c, const struct command *m) {
    if (c->count < m->least)
        return cli_usage(c, "too few arguments: weft %s %s", m->name, m->arguments);
    if (c->count > m->most)
        return cli_usage(c, "'%s' is one argument too many: weft %s %s", c->rest[m->most], m->name,
                         m->arguments);
    return CLI_OK;
}

static int run_command(const struct command *m, struct cli *c, unsigned model, int argc,
                       char *const *argv) {
    weft_options_init(&c->o, m->where | model);
    if (weft_options_parse(&c->o, argc, argv, c->rest, &c->count) != WEFT_OK)
        return cli_usage(c, "%s", c->o.message);
    int code = check_count(c, m);
    if (code == CLI_OK && weft_options_given(&c->o, WEFT_OPT_config) &&
        weft_options_load(&c->o, c->o.config, false) != WEFT_OK)
        code = cli_usage(c, "%s", c->o.message);
    if (code == CLI_OK) code = open_context(c);
    if (code == CLI_OK) code = m->run(c);
    weft_ctx_free(c->ctx);
    return code;
}

static int dispatch(int argc, char **argv) {
    struct cli c = {.command = NULL};
    if (argc < 2) return cli_usage(&c, "which command?");
    const bool help = !strcmp(argv[1], "help");
    if (help && argc > 2) { // of a command: the same as COMMAND --help
        const struct command *m = find_command(argv[2]);
        return m ? help_command(m, argc > 3 ? model_of(argv[3]) : 0) : unknown_command(argv[2]);
    }
    if (help || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) return help_all();
    if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-v")) {
        printf("weft %s (%s)\n", weft_version(), weft_compiler());
        return CLI_OK;
    }
    const struct command *m = find_command(argv[1]);
    if (!m) return unknown_command(argv[1]);
    c.command = m->name;
    if (m->run == cmd_bench && (argc == 2 || argv[2][0] == '-') && !wants_help(argc - 2, argv + 2))
        return cmd_bench_exec(argc - 2, argv + 2);
    unsigned model = 0;
    int first = 2;
    if (m->models && argc > 2) {
        model = model_of(argv[2]);
        first += model != 0;
    }
    if (wants_help(argc - first, argv + first)) return help_command(m, model);
    if (m->models && !model)
        return cli_usage(&c, "%s%s%s: say which model: weft %s gpt2 ..., or weft %s mlp ...",
                         argc > 2 ? "'" : "no model given", argc > 2 ? argv[2] : "",
                         argc > 2 ? "' is not a model" : "", m->name, m->name);
    c.rest = calloc((size_t)argc, sizeof *c.rest);
    const int code =
        c.rest ? run_command(m, &c, model, argc - first, argv + first) : cli_fail("out of memory");
    weft_options_free(&c.o);
    free(c.rest);
    return code;
}

/* What is closed now would be taken by the next file that is opened: lines for the screen would end
 * up in it. */
static void open_standard_files(void) {
    int fd = 0;
    while (fd >= 0 && fd <= STDERR_FILENO) fd = open("/dev/null", O_RDWR);
    if (fd > STDERR_FILENO) close(fd);
}

/* A file that is mapped became shorter, or its disk failed. */
static void on_bus_error(int signal) {
    static const char text[] = "weft: a file in use was cut short, or cannot be read any more: "
                               "restore it (training goes on with --resume)\n";
    const ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
    (void)signal;
    (void)written;
    _exit(CLI_FAILED);
}

int main(int argc, char **argv) {
    open_standard_files();
    signal(SIGBUS, on_bus_error);
    signal(SIGXFSZ, SIG_IGN); // a file that is too large for its limit fails with a message
    const int code = dispatch(argc, argv);
    if (fflush(stdout) || ferror(stdout))
        return cli_fail("standard output: cannot be written: %s", strerror(errno));
    return code;
}
