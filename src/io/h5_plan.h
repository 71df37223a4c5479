/*
** h5_plan.h -- where the numbers of a dataset lie in its file and how they are
** packed, so that they can be read without the HDF5 library: in parallel, and
** beside whatever the library does. A plan has its own file descriptor.
*/
#ifndef DYN_H5_PLAN_H
#define DYN_H5_PLAN_H

#include "io/h5.h"

typedef struct dyn_h5_plan dyn_h5_plan;

/*
** Plan for rows lo .. lo+n-1 (n < 0: all) of a vector or matrix of numbers. *p stays NULL, with DYN_OK, for what
** only the library can read: filters and types of other machines, more than two
** dimensions. DYN_EFORMAT: not numbers, damaged; DYN_ENOMEM. Time O(chunks log chunks),
** memory 16 bytes per chunk.
*/
DYN_STATUS dyn_h5_plan_open(dyn_h5_plan **p, dyn_h5 *f, const char *path,
                            int64_t lo, int64_t n, dyn_err *e);
void dyn_h5_plan_free(dyn_h5_plan *p); /* NULL is fine */

/*
** Rows lo .. lo+n-1, all columns, as dyn_h5_read converts them, on 'threads'
** threads (1: none besides the caller's). DYN_EFORMAT: damaged; DYN_ETYPE:
** floats as integers; DYN_ENOMEM; nothing is known about 'out' then. One plan
** may be read from several threads. Scratch memory: three chunks per thread.
*/
DYN_STATUS dyn_h5_plan_read(const dyn_h5_plan *p, dyn_h5_mem type, int64_t lo,
                            int64_t n, void *out, int threads);

#endif
