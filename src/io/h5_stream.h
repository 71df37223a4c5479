/*
** h5_stream.h -- a matrix too large for memory, shard by shard: some thousand
** cells at a time, in any order, read and unpacked ahead by a thread of its own.
** That thread does not call HDF5, so the library is free for others.
*/
#ifndef DYN_H5_STREAM_H
#define DYN_H5_STREAM_H

#include "io/h5ad.h"

typedef struct dyn_h5_stream dyn_h5_stream;

/* What a stream has cost so far. */
typedef struct dyn_stream_cost {
  double waited; /* seconds that dyn_h5_stream_next had nothing to give */
  double busy;   /* seconds that the reading thread worked */
  int64_t shards, entries;
} dyn_stream_cost;

/*
** A stream of X (name NULL), a layer, or raw/X ("raw") of an open file, which may
** be closed then. 'memory' bytes (0: 256 MiB) bound what is held at a time: the
** shard that was given and three ahead; it decides how many cells are in one.
** DYN_EFORMAT: what dyn_h5ad_matrix finds wrong; stored by genes (CSC, loom), by
** filters or types that only HDF5 reads; one cell needs more than 'memory'.
** Memory for good: 8 bytes per cell.
*/
DYN_STATUS dyn_h5_stream_open(dyn_h5_stream **s, dyn_h5ad *a, const char *name,
                              size_t memory, dyn_err *e);
void dyn_h5_stream_close(dyn_h5_stream *s); /* NULL is fine */

int64_t dyn_h5_stream_size(const dyn_h5_stream *s, int axis); /* 0: cells */
int64_t dyn_h5_stream_shard(const dyn_h5_stream *s); /* cells in a shard */
int64_t dyn_h5_stream_shards(const dyn_h5_stream *s);

/*
** Begin a pass through the n shards 'order' (from 0; copied; NULL: all of them),
** unpacked on 'threads' threads. One that was under way is given up.
** DYN_EVALUE: no such shard; DYN_ENOMEM, DYN_EIO: no thread.
*/
DYN_STATUS dyn_h5_stream_start(dyn_h5_stream *s, const int64_t *order,
                               int64_t n, int threads, dyn_err *e);
/*
** The next shard of the pass, which is the caller's: 'm' as dyn_h5ad_matrix
** gives it, with its summary, and its first cell; *first is -1 at the end.
** DYN_EFORMAT: indices out of order, repeated or outside, damaged.
*/
DYN_STATUS dyn_h5_stream_next(dyn_h5_stream *s, dyn_matrix *m, int64_t *first,
                              dyn_err *e);
dyn_stream_cost dyn_h5_stream_cost(const dyn_h5_stream *s);

#endif
