/*
** npy.h -- NumPy's .npy and .npz files. Pickled objects are never loaded, a
** header is scanned and not evaluated, names of members are never paths.
*/
#ifndef DYN_NPY_H
#define DYN_NPY_H

#include "io/array.h"

/*
** An array from the bytes of a .npy file: booleans, integers, floats of 2, 4 or
** 8 bytes in either byte order, text (U and S), C or Fortran order, at most
** DYN_MAXDIM dimensions. 64-bit integers beyond 2^53 are rounded. What it needs
** is at most 'limit' bytes. DYN_EFORMAT: "e.npy: shape (20000, 128) needs
** 10240000 bytes, the file has 10239488". 'a' stays empty on failure.
*/
DYN_STATUS dyn_npy_parse(dyn_array *a, const char *file, const char *bytes,
                         size_t n, size_t limit, dyn_err *e);
/* The same for a file, gzip or zstd undone; 'limit' 0: dyn_text_limit(). */
DYN_STATUS dyn_npy_read(dyn_array *a, const char *path, size_t limit,
                        dyn_err *e);
/* Version 1.0, <f4 or <f8 (text: <U), C order. Same content, same bytes. */
DYN_STATUS dyn_npy_write(const char *path, const dyn_array *a, dyn_err *e);

typedef struct dyn_npz { /* {0} is empty */
  dyn_textlist name;     /* without ".npy" */
  dyn_array *item;       /* name.n of them */
  size_t room;
} dyn_npz;

void dyn_npz_free(dyn_npz *z);
/*
** All arrays of a zip archive: stored or deflated, zip64 allowed, sizes from
** the central directory, checksums checked; members that are no .npy are left
** out. DYN_EFORMAT: "e.npz: member 'x.npy' is damaged", a name twice, an
** encrypted member, no array.
*/
DYN_STATUS dyn_npz_parse(dyn_npz *z, const char *file, const char *bytes,
                         size_t n, size_t limit, dyn_err *e);
DYN_STATUS dyn_npz_read(dyn_npz *z, const char *path, size_t limit, dyn_err *e);
/*
** Stored, not deflated, without dates: same content, same bytes. DYN_EVALUE:
** over 4 GiB, over 65,535 arrays, a name that is empty, twice, or has a slash.
*/
DYN_STATUS dyn_npz_write(const char *path, const dyn_npz *z, dyn_err *e);

#endif
