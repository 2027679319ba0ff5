// Counts heap allocations of the program it is preloaded into, in the file $ALLOCATIONS names:
// two numbers of 64 bits, calls and bytes, which a reader may look at while the program runs.
//
//   cc -shared -fPIC -o allocations.so allocations.c
//   ALLOCATIONS=FILE LD_PRELOAD=./allocations.so PROGRAM
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

// glibc's own names of what is replaced here; asking dlsym() for them would allocate.
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

struct counts {
    _Atomic uint64_t calls, bytes;
};
static struct counts before_start, *counts = &before_start;

__attribute__((constructor)) static void start(void) {
    const char *name = getenv("ALLOCATIONS");
    int fd = name ? open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd < 0 || ftruncate(fd, sizeof *counts)) return;
    void *shared = mmap(0, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared != MAP_FAILED) counts = shared;
    close(fd);
}

static void *counted(void *made, size_t size) {
    atomic_fetch_add_explicit(&counts->calls, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&counts->bytes, size, memory_order_relaxed);
    return made;
}

void *malloc(size_t size) { return counted(__libc_malloc(size), size); }
void *calloc(size_t n, size_t size) { return counted(__libc_calloc(n, size), n * size); }
void *realloc(void *old, size_t size) { return counted(__libc_realloc(old, size), size); }
void *memalign(size_t to, size_t size) { return counted(__libc_memalign(to, size), size); }
void *aligned_alloc(size_t to, size_t size) { return memalign(to, size); }

int posix_memalign(void **made, size_t to, size_t size) {
    *made = memalign(to, size);
    return *made ? 0 : ENOMEM;
}
