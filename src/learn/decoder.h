/*
** decoder.h -- gene_decoder: what GEARS does for every gene of every cell, in one operation.
**
**   h = relu(norm0(base_g + s_b))     d numbers for gene g of cell b
**   u = relu(norm1(h w1))             m
**   o = norm2(u w2)                   q
**   r_bg = o . w_g + c_g              r (B, G)
**
** base (blocks, G, d): cell b has block b, the cells after the last block share
** it. norm0..2 are batch normalisations over all B G rows (scale, shift, eps =
** attr.value); a bias of the layers before them would cancel, so there is none.
**
** Why one operation: of the B G rows only u's and o's products are kept, h and
** its gradient live in the cache, and norm0 needs the sums over base and s
** alone, since a sum over all pairs is a product of sums. Rows are stored by
** tiles of genes, so that a tile's gradient of base is added up by one thread in
** the order of the cells: the bits do not depend on the number of threads.
** Memory: B G (m + q), backward B G m more. Time: 6 B G (d m + m q).
**
** Private to learn/.
*/
#ifndef DYN_DECODER_H
#define DYN_DECODER_H

#include "core/linalg.h"
#include "learn/norm.h"
#include "learn/op.h"

enum {
  BASE,
  CELL,
  SCALE0,
  SHIFT0,
  W1,
  SCALE1,
  SHIFT1,
  W2,
  SCALE2,
  SHIFT2,
  READ,
  OFFSET,
  NIN
};

enum {
  TILE = 64,  /* genes */
  CHUNK = 512 /* rows that are in the cache at once */
};

/* Sizes, and where things are. Scratch is per lane: one lane per thread. */
typedef struct dyn_decoder {
  dyn_type type;
  ptrdiff_t es;                   /* bytes of an element */
  ptrdiff_t cells, genes, blocks; /* B, G */
  ptrdiff_t d, m, q, tiles, lanes;
  double n, eps; /* rows that are normalised over */
  const dyn_tensor *in[NIN];
  const dyn_norm_kernels *k;
  char *z1, *z2;
  double *mean[3], *var[3];
} dyn_decoder;

/* The operands of y, checked. */
DYN_STATUS dyn_decoder_plan(dyn_decoder *p, dyn_tape *t, dyn_node *y,
                            dyn_err *e);
/* Where forward's statistics and products are. */
void dyn_decoder_place(dyn_decoder *p, dyn_node *y);

static inline ptrdiff_t height(const dyn_decoder *p, ptrdiff_t tile) {
  ptrdiff_t left = p->genes - tile * TILE;
  return left < TILE ? left : TILE;
}

/* Row of the products for the first gene of a tile in cell b. */
static inline ptrdiff_t place_of(const dyn_decoder *p, ptrdiff_t tile,
                                 ptrdiff_t b) {
  return tile * TILE * p->cells + b * height(p, tile);
}

static inline ptrdiff_t cells_at_once(const dyn_decoder *p, ptrdiff_t tile) {
  ptrdiff_t n = CHUNK / height(p, tile);
  return n < p->cells ? n : p->cells;
}

static inline const char *at(const dyn_tensor *t, ptrdiff_t i) {
  return (const char *)t->data + i * (ptrdiff_t)dyn_type_size(t->type);
}

static inline const char *base_of(const dyn_decoder *p, ptrdiff_t tile,
                                  ptrdiff_t b) {
  ptrdiff_t block = b < p->blocks ? b : p->blocks - 1;
  return at(p->in[BASE], (block * p->genes + tile * TILE) * p->d);
}

/* Borrowed: memory as a dense matrix; nobody counts it. */
static inline dyn_tensor matrix(const dyn_decoder *p, const void *x,
                                ptrdiff_t n, ptrdiff_t m) {
  dyn_tensor t = {.data = (void *)(size_t)x, .type = p->type, .ndim = 2};
  t.size[0] = n, t.size[1] = m;
  t.stride[0] = m, t.stride[1] = 1;
  return t;
}

static inline dyn_tensor turned(dyn_tensor t) {
  ptrdiff_t n = t.size[0], s = t.stride[0];
  t.size[0] = t.size[1], t.stride[0] = t.stride[1];
  t.size[1] = n, t.stride[1] = s;
  return t;
}

/* c = a b (+ c). The operands are dense and fit: it cannot fail. */
static inline void product(dyn_tensor c, dyn_tensor a, dyn_tensor b, bool add) {
  dyn_status st = dyn_gemm_(&c, 1, &a, &b, add, NULL);
  assert(st == DYN_OK);
  (void)st;
}

/* h of 'count' cells from b on. */
static inline void enter(const dyn_decoder *p, const void *ac, ptrdiff_t tile,
                         ptrdiff_t b, ptrdiff_t count, char *h) {
  ptrdiff_t rows = height(p, tile);
  const char *a = ac, *c = a + p->d * p->es;
  for (ptrdiff_t i = 0; i < count; i++)
    p->k->enter(rows, p->d, base_of(p, tile, b + i),
                at(p->in[CELL], (b + i) * p->d), a, c,
                h + i * rows * p->d * p->es);
}

/* a and c of layer l, side by side. */
static inline void coefficients(const dyn_decoder *p, int l, ptrdiff_t m,
                                char *ac) {
  static const int scale[] = {SCALE0, SCALE1, SCALE2};
  dyn_norm_forward(p->type, m, p->mean[l], p->var[l], p->in[scale[l]],
                   p->in[scale[l] + 1], p->eps, ac, ac + m * p->es);
}

#endif
