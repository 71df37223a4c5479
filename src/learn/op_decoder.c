/* The forward pass of gene_decoder. */
#include "learn/decoder.h"

/* ---- shapes --------------------------------------------------------------- */

static bool is_vector(const dyn_tensor *t, ptrdiff_t n) {
  return t->ndim == 1 && t->size[0] == n;
}

static bool is_matrix(const dyn_tensor *t, ptrdiff_t n, ptrdiff_t m) {
  return t->ndim == 2 && t->size[0] == n && t->size[1] == m;
}

static bool fits(const dyn_decoder *p) {
  const dyn_tensor *const *in = p->in;
  return is_matrix(in[CELL], p->cells, p->d) && is_vector(in[SCALE0], p->d) &&
         is_vector(in[SHIFT0], p->d) && is_matrix(in[W1], p->d, p->m) &&
         is_vector(in[SCALE1], p->m) && is_vector(in[SHIFT1], p->m) &&
         is_matrix(in[W2], p->m, p->q) && is_vector(in[SCALE2], p->q) &&
         is_vector(in[SHIFT2], p->q) && is_matrix(in[READ], p->genes, p->q) &&
         is_vector(in[OFFSET], p->genes) && p->cells >= 1 && p->genes >= 1 &&
         p->blocks >= 1 && p->blocks <= p->cells;
}

dyn_status dyn_decoder_plan(dyn_decoder *p, dyn_tape *t, dyn_node *y,
                            dyn_err *e) {
  char s[DYN_SHAPELEN], r[DYN_SHAPELEN];
  *p = (dyn_decoder){.eps = y->a.value};
  for (int k = 0; k < NIN; k++) {
    p->in[k] = dyn_in(t, y, k);
    if (!p->in[k] || p->in[k]->type != dyn_in(t, y, BASE)->type)
      return dyn_fail(e, DYN_ETYPE, "gene_decoder: operand %d has another type",
                      k + 1);
    if (!dyn_tensor_dense(p->in[k]))
      return dyn_fail(e, DYN_EVALUE,
                      "gene_decoder: operand %d is a strided view", k + 1);
  }
  const dyn_tensor *base = p->in[BASE], *cell = p->in[CELL], *w1 = p->in[W1],
                   *w2 = p->in[W2];
  if (base->ndim != 3 || cell->ndim != 2 || w1->ndim != 2 || w2->ndim != 2)
    return dyn_fail(e, DYN_ESHAPE,
                    "gene_decoder: base %s and cells %s, expected (blocks, "
                    "genes, d) and (cells, d)",
                    dyn_tensor_shape(base, s), dyn_tensor_shape(cell, r));
  p->type = base->type, p->es = (ptrdiff_t)dyn_type_size(p->type);
  p->blocks = base->size[0], p->genes = base->size[1], p->d = base->size[2];
  p->cells = cell->size[0], p->m = w1->size[1], p->q = w2->size[1];
  p->n = (double)p->cells * (double)p->genes;
  p->tiles = (p->genes + TILE - 1) / TILE;
  p->lanes = dyn_get_threads() < p->tiles ? dyn_get_threads() : p->tiles;
  p->k = &dyn_norm_kernel[p->type];
  if (fits(p)) return DYN_OK;
  return dyn_fail(e, DYN_ESHAPE,
                  "gene_decoder: base %s, cells %s and the layers do not match",
                  dyn_tensor_shape(base, s), dyn_tensor_shape(cell, r));
}

/* What forward keeps: statistics, and the products before their norms. */
void dyn_decoder_place(dyn_decoder *p, dyn_node *y) {
  double *s = y->stats.data;
  ptrdiff_t width[] = {p->d, p->m, p->q};
  for (int l = 0; l < 3; l++) {
    p->mean[l] = s, p->var[l] = s + width[l];
    s += 2 * width[l];
  }
  p->z1 = y->aux.data;
  p->z2 = p->z1 + p->cells * p->genes * p->m * p->es;
}

/* ---- forward -------------------------------------------------------------- */

/* Statistics of norm0: the mean over cells of those of their blocks, shifted. */
static dyn_status base_moments(const dyn_decoder *p, dyn_err *e) {
  dyn_tensor sums = {0};
  ptrdiff_t d = p->d, n = p->blocks;
  dyn_status st = dyn_tensor_new(&sums, DYN_F64, 3, (ptrdiff_t[]){n, 2, d}, e);
  if (st != DYN_OK) return st;
  double *v = dyn_f64(&sums);
  for (ptrdiff_t k = 0; k < n; k++) {
    p->k->moments(p->genes, d, at(p->in[BASE], k * p->genes * d), NULL,
                  v + 2 * k * d, v + (2 * k + 1) * d);
    dyn_norm_moments(d, (double)p->genes, v + 2 * k * d, v + (2 * k + 1) * d);
  }
  for (ptrdiff_t j = 0; j < d; j++) {
    double mean = 0, var = 0;
    for (ptrdiff_t b = 0; b < p->cells; b++)
      mean += v[2 * (b < n ? b : n - 1) * d + j] +
              dyn_tensor_get(p->in[CELL], b * d + j);
    mean /= (double)p->cells;
    for (ptrdiff_t b = 0; b < p->cells; b++) {
      const double *own = v + 2 * (b < n ? b : n - 1) * d + j;
      double off = own[0] + dyn_tensor_get(p->in[CELL], b * d + j) - mean;
      var += own[d] + off * off;
    }
    p->mean[0][j] = mean, p->var[0][j] = var / (double)p->cells;
  }
  dyn_tensor_free(&sums);
  return DYN_OK;
}

/* z1 of a tile and its sums. */
static void first(const dyn_decoder *p, const char *ac, ptrdiff_t tile, char *h,
                  double *sums) {
  ptrdiff_t step = cells_at_once(p, tile), rows = height(p, tile);
  for (ptrdiff_t b = 0; b < p->cells; b += step) {
    ptrdiff_t count = p->cells - b < step ? p->cells - b : step;
    char *z = p->z1 + place_of(p, tile, b) * p->m * p->es;
    enter(p, ac, tile, b, count, h);
    product(matrix(p, z, count * rows, p->m), matrix(p, h, count * rows, p->d),
            *p->in[W1], false);
    p->k->moments(count * rows, p->m, z, NULL, sums, sums + p->m);
  }
}

/* z2 of a tile and its sums. */
static void second(const dyn_decoder *p, const char *ac, ptrdiff_t tile,
                   char *u, double *sums) {
  ptrdiff_t step = cells_at_once(p, tile), rows = height(p, tile);
  for (ptrdiff_t b = 0; b < p->cells; b += step) {
    ptrdiff_t n = (p->cells - b < step ? p->cells - b : step) * rows;
    char *z = p->z2 + place_of(p, tile, b) * p->q * p->es;
    p->k->normalise(n, p->m, p->z1 + place_of(p, tile, b) * p->m * p->es, ac,
                    ac + p->m * p->es, 0, u);
    product(matrix(p, z, n, p->q), matrix(p, u, n, p->m), *p->in[W2], false);
    p->k->moments(n, p->q, z, NULL, sums, sums + p->q);
  }
}

static void third(const dyn_decoder *p, const char *ac, ptrdiff_t tile,
                  dyn_tensor *r) {
  for (ptrdiff_t b = 0; b < p->cells; b++)
    p->k->dots(height(p, tile), p->q,
               p->z2 + place_of(p, tile, b) * p->q * p->es, ac,
               ac + p->q * p->es, at(p->in[READ], tile * TILE * p->q),
               at(p->in[OFFSET], tile * TILE),
               (char *)r->data + (b * p->genes + tile * TILE) * p->es);
}

/* Layer l (0: z1, 1: z2) of all tiles; its statistics from the tiles' sums. */
static dyn_status layer(const dyn_decoder *p, int l, const char *ac,
                        ptrdiff_t m, ptrdiff_t width, dyn_err *e) {
  dyn_tensor sums = {0}, rows = {0};
  dyn_status st;
  DYN_TRY(dyn_tensor_new(&sums, DYN_F64, 2, (ptrdiff_t[]){p->tiles, 2 * m}, e));
  DYN_TRY(dyn_tensor_raw(&rows, p->type, 3,
                         (ptrdiff_t[]){p->lanes, CHUNK, width}, e));
#pragma omp parallel for schedule(static, 1)
  for (ptrdiff_t lane = 0; lane < p->lanes; lane++)
    for (ptrdiff_t t = lane; t < p->tiles; t += p->lanes)
      (l == 0 ? first : second)(
          p, ac, t, (char *)rows.data + lane * CHUNK * width * p->es,
          dyn_f64(&sums) + t * 2 * m);
  double *mean = p->mean[l + 1], *var = p->var[l + 1];
  for (ptrdiff_t j = 0; j < m; j++) mean[j] = var[j] = 0;
  for (ptrdiff_t t = 0; t < p->tiles; t++)
    for (ptrdiff_t j = 0; j < m; j++) {
      mean[j] += dyn_f64(&sums)[t * 2 * m + j];
      var[j] += dyn_f64(&sums)[t * 2 * m + m + j];
    }
  dyn_norm_moments(m, p->n, mean, var);
done:
  dyn_tensor_free(&sums), dyn_tensor_free(&rows);
  return st;
}

/* a and c of the three norms, one after the other. */
static dyn_status coefficient_room(const dyn_decoder *p, dyn_tensor *room,
                                   char *ac[3], dyn_err *e) {
  ptrdiff_t len = 2 * (p->d + p->m + p->q);
  dyn_status st = dyn_tensor_raw(room, p->type, 1, &len, e);
  if (st != DYN_OK) return st;
  ac[0] = room->data;
  ac[1] = ac[0] + 2 * p->d * p->es;
  ac[2] = ac[1] + 2 * p->m * p->es;
  return DYN_OK;
}

dyn_status dyn_decoder_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  dyn_decoder p;
  dyn_tensor room = {0};
  char *ac[3];
  dyn_status st = dyn_decoder_plan(&p, t, y, e);
  if (st != DYN_OK) return st;
  ptrdiff_t len = 2 * (p.d + p.m + p.q);
  DYN_TRY(dyn_tensor_raw(&y->stats, DYN_F64, 1, &len, e));
  DYN_TRY(dyn_tensor_raw(&y->aux, p.type, 3,
                         (ptrdiff_t[]){p.cells, p.genes, p.m + p.q}, e));
  DYN_TRY(dyn_tensor_raw(&y->x, p.type, 2, (ptrdiff_t[]){p.cells, p.genes}, e));
  DYN_TRY(coefficient_room(&p, &room, ac, e));
  dyn_decoder_place(&p, y);
  DYN_TRY(base_moments(&p, e));
  coefficients(&p, 0, p.d, ac[0]);
  DYN_TRY(layer(&p, 0, ac[0], p.m, p.d, e));
  coefficients(&p, 1, p.m, ac[1]);
  DYN_TRY(layer(&p, 1, ac[1], p.q, p.m, e));
  coefficients(&p, 2, p.q, ac[2]);
#pragma omp parallel for schedule(static)
  for (ptrdiff_t k = 0; k < p.tiles; k++) third(&p, ac[2], k, &y->x);
done:
  dyn_tensor_free(&room);
  return st;
}
