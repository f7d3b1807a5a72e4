/* The machine as weft sees it. Without --measure nothing is timed: the answer takes milliseconds.
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>
#include <zlib.h>

#include "cli/cli.h"
#include "runtime/onednn/onednn.h"
#include "topology/topology.h"

struct facts {
    struct weft_cpu_info cpu;
    struct weft_limits limits;
    struct weft_topology topology; /* no PUs: unknown */
    double bf16; /* speed of its products, as a multiple of f32's */
    bool measured;
    char jansson[16], zlib[16], xxhash[16], buffer[WEFT_ONEDNN_VERSION], hwloc[WEFT_HWLOC_VERSION];
    const char *onednn; /* NULL: not built in */
};

static void gather_versions(struct facts *f) {
    const unsigned xx = XXH_versionNumber();
    f->onednn = weft_onednn_version(f->buffer);
    snprintf(f->jansson, sizeof f->jansson, "%s", JANSSON_VERSION);
    snprintf(f->zlib, sizeof f->zlib, "%s", zlibVersion());
    snprintf(f->xxhash, sizeof f->xxhash, "%u.%u.%u", xx / 10000, xx / 100 % 100, xx % 100);
}

static void names_json(struct weft_json *j, const char *key, const char *const *names) {
    weft_json_open(j, key, '[');
    for (; *names; names++) weft_json_text(j, NULL, *names);
    weft_json_close(j);
}

/* "0-3", or why not. */
static const char *binding_text(const struct cli *c, char *buf, size_t size) {
    if (c->bound.nodes == 0) return c->bound.why;
    return weft_cpus_text(c->bound.cpu, (size_t)weft_ctx_threads(c->ctx), buf, size);
}

static void print_topology(const struct cli *c, const struct facts *f) {
    char text[128];
    if (f->topology.pus > 0)
        printf("%-14s%zu hardware thread%s of %zu core%s on %zu memory node%s, %s the machine "
               "(hwloc API %s)\n",
               "topology", f->topology.pus, f->topology.pus > 1 ? "s" : "", f->topology.cores,
               f->topology.cores > 1 ? "s" : "", f->topology.nodes,
               f->topology.nodes > 1 ? "s" : "", f->topology.whole ? "all of" : "a part of",
               f->hwloc);
    printf("%-14s%s%s (--bind %s)\n", "threads bound",
           c->bound.nodes > 0 ? "to CPUs " : "no: ", binding_text(c, text, sizeof text), c->o.bind);
}

static void put_topology(const struct cli *c, const struct facts *f, struct weft_json *j) {
    char text[1024];
    weft_json_open(j, "topology", '{');
    weft_json_text(j, "hwloc", *f->hwloc ? f->hwloc : NULL);
    weft_json_count(j, "pus", f->topology.pus);
    weft_json_count(j, "cores", f->topology.cores);
    weft_json_count(j, "nodes", f->topology.nodes);
    weft_json_close(j);
    weft_json_text(j, "bind", c->o.bind);
    weft_json_text(j, "bound_to", c->bound.nodes > 0 ? binding_text(c, text, sizeof text) : NULL);
    weft_json_text(j, "unbound_why", c->bound.nodes > 0 ? NULL : c->bound.why);
}

static int print_json(const struct cli *c, const struct facts *f) {
    const struct weft_tuning tuning = weft_ctx_tuning(c->ctx);
    struct weft_json j = {.pretty = true};
    weft_json_open(&j, NULL, '{');
    weft_json_text(&j, "version", weft_version());
    weft_json_text(&j, "compiler", weft_compiler());
    weft_json_text(&j, "cpu", f->cpu.model);
    weft_json_text(&j, "isa", weft_ctx_isa(c->ctx));
    names_json(&j, "isa_available", f->cpu.isas);
    names_json(&j, "isa_built", f->cpu.isas_built);
    weft_json_int(&j, "threads", weft_ctx_threads(c->ctx));
    weft_json_int(&j, "cores_allowed", f->cpu.cores_allowed);
    weft_json_int(&j, "cores_online", f->cpu.cores_online);
    weft_json_int(&j, "cpuset", f->cpu.cpuset);
    weft_json_real(&j, "quota", f->cpu.quota);
    put_topology(c, f, &j);
    weft_json_count(&j, "l1d_bytes", f->cpu.l1d);
    weft_json_count(&j, "l2_bytes", f->cpu.l2);
    weft_json_count(&j, "l3_bytes", f->cpu.l3);
    weft_json_count(&j, "cache_line_bytes", f->cpu.line);
    weft_json_open(&j, "backends", '[');
    weft_json_text(&j, NULL, "native");
    if (f->onednn) weft_json_text(&j, NULL, "onednn");
    weft_json_close(&j);
    weft_json_open(&j, "tuning", '{');
#define PUT_TUNING(name, value, what) weft_json_count(&j, #name, tuning.name);
    WEFT_TUNING_LIST(PUT_TUNING)
#undef PUT_TUNING
    weft_json_text(&j, "from", c->tuned_by);
    weft_json_close(&j);
    weft_json_open(&j, "libraries", '{');
    weft_json_text(&j, "jansson", f->jansson);
    weft_json_text(&j, "zlib", f->zlib);
    weft_json_text(&j, "xxhash", f->xxhash);
    weft_json_text(&j, "onednn", f->onednn);
    weft_json_close(&j);
    if (f->measured) {
        weft_json_real(&j, "fma_gflops", f->limits.fma_gflops);
        weft_json_real(&j, "bf16_gflops", f->limits.bf16_gflops);
        weft_json_real(&j, "triad_gbs", f->limits.triad_gbs);
        weft_json_real(&j, "read_gbs", f->limits.read_gbs);
        weft_json_real(&j, "bf16_speed", f->bf16);
    }
    return cli_json(&j);
}

static void print_names(const char *label, const char *const *names, const char *chosen) {
    printf("%-14s", label);
    for (; *names; names++) printf("%s%s ", *names, chosen && !strcmp(*names, chosen) ? "*" : "");
    putchar('\n');
}

static void print_size(const char *label, size_t bytes) {
    char text[32];
    if (bytes) printf("%s %s", label, cli_bytes(text, bytes));
}

static void print_tuning(const struct cli *c) {
    const struct weft_tuning tuning = weft_ctx_tuning(c->ctx);
    printf("%-14s", "tuning");
#define PRINT_TUNING(name, value, what) printf(#name "=%zu ", tuning.name);
    WEFT_TUNING_LIST(PRINT_TUNING)
#undef PRINT_TUNING
    printf("(%s)\n", c->tuned_by);
}

static void print_table(const struct cli *c, const struct facts *f) {
    printf("%-14s%s (%s)\n", "weft", weft_version(), weft_compiler());
    printf("%-14s%s\n", "cpu", f->cpu.model);
    print_names("isa", f->cpu.isas, weft_ctx_isa(c->ctx));
    print_names("isa built", f->cpu.isas_built, NULL);
    printf("%-14s%d in use; %d allowed: %d in the cpuset of %d online", "threads",
           weft_ctx_threads(c->ctx), f->cpu.cores_allowed, f->cpu.cpuset, f->cpu.cores_online);
    if (f->cpu.quota > 0)
        printf(", cgroup quota %.4g\n", f->cpu.quota);
    else
        printf(", no cgroup quota\n");
    print_topology(c, f);
    printf("%-14s", "caches");
    print_size("L1d", f->cpu.l1d);
    print_size(", L2", f->cpu.l2);
    print_size(", L3", f->cpu.l3);
    print_size(", line", f->cpu.line);
    putchar('\n');
    print_tuning(c);
    printf("%-14sjansson %s, zlib %s, xxHash %s\n", "libraries", f->jansson, f->zlib, f->xxhash);
    if (f->onednn)
        printf("%-14snative*, onednn (oneDNN %s)\n", "backends", f->onednn);
    else
        printf("%-14snative* (%s)\n", "backends", WEFT_ONEDNN_HOWTO);
    printf("%-14sf32, bf16 (in memory; %s)\n", "precision",
           weft_ctx_bf16_dots(c->ctx) ? "products by the CPU's dot products" : "arithmetic in f32");
    if (!f->measured) return;
    printf("%-14sproducts at %.2f times the speed of f32\n", "bf16", f->bf16);
    printf("%-14s%.1f GFLOP/s", "fma peak", f->limits.fma_gflops);
    if (weft_ctx_bf16_dots(c->ctx)) printf(", dot products of bf16 %.1f", f->limits.bf16_gflops);
    putchar('\n');
    printf("%-14striad %.1f GB/s, read %.1f GB/s\n", "bandwidth", f->limits.triad_gbs,
           f->limits.read_gbs);
}

int cmd_info(struct cli *c) {
    struct facts f = {.measured = c->o.measure};
    weft_cpu_query(&f.cpu);
    gather_versions(&f);
    if (weft_topology_hwloc(f.hwloc) != NULL) weft_topology_read(&f.topology);
    if (f.measured) {
        enum weft_status st = weft_limits_measure(c->ctx, 0, &f.limits);
        if (st == WEFT_OK) st = weft_bf16_speed(c->ctx, &f.bf16);
        if (st != WEFT_OK) return cli_end(c, st);
    }
    if (!c->o.json) print_table(c, &f);
    const int code = c->o.json ? print_json(c, &f) : CLI_OK;
    weft_topology_free(&f.topology);
    return code;
}
