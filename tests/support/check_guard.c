/* The call of a kernel under guard: a fault becomes a report that names the kernel and the operand,
 * and the floating-point environment and errno must be as before. */
#include <errno.h>
#include <fenv.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include "tests/support/check_state.h"

static sigjmp_buf escape;
static volatile sig_atomic_t armed;
static void *volatile fault_address;

static const int caught[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
enum { CAUGHT = sizeof caught / sizeof *caught };
static struct sigaction before[CAUGHT];

static void on_signal(int number, siginfo_t *info, void *context) {
    (void)context;
    if (!armed) { /* not ours: the default action, once this returns */
        signal(number, SIG_DFL);
        return;
    }
    armed = 0;
    fault_address = info->si_addr;
    siglongjmp(escape, number);
}

void check_guard_install(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < CAUGHT; i++) sigaction(caught[i], &action, &before[i]);
}

void check_guard_remove(void) {
    for (size_t i = 0; i < CAUGHT; i++) sigaction(caught[i], &before[i], NULL);
}

/* Rounding, flush-to-zero and trap masks, without the sticky flags. */
static uint64_t control_bits(void) {
    fenv_t env;
    fegetenv(&env);
#if defined(__x86_64__)
    return (uint64_t)env.__control_word << 32 | (env.__mxcsr & ~0x3fu);
#elif defined(__aarch64__)
    return env.__fpcr;
#else
    return (uint64_t)fegetround();
#endif
}

static int guarded(struct check_run *r) {
    const int number = sigsetjmp(escape, 1);
    if (number == 0) {
        armed = 1;
        r->family->call(r->c, r->k);
        armed = 0;
    }
    return number;
}

static void report_fault(struct check_run *r, int number) {
    static const char *const names[] = {"SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE"};
    const char *name = "?";
    for (size_t i = 0; i < CAUGHT; i++)
        if (caught[i] == number) name = names[i];
    const struct check_state *s = r->c->state;
    const unsigned char *p = fault_address;
    for (size_t i = 0; i < s->args && number != SIGILL; i++) {
        const struct gbuf *g = &s->buf[i];
        const struct check_arg *a = &s->arg[i];
        if (p < g->map || p >= g->map + g->map_bytes) continue;
        const unsigned char *base = a->ptr;
        const unsigned char *end = base + check_extent(a);
        if (p < base)
            check_fail(r, "%s: touched %s %zu bytes before its start", name, a->name,
                       (size_t)(base - p));
        else if (p >= end)
            check_fail(r, "%s: touched %s %zu bytes past its end", name, a->name,
                       (size_t)(p - end) + 1);
        else
            check_fail(r, "%s: wrote to the input %s at byte %zu", name, a->name,
                       (size_t)(p - base));
        return;
    }
    check_fail(r, "%s at address %p, in no operand", name, fault_address);
}

bool check_guarded_call(struct check_run *r) {
    fenv_t env;
    fegetenv(&env);
    const uint64_t control = control_bits();
    errno = 0;
    const int number = guarded(r);
    const int error = errno;
    const uint64_t after = control_bits();
    fesetenv(&env);
    if (number != 0)
        report_fault(r, number);
    else if (after != control)
        check_fail(r, "changed the floating-point environment (%#llx, was %#llx)",
                   (unsigned long long)after, (unsigned long long)control);
    else if (error != 0)
        check_fail(r, "changed errno to %d", error);
    else
        return true;
    return false;
}
