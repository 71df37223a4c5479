/* The backward pass of gene_decoder. */
#include <string.h>

#include "learn/decoder.h"

/* What a backward pass has at hand beside the plan. */
typedef struct pass {
  dyn_decoder p;
  const char *g;       /* gradient of r */
  char *ac[3];         /* coefficients of the norms, */
  char *pqt;           /* and of the derivative of one of them */
  char *du;            /* (B G, m), in the order of the tiles */
  char *rows;          /* lanes of CHUNK rows of two matrices */
  ptrdiff_t width;     /* bytes of a row of both */
  double *sums;        /* per tile 2 max(m, q) */
  double *by_gene;     /* (lanes, TILE, q), then (blocks, G, d) */
  double *by_cell;     /* (tiles, B, d) */
  char *dw;            /* per tile (m, q), then (d, m) */
  char *read, *offset; /* gradients of READ and OFFSET */
} pass;

static const char *gradient_at(const pass *s, ptrdiff_t tile, ptrdiff_t b) {
  return s->g + (b * s->p.genes + tile * TILE) * s->p.es;
}

static void put(dyn_type type, char *x, ptrdiff_t i, double v) {
  if (type == DYN_F32)
    ((float *)(void *)x)[i] = (float)v;
  else
    ((double *)(void *)x)[i] = v;
}

/* Gradients of READ and OFFSET, and the sums that norm2 needs. */
static void unread(const pass *s, ptrdiff_t tile, ptrdiff_t lane) {
  const dyn_decoder *p = &s->p;
  ptrdiff_t rows = height(p, tile), first_gene = tile * TILE;
  double *dw = s->by_gene + lane * TILE * p->q,
         *sum = s->sums + tile * 2 * p->q;
  memset(dw, 0, (size_t)(rows * p->q) * sizeof *dw);
  for (ptrdiff_t b = 0; b < p->cells; b++)
    p->k->undots(rows, p->q, gradient_at(s, tile, b),
                 p->z2 + place_of(p, tile, b) * p->q * p->es, s->ac[2],
                 s->ac[2] + p->q * p->es, at(p->in[READ], first_gene * p->q),
                 dw, sum, sum + p->q);
  for (ptrdiff_t i = 0; i < rows * p->q; i++)
    put(p->type, s->read, first_gene * p->q + i, dw[i]);
  for (ptrdiff_t i = 0; i < rows; i++) {
    double all = 0;
    for (ptrdiff_t b = 0; b < p->cells; b++) {
      const char *g = gradient_at(s, tile, b);
      all += p->type == DYN_F32 ? (double)((const float *)(const void *)g)[i]
                                : ((const double *)(const void *)g)[i];
    }
    put(p->type, s->offset, first_gene + i, all);
  }
}

/* Gradients of W2 and of u, and the sums that norm1 needs. */
static void unsecond(const pass *s, ptrdiff_t tile, ptrdiff_t lane) {
  const dyn_decoder *p = &s->p;
  ptrdiff_t step = cells_at_once(p, tile), rows = height(p, tile), m = p->m,
            q = p->q;
  char *dz = s->rows + lane * CHUNK * s->width, *u = dz + CHUNK * q * p->es;
  const char *a = s->ac[1], *c = a + m * p->es, *by = s->pqt;
  double *sum = s->sums + tile * 2 * m;
  dyn_tensor dw = matrix(p, s->dw + tile * m * q * p->es, m, q);
  for (ptrdiff_t b = 0; b < p->cells; b += step) {
    ptrdiff_t n = (p->cells - b < step ? p->cells - b : step) * rows;
    ptrdiff_t row = place_of(p, tile, b);
    const char *z1 = p->z1 + row * m * p->es;
    char *du = s->du + row * m * p->es;
    for (ptrdiff_t i = 0; i < n / rows; i++)
      p->k->outer(rows, q, gradient_at(s, tile, b + i),
                  at(p->in[READ], tile * TILE * q),
                  p->z2 + (row + i * rows) * q * p->es, by, by + q * p->es,
                  by + 2 * q * p->es, dz + i * rows * q * p->es);
    p->k->normalise(n, m, z1, a, c, 0, u);
    product(dw, turned(matrix(p, u, n, m)), matrix(p, dz, n, q), b > 0);
    product(matrix(p, du, n, m), matrix(p, dz, n, q), turned(*p->in[W2]),
            false);
    p->k->unact(n, m, du, z1, a, c, 0, sum, sum + m);
  }
}

/* Gradients of W1, and of norm0's results by gene and by cell. */
static void unfirst(const pass *s, ptrdiff_t tile, ptrdiff_t lane) {
  const dyn_decoder *p = &s->p;
  ptrdiff_t step = cells_at_once(p, tile), rows = height(p, tile), m = p->m,
            d = p->d;
  char *h = s->rows + lane * CHUNK * s->width, *dh = h + CHUNK * d * p->es;
  const char *by = s->pqt;
  dyn_tensor dw = matrix(p, s->dw + tile * d * m * p->es, d, m);
  for (ptrdiff_t b = 0; b < p->cells; b += step) {
    ptrdiff_t count = p->cells - b < step ? p->cells - b : step;
    ptrdiff_t n = count * rows, row = place_of(p, tile, b);
    char *dz = s->du + row * m * p->es;
    p->k->spread(n, m, dz, p->z1 + row * m * p->es, NULL, by, by + m * p->es,
                 by + 2 * m * p->es, dz);
    enter(p, s->ac[0], tile, b, count, h);
    product(dw, turned(matrix(p, h, n, d)), matrix(p, dz, n, m), b > 0);
    product(matrix(p, dh, n, d), matrix(p, dz, n, m), turned(*p->in[W1]),
            false);
    for (ptrdiff_t i = 0; i < count; i++) {
      ptrdiff_t block = b + i < p->blocks ? b + i : p->blocks - 1;
      p->k->leave(rows, d, dh + i * rows * d * p->es, h + i * rows * d * p->es,
                  s->by_gene + (block * p->genes + tile * TILE) * d,
                  s->by_cell + (tile * p->cells + b + i) * d);
    }
  }
}

typedef void step(const pass *s, ptrdiff_t tile, ptrdiff_t lane);

static void over_tiles(const pass *s, step *f) {
#pragma omp parallel for schedule(static, 1)
  for (ptrdiff_t lane = 0; lane < s->p.lanes; lane++)
    for (ptrdiff_t t = lane; t < s->p.tiles; t += s->p.lanes) f(s, t, lane);
}

/* The sum over tiles, in order, of 'len' doubles or elements each. */
static void add_up(ptrdiff_t tiles, ptrdiff_t len, const double *x, double *r) {
  for (ptrdiff_t t = 0; t < tiles; t++)
    for (ptrdiff_t j = 0; j < len; j++) r[j] = x[t * len + j] + (t ? r[j] : 0);
}

static dyn_status flow_values(dyn_tape *t, dyn_node *y, int k, const double *v,
                              dyn_err *e) {
  dyn_tensor d = {0};
  const dyn_tensor *x = dyn_in(t, y, k);
  if (!dyn_wants(t, y, k)) return DYN_OK;
  dyn_status st = dyn_tensor_raw(&d, x->type, x->ndim, x->size, e);
  ptrdiff_t n = st == DYN_OK ? (ptrdiff_t)dyn_tensor_len(x) : 0;
  for (ptrdiff_t i = 0; i < n; i++) put(x->type, d.data, i, v[i]);
  return st != DYN_OK ? st : dyn_flow_move(t, y, k, &d, e);
}

/* dW from the tiles' parts. */
static dyn_status flow_weights(dyn_tape *t, dyn_node *y, const pass *s, int k,
                               double *room, dyn_err *e) {
  ptrdiff_t n = (ptrdiff_t)dyn_tensor_len(s->p.in[k]);
  for (ptrdiff_t j = 0; j < n; j++) room[j] = 0;
  for (ptrdiff_t i = 0; i < s->p.tiles; i++) {
    const char *part = s->dw + i * n * s->p.es;
    for (ptrdiff_t j = 0; j < n; j++)
      room[j] += s->p.type == DYN_F32
                     ? (double)((const float *)(const void *)part)[j]
                     : ((const double *)(const void *)part)[j];
  }
  return flow_values(t, y, k, room, e);
}

/* The derivative of norm l of m columns from its sums over all rows; gradients
** of its scale and shift. */
static dyn_status unnorm(dyn_tape *t, dyn_node *y, const pass *s, int l,
                         ptrdiff_t m, double *sum, dyn_err *e) {
  static const int scale[] = {SCALE0, SCALE1, SCALE2};
  const dyn_decoder *p = &s->p;
  dyn_norm_backward(p->type, m, p->n, p->mean[l], p->var[l], p->in[scale[l]],
                    p->eps, sum, sum + m, s->pqt, s->pqt + m * p->es,
                    s->pqt + 2 * m * p->es);
  dyn_status st = flow_values(t, y, scale[l], sum + m, e);
  return st != DYN_OK ? st : flow_values(t, y, scale[l] + 1, sum, e);
}

/* Sums over cells (by gene) and over genes (by cell) are all norm0 needs. */
static void base_sums(const pass *s, const double *by_cell, double *sum) {
  const dyn_decoder *p = &s->p;
  ptrdiff_t d = p->d, rows = p->blocks * p->genes;
  for (ptrdiff_t j = 0; j < 2 * d; j++) sum[j] = 0;
  for (ptrdiff_t b = 0; b < p->cells; b++)
    for (ptrdiff_t j = 0; j < d; j++) {
      double g = by_cell[b * d + j];
      sum[j] += g;
      sum[d + j] += g * dyn_tensor_get(p->in[CELL], b * d + j);
    }
  for (ptrdiff_t i = 0; i < rows; i++)
    for (ptrdiff_t j = 0; j < d; j++)
      sum[d + j] +=
          s->by_gene[i * d + j] * (p->type == DYN_F32
                                       ? (double)dyn_f32(p->in[BASE])[i * d + j]
                                       : dyn_f64(p->in[BASE])[i * d + j]);
}

/* The gradient of base: a row of a block stands for the cells that share it. */
static dyn_status flow_base(dyn_tape *t, dyn_node *y, const pass *s,
                            double *shift, dyn_err *e) {
  const dyn_decoder *p = &s->p;
  dyn_tensor g = {0};
  ptrdiff_t d = p->d;
  if (!dyn_wants(t, y, BASE)) return DYN_OK;
  dyn_status st = dyn_tensor_raw(&g, p->type, 3, p->in[BASE]->size, e);
  if (st != DYN_OK) return st;
  for (ptrdiff_t k = 0; k < p->blocks; k++) {
    ptrdiff_t last = k == p->blocks - 1 ? p->cells : k + 1,
              at_row = k * p->genes * d;
    for (ptrdiff_t j = 0; j < d; j++) shift[j] = 0;
    for (ptrdiff_t b = k; b < last; b++)
      for (ptrdiff_t j = 0; j < d; j++)
        shift[j] += dyn_tensor_get(p->in[CELL], b * d + j);
    p->k->settle(p->genes, d, s->by_gene + at_row, at(p->in[BASE], at_row),
                 s->pqt, s->pqt + d * p->es, s->pqt + 2 * d * p->es,
                 (double)(last - k), shift, (char *)g.data + at_row * p->es);
  }
  return dyn_flow_move(t, y, BASE, &g, e);
}

/* That of the cells' vectors: one stands for all genes. p->mean and p->var of
** norm0 are those of base + s, so the sum over base is asked for again. */
static dyn_status flow_cells(dyn_tape *t, dyn_node *y, const pass *s,
                             const double *by_cell, double *shift, dyn_err *e) {
  const dyn_decoder *p = &s->p;
  dyn_tensor g = {0};
  ptrdiff_t d = p->d, block = -1;
  if (!dyn_wants(t, y, CELL)) return DYN_OK;
  dyn_status st = dyn_tensor_raw(&g, p->type, 2, p->in[CELL]->size, e);
  if (st != DYN_OK) return st;
  for (ptrdiff_t b = 0; b < p->cells; b++) {
    ptrdiff_t own = b < p->blocks ? b : p->blocks - 1;
    if (own != block) {
      for (ptrdiff_t j = 0; j < 2 * d; j++) shift[j] = 0;
      p->k->moments(p->genes, d, at(p->in[BASE], own * p->genes * d), NULL,
                    shift, shift + d);
      block = own;
    }
    p->k->settle(1, d, by_cell + b * d, at(p->in[CELL], b * d), s->pqt,
                 s->pqt + d * p->es, s->pqt + 2 * d * p->es, (double)p->genes,
                 shift, (char *)g.data + b * d * p->es);
  }
  return dyn_flow_move(t, y, CELL, &g, e);
}

static ptrdiff_t larger(ptrdiff_t a, ptrdiff_t b) { return a > b ? a : b; }

/* Everything a pass needs, in three blocks of memory. */
typedef struct room {
  dyn_tensor own, wide, read, offset;
  double *total, *by_cell;
} room;

static dyn_status make_room(room *r, pass *s, dyn_err *e) {
  dyn_decoder *p = &s->p;
  ptrdiff_t d = p->d, m = p->m, q = p->q, w = larger(larger(d, q), m);
  ptrdiff_t ac = 2 * (d + m + q), rows = p->lanes * CHUNK * 2 * w,
            du = p->cells * p->genes * m, dw = p->tiles * m * larger(d, q);
  ptrdiff_t sums = p->tiles * 2 * w,
            genes = larger(p->lanes * TILE * q, p->blocks * p->genes * d),
            cells = p->tiles * p->cells * d;
  ptrdiff_t own = ac + 3 * w + rows + du + dw,
            wide = sums + genes + cells + p->cells * d +
                   larger(2 * w, m * larger(d, q));
  dyn_status st;
  DYN_TRY(dyn_tensor_raw(&r->own, p->type, 1, &own, e));
  DYN_TRY(dyn_tensor_new(&r->wide, DYN_F64, 1, &wide, e));
  DYN_TRY(dyn_tensor_raw(&r->read, p->type, 2, p->in[READ]->size, e));
  DYN_TRY(dyn_tensor_raw(&r->offset, p->type, 1, p->in[OFFSET]->size, e));
  s->ac[0] = r->own.data;
  s->ac[1] = s->ac[0] + 2 * d * p->es, s->ac[2] = s->ac[1] + 2 * m * p->es;
  s->pqt = s->ac[0] + ac * p->es, s->rows = s->pqt + 3 * w * p->es;
  s->width = 2 * w * p->es, s->du = s->rows + rows * p->es;
  s->dw = s->du + du * p->es;
  s->sums = r->wide.data, s->by_gene = s->sums + sums;
  s->by_cell = s->by_gene + genes, r->by_cell = s->by_cell + cells;
  r->total = r->by_cell + p->cells * d;
  s->read = r->read.data, s->offset = r->offset.data;
done:
  return st;
}

/* The read-out and the second layer. */
static dyn_status upper(dyn_tape *t, dyn_node *y, pass *s, room *r,
                        dyn_err *e) {
  const dyn_decoder *p = &s->p;
  dyn_status st;
  over_tiles(s, unread);
  add_up(p->tiles, 2 * p->q, s->sums, r->total);
  DYN_TRY(unnorm(t, y, s, 2, p->q, r->total, e));
  DYN_TRY(dyn_flow_move(t, y, READ, &r->read, e));
  DYN_TRY(dyn_flow_move(t, y, OFFSET, &r->offset, e));
  memset(s->sums, 0,
         (size_t)(p->tiles * 2 * larger(p->m, p->q)) * sizeof(double));
  over_tiles(s, unsecond);
  DYN_TRY(flow_weights(t, y, s, W2, r->total, e));
  add_up(p->tiles, 2 * p->m, s->sums, r->total);
  DYN_TRY(unnorm(t, y, s, 1, p->m, r->total, e));
done:
  return st;
}

/* The first layer and what it is fed with. */
static dyn_status lower(dyn_tape *t, dyn_node *y, pass *s, room *r,
                        dyn_err *e) {
  const dyn_decoder *p = &s->p;
  dyn_status st;
  memset(s->by_gene, 0,
         (size_t)(p->blocks * p->genes * p->d) * sizeof *s->by_gene);
  over_tiles(s, unfirst);
  DYN_TRY(flow_weights(t, y, s, W1, r->total, e));
  add_up(p->tiles, p->cells * p->d, s->by_cell, r->by_cell);
  base_sums(s, r->by_cell, r->total);
  DYN_TRY(unnorm(t, y, s, 0, p->d, r->total, e));
  DYN_TRY(flow_base(t, y, s, r->total, e));
  DYN_TRY(flow_cells(t, y, s, r->by_cell, r->total, e));
done:
  return st;
}

dyn_status dyn_decoder_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  pass s = {0};
  room r = {0};
  dyn_status st = dyn_decoder_plan(&s.p, t, y, e);
  if (st != DYN_OK) return st;
  dyn_decoder_place(&s.p, y);
  DYN_TRY(make_room(&r, &s, e));
  s.g = y->g.data;
  coefficients(&s.p, 0, s.p.d, s.ac[0]);
  coefficients(&s.p, 1, s.p.m, s.ac[1]);
  coefficients(&s.p, 2, s.p.q, s.ac[2]);
  DYN_TRY(upper(t, y, &s, &r, e));
  DYN_TRY(lower(t, y, &s, &r, e));
done:
  dyn_tensor_free(&r.own), dyn_tensor_free(&r.wide);
  dyn_tensor_free(&r.read), dyn_tensor_free(&r.offset);
  return st;
}
