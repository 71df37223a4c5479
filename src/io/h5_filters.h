/*
** h5_filters.h -- decoders for chunks that libhdf5 cannot unpack itself, or
** not fast enough. Buffer in, buffer out; no HDF5 here.
*/
#ifndef DYN_H5_FILTERS_H
#define DYN_H5_FILTERS_H

#include "core/base.h"

/*
** Each writes at most 'room' bytes and returns how many, or 0 if the stream is
** damaged or wants more. LZF as h5py writes it (filter 32000); zstd one frame
** (32015); deflate with the zlib header (1).
*/
size_t dyn_lzf(unsigned char *out, size_t room, const unsigned char *in,
               size_t n);
size_t dyn_unzstd(void *out, size_t room, const void *in, size_t n);
/* Inflating, with memory that is made once; NULL if there is none. */
void *dyn_inflater_new(void);
size_t dyn_inflater_run(void *z, void *out, size_t room, const void *in,
                        size_t n);
void dyn_inflater_free(void *z); /* NULL is fine */
/* Undo filter 2: byte j of all items, then byte j + 1; the rest as it is. */
void dyn_unshuffle(unsigned char *out, const unsigned char *in, size_t n,
                   size_t item);
/* Filter 3: the sum of HDF5 over n bytes, as stored behind a chunk. */
uint32_t dyn_fletcher32(const unsigned char *p, size_t n);

#endif
