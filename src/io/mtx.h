/*
** mtx.h -- MatrixMarket text, as 10x folders have it (matrix.mtx).
*/
#ifndef DYN_MTX_H
#define DYN_MTX_H

#include "core/sparse.h"

/*
** A matrix from the text of a MatrixMarket file: coordinate (integer, real or
** pattern; general or symmetric, whose entries are mirrored) or array. Repeated
** places add up. With 'trans' the result is (columns, rows): cells x genes of
** 10x, whose rows are features. What it needs is at most 'limit' bytes.
** DYN_EFORMAT: "line 40: row 33695 outside 1..33694", "header says 2938
** entries, found 2900 (truncated?)", "'complex hermitian' is not supported".
** 's' must be empty and stays so on failure. O(n) time.
*/
DYN_STATUS dyn_mtx_parse(dyn_csr *s, const char *file, const char *text,
                         size_t n, bool trans, size_t limit,
                         const dyn_poll *poll, dyn_err *e);

#endif
