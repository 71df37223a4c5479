/*
** array.h -- what npy, npz and safetensors share: numbers of every width in
** bytes of either order, arrays of numbers or strings, files that are written
** whole or not at all.
*/
#ifndef DYN_ARRAY_H
#define DYN_ARRAY_H

#include "core/tensor.h"
#include "io/textlist.h"

typedef enum dyn_item {
  DYN_ITEM_BOOL,
  DYN_ITEM_I8,
  DYN_ITEM_U8,
  DYN_ITEM_I16,
  DYN_ITEM_U16,
  DYN_ITEM_I32,
  DYN_ITEM_U32,
  DYN_ITEM_I64,
  DYN_ITEM_U64,
  DYN_ITEM_F16,
  DYN_ITEM_BF16,
  DYN_ITEM_F32,
  DYN_ITEM_F64,
  DYN_ITEMS
} dyn_item;

size_t dyn_item_size(dyn_item item); /* bytes */
/* The narrower of our types that holds every value (of 64 bits: nearest). */
dyn_type dyn_item_type(dyn_item item);
/* n items at 'src' (unaligned, big-endian if 'big') as numbers of 'type'. */
void dyn_items(void *dst, dyn_type type, const unsigned char *src,
               dyn_item item, bool big, size_t n);

typedef struct dyn_array { /* {0} is empty */
  bool is_text;
  dyn_tensor number;
  dyn_textlist text; /* row-major */
  int ndim;
  ptrdiff_t size[DYN_MAXDIM];
} dyn_array;

void dyn_array_free(dyn_array *a);

/* Unsigned, little-endian, of 'bytes' bytes (at most 8). */
uint64_t dyn_le(const unsigned char *p, int bytes);
void dyn_put_le(unsigned char *p, uint64_t v, int bytes);

typedef struct dyn_piece {
  const void *p;
  size_t n;
} dyn_piece;

/*
** The pieces, one after the other, as the file 'path': written beside it under
** another name, synced, renamed. DYN_EIO: what was there has not changed.
*/
DYN_STATUS dyn_save(const char *path, const dyn_piece *piece, size_t n,
                    dyn_err *e);

#endif
