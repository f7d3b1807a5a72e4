/* Text by a trained GPT-2: the prompt, and what the model makes of it, as it comes; or many prompts
 * at once, from a file of JSON lines into another. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "train/loaded.h"
#include "train/progress.h"
#include "train/writer_lines.h"

#define LINES 1024 /* in memory, besides those that run */

struct job {
    struct cli *c;
    struct weft_loaded loaded;
    struct weft_stops stop;
    weft_writer *writer;
    double start, first, last; /* seconds: of the program, of the first and the last piece */
    size_t tokens;
};

static bool put(void *user, const char *text, size_t size) {
    struct job *j = user;
    j->last = weft_clock();
    if (j->first == 0) j->first = j->last;
    return fwrite(text, 1, size, stdout) == size && fflush(stdout) == 0;
}

static void end(void *user, enum weft_finish finish, size_t tokens) {
    struct job *j = user;
    (void)finish;
    j->tokens = tokens;
}

static struct weft_prompt usual_prompt(struct job *j) {
    const struct weft_options *o = &j->c->o;
    return (struct weft_prompt){
        .text = o->prompt,
        .size = strlen(o->prompt),
        .tokens = (size_t)o->tokens,
        .sampling = {.repetition_penalty = o->repetition_penalty,
                     .temperature = o->temperature,
                     .top_k = (size_t)o->top_k,
                     .top_p = o->top_p,
                     .min_p = o->min_p,
                     .seed = o->seed},
        .stop = (const char *const *)j->stop.text,
        .stops = j->stop.n,
        .put = put,
        .end = end,
        .user = j,
    };
}

/* On standard error: when the text came, and what the model takes. */
static void tell_timing(const struct job *j) {
    struct weft_memory m;
    char weights[32], cache[32];
    if (j->tokens > 0)
        fprintf(stderr, "weft: first token after %.3f s; then %.1f tokens/s\n", j->first - j->start,
                j->tokens > 1 ? (double)(j->tokens - 1) / (j->last - j->first) : 0);
    if (weft_model_memory(j->loaded.model, &m) == WEFT_OK)
        fprintf(stderr, "weft: weights in %s, %s; KV cache in %s, %s\n", j->c->o.weights,
                cli_bytes(weights, m.params), j->c->o.kv, cli_bytes(cache, m.state));
}

/* One prompt, its text on standard output. */
static int write_one(struct job *j) {
    const struct weft_prompt prompt = usual_prompt(j);
    enum weft_status st = weft_writer_add(j->writer, "the prompt", &prompt, NULL);
    if (st != WEFT_OK) return cli_end(j->c, st);
    fputs(j->c->o.prompt, stdout);
    if (!j->loaded.tokenizer && prompt.size > 0) putchar(' ');
    fflush(stdout);
    st = weft_writer_run(j->writer);
    if (st == WEFT_OK) putchar('\n');
    if (st == WEFT_OK && j->c->o.timing) tell_timing(j);
    return cli_end(j->c, st);
}

static int write_lines(struct job *j) {
    const struct weft_options *o = &j->c->o;
    const bool piped = strcmp(o->prompts, "-") == 0;
    FILE *in = piped ? stdin : fopen(o->prompts, "rb");
    if (!in) return cli_fail("%s: cannot be opened: %s", o->prompts, strerror(errno));
    FILE *out = o->out ? fopen(o->out, "wb") : stdout;
    int code = CLI_OK;
    if (!out) code = cli_fail("%s: cannot be written: %s", o->out, strerror(errno));
    if (code == CLI_OK) {
        const struct weft_lines how = {.ctx = j->c->ctx,
                                       .writer = j->writer,
                                       .in_name = piped ? "standard input" : o->prompts,
                                       .in = in,
                                       .out = out,
                                       .usual = usual_prompt(j),
                                       .most = LINES + (size_t)o->streams};
        code = cli_end(j->c, weft_generate_lines(&how));
    }
    if (out && out != stdout && fclose(out) != 0 && code == CLI_OK)
        code = cli_fail("%s: cannot be written: %s", o->out, strerror(errno));
    if (!piped) fclose(in);
    return code;
}

static int generate(struct job *j) {
    const struct weft_options *o = &j->c->o;
    const struct weft_loaded *l = &j->loaded;
    if (!l->shape.language)
        return cli_fail("%s is not a language model: it cannot write text", o->model);
    const struct weft_writing how = {.model = l->model,
                                     .vocab = l->shape.gpt2.vocab,
                                     .tokenizer = l->tokenizer,
                                     .past_end = o->past_end};
    enum weft_status st = weft_stops_parse(j->c->ctx, o->stop, &j->stop);
    if (st == WEFT_OK) st = weft_writer_create(j->c->ctx, &how, &j->writer);
    if (st != WEFT_OK) return cli_end(j->c, st);
    return o->prompts ? write_lines(j) : write_one(j);
}

int cmd_generate(struct cli *c) {
    struct job j = {.c = c, .start = weft_clock()};
    if (!c->o.model)
        return cli_usage(
            c, "--model is missing: a run, or one of its checkpoints, as in --model runs/x");
    if (c->o.out && !c->o.prompts)
        return cli_usage(c, "--out is for --prompts: the text of --prompt goes to standard output");
    const struct weft_training how = {.sequences = c->o.prompts ? (size_t)c->o.streams : 1,
                                      .weights = c->o.weights,
                                      .kv = c->o.kv};
    enum weft_status st = weft_loaded_option(c->ctx, &c->o, WEFT_OPT_model);
    if (st == WEFT_OK) st = weft_loaded_open(c->ctx, c->o.model, c->o.tokenizer, &how, &j.loaded);
    if (st != WEFT_OK) return cli_end(c, st);
    const int code = generate(&j);
    weft_writer_free(j.writer);
    weft_stops_free(&j.stop);
    weft_loaded_close(&j.loaded);
    return code;
}
