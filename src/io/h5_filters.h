/*
** h5_filters.h -- decoders for chunks that libhdf5 cannot unpack itself, or
** not fast enough. Buffer in, buffer out; no HDF5 here.
*/
#ifndef DYN_H5_FILTERS_H
#define DYN_H5_FILTERS_H

#include "core/base.h"

/* Numbers of HDF5's filters. */
enum {
  DYN_FILTER_DEFLATE = 1,
  DYN_FILTER_SHUFFLE = 2,
  DYN_FILTER_FLETCHER32 = 3,
  DYN_FILTER_LZF = 32000,
  DYN_FILTER_LZ4 = 32004,
  DYN_FILTER_BITSHUFFLE = 32008,
  DYN_FILTER_ZSTD = 32015
};
bool dyn_unpacks(int id); /* whether there is a decoder here */

/*
** Each writes at most 'room' bytes and returns how many, or 0 if the stream is
** damaged or wants more. LZF as h5py writes it (filter 32000); LZ4 a block
** (github.com/lz4/lz4, lz4_Block_format.md); zstd one frame (32015); deflate
** with the zlib header (1).
*/
size_t dyn_lzf(unsigned char *out, size_t room, const unsigned char *in,
               size_t n);
size_t dyn_unlz4(unsigned char *out, size_t room, const unsigned char *in,
                 size_t n);
size_t dyn_unzstd(void *out, size_t room, const void *in, size_t n);
/*
** Filter 32008: bits of 'item' byte numbers in planes, in blocks, each packed
** by LZ4, by zstd, or not (Masui et al., Astronomy and Computing 12, 2015).
** 'param' are the numbers of the filter: version (2), item, numbers in a block
** or 0, codec.
*/
size_t dyn_unbitshuffle(unsigned char *out, size_t room,
                        const unsigned char *in, size_t n,
                        const unsigned *param, size_t nparam);
/* Undo LZF, LZ4, zstd or bitshuffle as HDF5 stores a chunk. */
size_t dyn_unpack(int id, const unsigned *param, size_t nparam, void *out,
                  size_t room, const void *in, size_t n);
/* Inflating, with memory that is made once; NULL if there is none. */
void *dyn_inflater_new(void);
size_t dyn_inflater_run(void *z, void *out, size_t room, const void *in,
                        size_t n);
void dyn_inflater_free(void *z); /* NULL is fine */
/* Filter 2: byte 0 of all items, byte 1, ..., the rest as it is; and undone. */
void dyn_shuffle(unsigned char *out, const unsigned char *in, size_t n,
                 size_t item);
void dyn_unshuffle(unsigned char *out, const unsigned char *in, size_t n,
                   size_t item);
/* Filter 3: the sum of HDF5 over n bytes, as stored behind a chunk. */
uint32_t dyn_fletcher32(const unsigned char *p, size_t n);

#endif
