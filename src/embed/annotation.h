/*
** annotation.h -- genes as the sets they are in: membership weighted by how
** rare a set is (TF-IDF), its cosine, and coordinates from its truncated
** singular value decomposition.
*/
#ifndef DYN_ANNOTATION_H
#define DYN_ANNOTATION_H

#include "core/sparse.h"

/* nset sets: the genes of set s are gene[start[s] .. start[s+1]-1], ids below
** ngene, -1 for one that is not wanted; repeats do not count. */
typedef struct dyn_gene_sets {
  int64_t nset;
  const int64_t *start;
  const int32_t *gene;
  int32_t ngene;
  const unsigned char *counted; /* genes that count for sizes; NULL: all */
  int32_t least, most;          /* sizes of the sets that are used */
} dyn_gene_sets;

/*
** r (ngene, kept sets): idf of the set where the gene is a member, rows scaled
** to length 1; idf (kept sets) of double = ln(1 + N / (1 + df)), N counted genes,
** df of them in the set; kept[0 .. nset-1] receives the numbers of the sets that
** were used, least <= df <= most, in their order. A gene in none is a row
** without entries. Time O(members).
*/
DYN_STATUS dyn_membership(dyn_csr *r, dyn_tensor *idf, int32_t *kept,
                          const dyn_gene_sets *x, dyn_err *e);
/*
** r (na, nb) of double: cosines of rows a[] and b[] of s; -1 stands for a row of
** zeros, whose cosine is 0. With 'weight' (one per column) every entry counts
** as that. Sums in double. Time O(na nb nnz per row).
*/
DYN_STATUS dyn_sparse_cosine(dyn_tensor *r, const dyn_csr *s, const int64_t *a,
                             ptrdiff_t na, const int64_t *b, ptrdiff_t nb,
                             const double *weight, dyn_err *e);
/*
** Coordinates U S (nrow, k) of the k largest singular values s (k), not centred,
** of double; the largest |component| of each column is positive. Exact for a
** smaller side of up to 800; else from a Krylov space of a'a or a a' with k (1 +
** power / 4) vectors (Musco and Musco, NIPS 2015), in float, and a Rayleigh-Ritz
** step in double. DYN_EVALUE: k above the smaller side. Same bytes for any number
** of threads. Time O((nnz + side vectors) vectors), memory side x vectors floats.
*/
DYN_STATUS dyn_sparse_svd(dyn_tensor *u, dyn_tensor *s, const dyn_csr *a, int k,
                          int power, uint64_t seed, const dyn_poll *poll,
                          dyn_err *e);

#endif
