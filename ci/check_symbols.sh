#!/bin/sh
# usage: ci/check_symbols.sh [BUILD] [NM]    (default build/release, nm)
# What the library takes from outside: only what is listed here. No function of libm but the exactly
# rounded ones, because the others give other bits on other machines; nothing but memory moves in
# kernels; and no data with external linkage that could be written to in kernels.
set -u
build=${1:-build/release}
nm=${2:-nm}
bad=0

kernels='memcpy memmove memset memcmp fma fmaf sqrt sqrtf'
memory='malloc calloc realloc free aligned_alloc posix_memalign memchr mmap munmap madvise mprotect'
text='strlen strcmp strncmp strchr strrchr strstr strspn strcspn strdup strtok_r strtol strtoul
strtoll strtoull strtod snprintf vsnprintf sscanf __isoc99_sscanf __ctype_b_loc __ctype_tolower_loc
bsearch qsort strerror __errno_location'
files='fopen fclose fread fwrite fgets fscanf __isoc99_fscanf feof ferror fseek ftell fflush
opendir readdir closedir open close read'
system='getenv secure_getenv sysconf syscall getpid sched_getaffinity sched_setaffinity sched_yield __sched_cpualloc
__sched_cpucount __sched_cpufree clock_gettime nanosleep getauxval __getauxval
__cpu_model __cpu_indicator_init'
threads='pthread_create pthread_join pthread_mutex_lock pthread_mutex_unlock
GOMP_parallel GOMP_barrier omp_get_num_threads omp_get_thread_num omp_get_max_threads
omp_set_num_threads omp_get_num_procs omp_set_dynamic omp_in_parallel'
compiler='_GLOBAL_OFFSET_TABLE_ __tls_get_addr __stack_chk_fail __stack_chk_guard __assert_fail
__aarch64_ldadd4_acq_rel __aarch64_ldadd8_acq_rel __aarch64_ldadd4_relax __aarch64_ldadd8_relax
__aarch64_cas4_acq_rel __aarch64_swp4_acq_rel'

# scan TARGET ALLOWED: undefined symbols of its objects that are neither weft's own nor allowed.
scan() {
    objects=$(find "$build/CMakeFiles/$1.dir" -name '*.o' 2>/dev/null)
    [ -n "$objects" ] || return 0
    seen=$((seen + 1))
    # shellcheck disable=SC2086  # a list of files
    hits=$($nm -A -u $objects | awk -v allowed="$2" '
        BEGIN { n = split(allowed, a); for (i = 1; i <= n; i++) ok[a[i]] = 1 }
        $NF !~ /^weft_/ && !($NF in ok) { file = $1; sub(/:$/, "", file); sub(/.*\//, "", file)
            print "  " $NF " in " file }')
    [ -z "$hits" ] && return 0
    bad=1
    echo "$1 needs symbols that are not allowed (ci/check_symbols.sh lists those that are):"
    printf '%s\n' "$hits" | sort -u
}

# no_state TARGET: no writable data.
no_state() {
    objects=$(find "$build/CMakeFiles/$1.dir" -name '*.o' 2>/dev/null)
    [ -n "$objects" ] || return 0
    # The section tells: .data.rel.ro (tables of functions) is constant once loaded.
    # shellcheck disable=SC2086
    hits=$($nm -f sysv $objects | awk -F'|' '{ gsub(/ /, "") }
        $7 ~ /^\.t?(data|bss)/ && $7 !~ /^\.data\.rel\.ro/ || $3 ~ /^C$/ { print "  " $1 }')
    [ -z "$hits" ] && return 0
    bad=1
    echo "$1 has writable state:"
    printf '%s\n' "$hits"
}

seen=0
for isa in emu avx2 avx512 neon; do
    for type in f32 bf16; do
        scan "weft_${isa}_$type" "$kernels $compiler"
        no_state "weft_${isa}_$type"
    done
done
for isa in avx512bf16 neonbf16; do
    scan "weft_$isa" "$kernels $compiler"
    no_state "weft_$isa"
done
scan weft_core "$kernels $memory $text $files $system $threads $compiler"
if [ "$seen" -eq 0 ]; then
    echo "check_symbols: no objects in $build" >&2
    exit 1
fi
[ "$bad" -eq 0 ] && echo "symbols: $seen object libraries, nothing from outside but what is listed"
exit "$bad"
