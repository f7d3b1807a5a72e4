/* What the machine has: instruction sets (CPUID and XGETBV: the operating system must save the
 * registers too), caches, and how many threads the process may use (affinity mask and cgroup quota,
 * v2 and v1). Everything is read from the kernel's files; nothing here can fail, only be unknown.
 */
#include "runtime/cpu.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/parallel.h"
#include "weft/context.h"
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

size_t weft_tables(const struct weft_kernels **out, size_t max) {
    static const struct weft_kernels *const tables[] = {
#define WEFT_KERNEL_ISA(isa) &weft_kernels_##isa,
#include "kernels/isa.def"
#undef WEFT_KERNEL_ISA
    };
    const size_t n = sizeof tables / sizeof *tables;
    for (size_t i = 0; i < n && i < max; i++) out[i] = tables[i];
    return n < max ? n : max;
}

#if defined(__x86_64__)
static unsigned long long xgetbv0(void) {
    unsigned lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (unsigned long long)hi << 32 | lo;
}

bool weft_cpu_can(const char *isa) {
    if (strcmp(isa, "emu") == 0) return true;
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return false;
    const unsigned fma = 1U << 12, osxsave = 1U << 27, avx = 1U << 28, f16c = 1U << 29;
    const unsigned need = fma | osxsave | avx | f16c;
    if ((c & need) != need || (xgetbv0() & 0x6) != 0x6) return false; /* XMM, YMM saved */
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    const bool avx2 = b >> 5 & 1;
    if (strcmp(isa, "avx2") == 0) return avx2;
    const unsigned f512 = 1U << 16 | 1U << 17 | 1U << 30 | 1U << 31; /* F DQ BW VL */
    const bool avx512 =
        avx2 && (b & f512) == f512 && (xgetbv0() & 0xe6) == 0xe6; /* opmask, ZMM saved */
    if (strcmp(isa, "avx512") == 0) return avx512;
    if (strcmp(isa, "avx512bf16") != 0 || !__get_cpuid_count(7, 1, &a, &b, &c, &d)) return false;
    return avx512 && (a >> 5 & 1);
}
#elif defined(__aarch64__)
bool weft_cpu_can(const char *isa) { /* Advanced SIMD is part of the AArch64 base */
#ifdef __linux__
    if (strcmp(isa, "neonbf16") == 0) return getauxval(AT_HWCAP2) & HWCAP2_BF16;
#endif
    return strcmp(isa, "emu") == 0 || strcmp(isa, "neon") == 0;
}
#else
bool weft_cpu_can(const char *isa) { return strcmp(isa, "emu") == 0; }
#endif

/* The first line of a file without its newline; false when it cannot be read. */
static bool read_line(const char *path, char *buf, size_t n) {
    FILE *f = fopen(path, "r");
    if (f == NULL) return false;
    const bool ok = fgets(buf, (int)n, f) != NULL;
    fclose(f);
    if (ok) buf[strcspn(buf, "\n")] = 0;
    return ok;
}

static void cpu_model(char *out, size_t n) {
    snprintf(out, n, "unknown");
#if defined(__x86_64__)
    unsigned r[12], a, b, c, d;
    if (!__get_cpuid(0x80000000U, &a, &b, &c, &d) || a < 0x80000004U) return;
    for (unsigned i = 0; i < 3; i++)
        __get_cpuid(0x80000002U + i, &r[4 * i], &r[4 * i + 1], &r[4 * i + 2], &r[4 * i + 3]);
    char brand[49] = {0};
    memcpy(brand, r, 48);
    snprintf(out, n, "%s", brand + strspn(brand, " "));
#else
    char line[256];
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        const char *colon = strchr(line, ':');
        if (colon == NULL || (strncmp(line, "model name", 10) && strncmp(line, "CPU part", 8)))
            continue;
        snprintf(out, n, "%s", colon + 2);
        out[strcspn(out, "\n")] = 0;
        break;
    }
    if (f != NULL) fclose(f);
#endif
}

static size_t parse_size(const char *s) {
    char *end;
    const unsigned long long v = strtoull(s, &end, 10);
    return (size_t)v << (*end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0);
}

static void caches(struct weft_cpu_info *o) {
    char path[128], level[16], type[32], size[32];
    for (int i = 0; i < 8; i++) {
        const char *dir = "/sys/devices/system/cpu/cpu0/cache/index";
        snprintf(path, sizeof path, "%s%d/level", dir, i);
        if (!read_line(path, level, sizeof level)) break;
        snprintf(path, sizeof path, "%s%d/type", dir, i);
        if (!read_line(path, type, sizeof type) || strcmp(type, "Instruction") == 0) continue;
        snprintf(path, sizeof path, "%s%d/size", dir, i);
        if (!read_line(path, size, sizeof size)) continue;
        size_t *const slot = level[0] == '1' ? &o->l1d : level[0] == '2' ? &o->l2 : &o->l3;
        *slot = parse_size(size);
        snprintf(path, sizeof path, "%s%d/coherency_line_size", dir, i);
        if (read_line(path, size, sizeof size)) o->line = parse_size(size);
    }
}

/* The tightest quota on the way from this process's cgroup to the root, in cores; 0: none. */
static double cgroup_quota(void) {
    char line[512], path[1200], buf[128];
    double best = 0;
    FILE *f = fopen("/proc/self/cgroup", "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\n")] = 0;
        char *const controllers = strchr(line, ':');
        char *dir = controllers == NULL ? NULL : strchr(controllers + 1, ':');
        if (dir == NULL) continue;
        *dir++ = 0;
        const bool v2 = controllers[1] == 0;
        if (!v2 && strstr(controllers + 1, "cpu") == NULL) continue;
        for (bool more = true; more;) {
            double quota = -1, period = 0;
            if (v2) {
                snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", dir);
                if (read_line(path, buf, sizeof buf) && sscanf(buf, "%lf %lf", &quota, &period) < 2)
                    quota = -1;
            } else {
                snprintf(path, sizeof path, "/sys/fs/cgroup/cpu%s/cpu.cfs_quota_us", dir);
                if (read_line(path, buf, sizeof buf)) quota = strtod(buf, NULL);
                snprintf(path, sizeof path, "/sys/fs/cgroup/cpu%s/cpu.cfs_period_us", dir);
                if (read_line(path, buf, sizeof buf)) period = strtod(buf, NULL);
            }
            if (quota > 0 && period > 0 && (best == 0 || quota / period < best))
                best = quota / period;
            char *const slash = strrchr(dir, '/');
            more = slash != NULL && slash[0] != 0 && dir[0] != 0;
            if (more) *slash = 0;
        }
    }
    if (f != NULL) fclose(f);
    return best;
}

static int affinity_count(void) {
    for (size_t cpus = 1024; cpus <= 1 << 20; cpus *= 4) {
        cpu_set_t *const set = CPU_ALLOC(cpus);
        if (set == NULL) return 0;
        const size_t bytes = CPU_ALLOC_SIZE(cpus);
        const bool ok = sched_getaffinity(0, bytes, set) == 0;
        const int n = ok ? CPU_COUNT_S(bytes, set) : 0;
        CPU_FREE(set);
        if (ok) return n;
    }
    return 0;
}

void weft_cpu_query(struct weft_cpu_info *o) {
    memset(o, 0, sizeof *o);
    cpu_model(o->model, sizeof o->model);
    caches(o);
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    o->cores_online = online > 0 ? (int)online : 1;
    const int team = weft_team_cpus();
    o->cpuset = affinity_count();
    if (team > o->cpuset && team <= o->cores_online) o->cpuset = team;
    o->quota = cgroup_quota();
    int allowed = o->cpuset > 0 ? o->cpuset : o->cores_online;
    if (o->quota > 0 && o->quota < allowed) allowed = o->quota < 1 ? 1 : (int)(o->quota + 0.5);
    o->cores_allowed = allowed < 1 ? 1 : allowed > WEFT_MAX_THREADS ? WEFT_MAX_THREADS : allowed;
    const struct weft_kernels *table[7];
    const size_t n = weft_tables(table, 7);
    for (size_t i = 0, can = 0; i < n; i++) {
        o->isas_built[i] = table[i]->isa;
        if (weft_cpu_can(table[i]->isa)) o->isas[can++] = table[i]->isa;
    }
}
