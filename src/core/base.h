/*
** base.h -- status codes, error record, memory, polling. Every file of the
** library includes it.
*/
#ifndef DYN_BASE_H
#define DYN_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum dyn_status {
  DYN_OK = 0,
  DYN_ENOMEM = -1,  /* allocation failed */
  DYN_ESHAPE = -2,  /* sizes do not agree */
  DYN_ETYPE = -3,   /* element types do not agree */
  DYN_EVALUE = -4,  /* argument outside its domain */
  DYN_EIO = -5,     /* a file, or the library that reads it, failed */
  DYN_ENOCONV = -6, /* iteration limit reached */
  DYN_ECANCEL = -7, /* the caller's poll function asked us to stop */
  DYN_EFORMAT = -8  /* a file can be read, but what it says is wrong */
} dyn_status;

/* A loop that is compiled for wider registers as well; the processor's are chosen
** when the library is loaded. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define DYN_WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define DYN_WIDE
#endif

/* The return type in prototypes: a status that nobody looks at is a warning. */
#define DYN_STATUS __attribute__((warn_unused_result)) dyn_status

typedef struct dyn_err {
  char msg[512];
} dyn_err;

/* Record a message in 'e' (which may be NULL) and return 'st'. */
__attribute__((format(printf, 3, 4))) DYN_STATUS
dyn_fail(dyn_err *e, dyn_status st, const char *fmt, ...);

/* In a function with a local 'st' and a label 'done'. */
#define DYN_TRY(call)                       \
  do {                                      \
    if ((st = (call)) != DYN_OK) goto done; \
  } while (0)

/* "ENOMEM", "EFORMAT", ...: the code that Lua sees. */
const char *dyn_status_name(dyn_status st);

/* Zeroed, 64-byte aligned; NULL when n * size overflows or memory is out. */
void *dyn_alloc(size_t n, size_t size);
/* The same without the zeros: for what is overwritten at once. */
void *dyn_alloc_raw(size_t n, size_t size);
void dyn_free(void *p, size_t n, size_t size);
size_t dyn_live(void); /* bytes now held through dyn_alloc */
/* Allocations that would bring dyn_live() above 'bytes' fail; 0: no limit. What
** other libraries take (BLAS, HDF5, Lua itself) is not counted. */
void dyn_set_memory_limit(size_t bytes);
size_t dyn_memory_limit(void);
extern long dyn_fail_after; /* tests: allocations until failure; <0 never */

/*
** Asked now and then by long computations, with the work done and the whole;
** nonzero means stop. Never called from a parallel region.
*/
typedef struct dyn_poll {
  int (*fn)(void *ud, int64_t done, int64_t total);
  void *ud;
} dyn_poll;

static inline bool dyn_stop(const dyn_poll *p, int64_t done, int64_t total) {
  return p && p->fn(p->ud, done, total) != 0;
}

#endif
