// Counts heap allocations of the program it is preloaded into, in the file $ALLOCATIONS names:
// three numbers of 64 bits, which a reader may look at while the program runs: calls, their bytes, and
// how many of the calls came from the program itself and not from one of its libraries.
//
//   cc -shared -fPIC -o allocations.so allocations.c
//   ALLOCATIONS=FILE LD_PRELOAD=./allocations.so PROGRAM
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <link.h>
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
    _Atomic uint64_t calls, bytes, own_calls;
};
static struct counts before_start, *counts = &before_start;

// Where the code of the program is.
static uintptr_t code_start, code_end;

// The program is the first object of all.
static int note_code(struct dl_phdr_info *object, size_t size, void *unused) {
    (void)size, (void)unused;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || !(part->p_flags & PF_X)) continue;
        code_start = object->dlpi_addr + part->p_vaddr;
        code_end = code_start + part->p_memsz;
    }
    return 1;
}

__attribute__((constructor)) static void start(void) {
    dl_iterate_phdr(note_code, 0);
    const char *name = getenv("ALLOCATIONS");
    int fd = name ? open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd < 0 || ftruncate(fd, sizeof *counts)) return;
    void *shared = mmap(0, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared != MAP_FAILED) counts = shared;
    close(fd);
}

static void *counted(void *made, size_t size, void *caller) {
    atomic_fetch_add_explicit(&counts->calls, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&counts->bytes, size, memory_order_relaxed);
    if ((uintptr_t)caller - code_start < code_end - code_start)
        atomic_fetch_add_explicit(&counts->own_calls, 1, memory_order_relaxed);
    return made;
}

#define CALLER __builtin_return_address(0)

void *malloc(size_t size) { return counted(__libc_malloc(size), size, CALLER); }
void *calloc(size_t n, size_t size) { return counted(__libc_calloc(n, size), n * size, CALLER); }
void *realloc(void *old, size_t size) { return counted(__libc_realloc(old, size), size, CALLER); }
void *memalign(size_t to, size_t size) {
    return counted(__libc_memalign(to, size), size, CALLER);
}
void *aligned_alloc(size_t to, size_t size) {
    return counted(__libc_memalign(to, size), size, CALLER);
}

int posix_memalign(void **made, size_t to, size_t size) {
    *made = counted(__libc_memalign(to, size), size, CALLER);
    return *made ? 0 : ENOMEM;
}
