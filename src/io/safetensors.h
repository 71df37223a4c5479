/*
** safetensors.h -- safetensors files: a JSON header, then tensors. Nothing in
** them can run; the header is scanned by a bounded scanner of our own, and a
** tensor is read when it is asked for.
*/
#ifndef DYN_SAFETENSORS_H
#define DYN_SAFETENSORS_H

#include "core/names.h"
#include "io/array.h"

typedef struct dyn_safe_entry {
  dyn_item item;
  int ndim;
  ptrdiff_t size[DYN_MAXDIM];
  uint64_t begin, end; /* bytes, from the start of the buffer */
} dyn_safe_entry;

typedef struct dyn_safetensors { /* {0} is empty */
  dyn_names name;                /* of the tensors, in the order of the file */
  dyn_safe_entry *entry;         /* name.n of them */
  int64_t room;
  dyn_textlist key, value; /* of __metadata__ */
  uint64_t start;          /* of the buffer, in the file */
} dyn_safetensors;

void dyn_safetensors_free(dyn_safetensors *s);
/*
** The header of a file of 'whole' bytes, of which the first n are at 'bytes'
** (the header at least). Checked: its size, grammar, depth, names twice, types,
** shapes against bytes, no overlap, no gap, nothing after the last tensor.
** DYN_EFORMAT: "tensor 'w': shape 2x3 F32 needs 24 bytes, has 16". 's' must be
** empty and stays so on failure. O(n log n).
*/
DYN_STATUS dyn_safetensors_parse(dyn_safetensors *s, const char *file,
                                 const char *bytes, size_t n, uint64_t whole,
                                 dyn_err *e);
/* The header of a file. */
DYN_STATUS dyn_safetensors_open(dyn_safetensors *s, const char *path,
                                dyn_err *e);
/*
** Tensor i of the file, in the narrower of our types that holds it; at most
** 'limit' bytes (0: dyn_text_limit()). It is read in pieces, not mapped: a file
** that shrinks meanwhile is an error and no signal. DYN_EIO, DYN_EFORMAT.
*/
DYN_STATUS dyn_safetensors_read(const dyn_safetensors *s, const char *path,
                                int32_t i, size_t limit, dyn_tensor *t,
                                dyn_err *e);
/*
** Write n tensors (F32, F64) with metadata (lists of equal length, may be
** NULL), in the order given. Same content, same bytes. DYN_EVALUE: names that
** are empty, twice, not UTF-8, or "__metadata__"; DYN_EIO.
*/
DYN_STATUS dyn_safetensors_write(const char *path, const dyn_textlist *name,
                                 const dyn_tensor *const *tensor,
                                 const dyn_textlist *key,
                                 const dyn_textlist *value, dyn_err *e);

/* "F32", "BF16", ...: as in the file. */
const char *dyn_item_name(dyn_item item);

#endif
