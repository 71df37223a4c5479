#include "koopman/response.h"

#include <math.h>
#include <string.h>

#include "core/ops.h"
#include "core/rng.h"
#include "koopman/apply.h"

/* ---- parameters ----------------------------------------------------------- */

/* Inputs of the mlp: the state and the embedding, or the embedding alone. */
static ptrdiff_t mlp_inputs(const dyn_response *m) {
  return (m->head == DYN_HEAD_DELTA ? 0 : m->gen.latent) + m->gen.dim;
}

static dyn_status declare_mlp(dyn_params *p, const dyn_response *m,
                              dyn_err *e) {
  const dyn_generator *g = &m->gen;
  dyn_status st = DYN_OK;
  if (m->width < 1 || g->dim < 1 || g->latent < 1 || g->own < 0)
    return dyn_fail(e, DYN_EVALUE, "mlp: sizes must be positive (width %td)",
                    m->width);
  DYN_TRY(dyn_param_add(p, "mlp.w1", mlp_inputs(m), m->width, e));
  DYN_TRY(dyn_param_add(p, "mlp.b1", m->width, 0, e));
  DYN_TRY(dyn_param_add(p, "mlp.w2", m->width, m->width, e));
  DYN_TRY(dyn_param_add(p, "mlp.b2", m->width, 0, e));
  DYN_TRY(dyn_param_add(p, "mlp.w3", m->width, g->latent, e));
  DYN_TRY(dyn_param_add(p, "mlp.b3", g->latent, 0, e));
  if (g->own) DYN_TRY(dyn_param_add(p, "own", g->own, g->latent, e));
done:
  return st;
}

dyn_status dyn_response_declare(dyn_params *p, const dyn_response *m,
                                dyn_err *e) {
  dyn_status st = m->head == DYN_HEAD_OPERATOR
                      ? dyn_generator_declare(p, &m->gen, e)
                      : declare_mlp(p, m, e);
  if (st == DYN_OK && m->genes)
    st = dyn_param_add(p, "decoder", m->gen.latent, m->genes, e);
  return st;
}

void dyn_response_init(dyn_params *p, const dyn_response *m, uint64_t seed) {
  if (m->head == DYN_HEAD_OPERATOR) {
    dyn_generator_init(p, &m->gen, seed);
    return;
  }
  double in = 1 / sqrt((double)mlp_inputs(m));
  double mid = 1 / sqrt((double)m->width);
  dyn_param_uniform(p, "mlp.w1", in, seed);
  dyn_param_uniform(p, "mlp.b1", in, seed);
  dyn_param_uniform(p, "mlp.w2", mid, seed);
  dyn_param_uniform(p, "mlp.b2", mid, seed);
}

ptrdiff_t dyn_response_width(const dyn_response *m) {
  const dyn_generator *g = &m->gen;
  double d = (double)g->latent, q = (double)g->dim, h = (double)g->hidden;
  double n = q * h + h + ((double)g->depth - 1) * (h * h + h) +
             (h + 1) * d * (1 + 2 * (double)g->rank);
  double a = (double)mlp_inputs(m) + 2 + d; /* w^2 + a w + d = n */
  double w = (sqrt(a * a + 4 * (n - d)) - a) / 2;
  return w < 1 ? 1 : (ptrdiff_t)(w + 0.5);
}

/* ---- a pass ---------------------------------------------------------------- */

/* The genes that a batch uses, once each, and its rows in their terms. */
typedef struct batch {
  int64_t *used; /* nused rows of features */
  int64_t *gene; /* per place in the query: index into 'used' */
  ptrdiff_t nused, nplace, nfeature;
} batch;

static void batch_free(batch *b) {
  dyn_free(b->used, (size_t)b->nplace, sizeof *b->used);
  dyn_free(b->gene, (size_t)b->nplace, sizeof *b->gene);
  *b = (batch){0};
}

static dyn_status check_state(const dyn_queries *q, ptrdiff_t latent,
                              dyn_err *e) {
  char s[DYN_SHAPELEN];
  if (!q->state || (q->state->ndim == 2 && q->state->size[0] == q->n &&
                    q->state->size[1] == latent))
    return DYN_OK;
  return dyn_fail(e, DYN_ESHAPE, "response: states of %s, %tdx%td expected",
                  dyn_tensor_shape(q->state, s), q->n, latent);
}

static dyn_status check_rows(const dyn_queries *q, dyn_err *e) {
  if (q->n < 1) return dyn_fail(e, DYN_EVALUE, "response: no rows");
  for (ptrdiff_t i = 0; i < q->n; i++) {
    if (q->first[i + 1] <= q->first[i])
      return dyn_fail(e, DYN_EVALUE, "response: row %td perturbs nothing",
                      i + 1);
    for (int64_t k = q->first[i]; k < q->first[i + 1]; k++)
      if (q->gene[k] < 0 || q->gene[k] >= q->features->size[0])
        return dyn_fail(e, DYN_EVALUE, "response: gene %lld outside 1..%td",
                        (long long)q->gene[k] + 1, q->features->size[0]);
  }
  return DYN_OK;
}

static dyn_status batch_new(batch *b, const dyn_queries *q, dyn_err *e) {
  dyn_status st = check_rows(q, e);
  if (st != DYN_OK) return st;
  b->nplace = (ptrdiff_t)q->first[q->n];
  b->nfeature = q->features->size[0];
  b->used = dyn_alloc((size_t)b->nplace, sizeof *b->used);
  b->gene = dyn_alloc((size_t)b->nplace, sizeof *b->gene);
  int64_t *slot = dyn_alloc((size_t)b->nfeature, sizeof *slot);
  if (!b->used || !b->gene || !slot) {
    st = dyn_fail(e, DYN_ENOMEM, "no memory for a batch of %td rows", q->n);
    batch_free(b);
  } else {
    for (ptrdiff_t k = 0; k < b->nplace; k++) {
      int64_t g = q->gene[k];
      if (!slot[g]) b->used[b->nused++] = g, slot[g] = b->nused;
      b->gene[k] = slot[g] - 1;
    }
  }
  dyn_free(slot, (size_t)b->nfeature, sizeof *slot);
  return st;
}

/* Rows b->used of the embeddings, gene g with noise of its own. */
static dyn_status embeddings(dyn_tensor *f, const dyn_queries *q,
                             const batch *b, dyn_type type, double noise,
                             uint64_t seed, dyn_err *e) {
  dyn_tensor rows = {0};
  dyn_status st = dyn_index_select(&rows, q->features, 0, b->used, b->nused, e);
  if (st != DYN_OK) return st;
  st = dyn_convert(f, &rows, type, e);
  dyn_tensor_free(&rows);
  if (st != DYN_OK || noise == 0) return st;
  ptrdiff_t d = f->size[1];
  for (ptrdiff_t i = 0; i < b->nused; i++) {
    dyn_rng g = dyn_rng_stream(seed, (uint64_t)b->used[i]);
    for (ptrdiff_t k = i * d; k < (i + 1) * d; k++)
      dyn_tensor_set(f, k, dyn_tensor_get(f, k) + noise * dyn_rng_normal(&g));
  }
  return DYN_OK;
}

/* Variable (nused, latent): the learnable part of each gene, 0 without one. */
static dyn_status own_part(dyn_expr *x, int *r, const dyn_queries *q,
                           const batch *b, int own, dyn_err *e) {
  dyn_status st = DYN_OK;
  dyn_tensor mask = {0};
  dyn_type type = dyn_tape_value(x->t, own)->type;
  ptrdiff_t n = b->nused, most = dyn_tape_value(x->t, own)->size[0];
  int64_t *idx = dyn_alloc((size_t)n, sizeof *idx);
  if (!idx) return dyn_fail(e, DYN_ENOMEM, "no memory for a batch");
  DYN_TRY(dyn_tensor_new(&mask, type, 2, (ptrdiff_t[]){n, 1}, e));
  for (ptrdiff_t i = 0; i < n; i++) {
    int64_t k = q->own[b->used[i]];
    idx[i] = k < 0 ? 0 : k;
    dyn_tensor_set(&mask, i, k >= 0);
    if (k >= most) {
      st = dyn_fail(e, DYN_EVALUE,
                    "response: learnable part %lld outside 1..%td",
                    (long long)k + 1, most);
      goto done;
    }
  }
  *r = dyn_x_mul(x, dyn_x_rows(x, own, idx, n), dyn_x_const(x, &mask));
  st = x->st;
done:
  dyn_free(idx, (size_t)n, sizeof *idx);
  dyn_tensor_free(&mask);
  return st;
}

/* The recorded passes over one batch. */
typedef struct pass {
  dyn_expr x;
  int *ids;       /* variables of the parameters */
  int embedding;  /* change of state, from embeddings alone */
  int remembered; /* and with learnable parts; -1: nobody has one */
  int moved;      /* (n, cells, latent) states after, for the energy; or -1 */
} pass;

static void pass_free(pass *s, const dyn_params *p) {
  dyn_tape_free(s->x.t);
  dyn_free(s->ids, (size_t)p->names.n, sizeof *s->ids);
}

/* Which of the two passes are wanted. */
typedef struct wish {
  bool embedding, remembered, learning;
  double noise, drop;
  uint64_t seed;
  bool bf16;
  const dyn_tensor *before; /* cells to move, or NULL */
} wish;

/* A z for all cells: z (n, cells, latent), u and v (n, latent, rank). */
static int move_linear(dyn_expr *x, int u, int v, int z) {
  return dyn_x_matmul(x, dyn_x_matmul(x, z, v), dyn_x_swap(x, u, 1, 2));
}

/* Variable (n, cells, latent): the cells of each single after its operator. */
static int move_cells(pass *s, const dyn_response *m, const dyn_queries *q,
                      const batch *b, dyn_operators k, const dyn_tensor *cells,
                      dyn_err *e) {
  enum {
    TERMS = 8 /* of an exponential */
  };
  dyn_expr *x = &s->x;
  int64_t *one = dyn_alloc((size_t)q->n, sizeof *one);
  ptrdiff_t n = 0;
  if (!one) {
    x->st = dyn_fail(e, DYN_ENOMEM, "no memory for a batch");
    return -1;
  }
  for (ptrdiff_t i = 0; i < q->n; i++)
    if (q->first[i + 1] - q->first[i] == 1) one[n++] = b->gene[q->first[i]];
  int u = dyn_x_rows(x, k.u, one, n), v = dyn_x_rows(x, k.v, one, n);
  int shift = dyn_x_rows(x, dyn_x_detach(x, k.b), one, n);
  shift = dyn_x_reshape(x, shift, 3, (ptrdiff_t[]){n, 1, cells->size[2]});
  dyn_free(one, (size_t)q->n, sizeof *one);
  int z = dyn_x_const(x, cells);
  int term = dyn_x_add(x, move_linear(x, u, v, z), shift);
  int sum = dyn_x_add(x, z, term);
  for (int i = 2; m->form == DYN_EXPONENTIAL && i <= TERMS; i++) {
    term = dyn_x_scale(x, 1.0 / i, move_linear(x, u, v, term));
    sum = dyn_x_add(x, sum, term);
  }
  return sum;
}

/*
** Noise and dropout are for the path from embeddings alone, which has to serve
** genes that nobody perturbed. Learnable parts make up what that path, without
** noise, leaves; U and V learn from them alone.
*/
static dyn_status record_operator(pass *s, const dyn_params *p,
                                  const dyn_response *m, const dyn_queries *q,
                                  const batch *b, const int f[2], int own,
                                  wish w, dyn_err *e) {
  dyn_expr *x = &s->x;
  dyn_moves moves = {.n = q->n,
                     .first = q->first,
                     .gene = b->gene,
                     .state = q->state,
                     .how = m->how,
                     .exponential = m->form == DYN_EXPONENTIAL,
                     .seed = w.seed};
  bool full = dyn_moves_need(&moves), cells = w.before && m->gen.rank > 0;
  bool clean = w.remembered || cells;
  dyn_operators k = {.b = -1, .u = -1, .v = -1}, noisy;
  if (clean)
    k = dyn_generator_apply(x, &m->gen, p, s->ids, f[1], full || cells, 0, 0);
  if (w.embedding) {
    noisy = dyn_generator_apply(x, &m->gen, p, s->ids, f[0], full && !clean,
                                w.drop, dyn_rng_named(w.seed, "dropout"));
    if (clean && full && k.u >= 0) {
      noisy.u = dyn_x_detach(x, k.u);
      noisy.v = dyn_x_detach(x, k.v);
    }
    s->embedding = dyn_apply_moves(x, &moves, &noisy);
  }
  if (w.learning && clean) k.b = dyn_x_detach(x, k.b);
  if (w.remembered) {
    k.b = dyn_x_add(x, k.b, own);
    s->remembered = dyn_apply_moves(x, &moves, &k);
  }
  if (cells) s->moved = move_cells(s, m, q, b, k, w.before, e);
  return x->st;
}

/* Sums over the places of a row: m([z, f_g]) from the rows of f; without a
** state (z < 0) m(f_g). */
static int mlp_change(pass *s, const dyn_params *p, const batch *b,
                      const int64_t *row, ptrdiff_t n, int z, int f,
                      double drop, uint64_t seed) {
  static const char *const names[][2] = {
      {"mlp.w1", "mlp.b1"}, {"mlp.w2", "mlp.b2"}, {"mlp.w3", "mlp.b3"}};
  dyn_expr *x = &s->x;
  int in = dyn_x_rows(x, f, b->gene, b->nplace);
  if (z >= 0) in = dyn_x_cat(x, dyn_x_rows(x, z, row, b->nplace), in, 1);
  for (int l = 0; l < 3; l++)
    in = dyn_x_linear(x, in, dyn_param_var(p, s->ids, names[l][0]),
                      dyn_param_var(p, s->ids, names[l][1]),
                      l < 2 ? DYN_ACT_GELU : DYN_ACT_NONE, l < 2 ? drop : 0,
                      dyn_rng_named(seed, names[l][0]));
  return dyn_x_scatter(x, in, row, b->nplace, n);
}

/* The mlp: every place of every row moves the state on its own; sums. */
static dyn_status record_mlp(pass *s, const dyn_params *p,
                             const dyn_response *m, const dyn_queries *q,
                             const batch *b, const int f[2], int own, wish w,
                             dyn_err *e) {
  dyn_expr *x = &s->x;
  int64_t *row = dyn_alloc((size_t)b->nplace, sizeof *row);
  dyn_tensor zero = {0};
  if (!row) return dyn_fail(e, DYN_ENOMEM, "no memory for a batch");
  dyn_status st =
      dyn_tensor_new(&zero, p->type, 2, (ptrdiff_t[]){q->n, m->gen.latent}, e);
  if (st != DYN_OK) goto done;
  for (ptrdiff_t i = 0; i < q->n; i++)
    for (int64_t k = q->first[i]; k < q->first[i + 1]; k++) row[k] = i;
  int z = m->head == DYN_HEAD_DELTA
              ? -1
              : dyn_x_const(x, q->state ? q->state : &zero);
  if (w.embedding)
    s->embedding = mlp_change(s, p, b, row, q->n, z, f[0], w.drop, w.seed);
  if (w.remembered) {
    int change = mlp_change(s, p, b, row, q->n, z, f[1], 0, 0);
    int part = dyn_x_scatter(x, dyn_x_rows(x, own, b->gene, b->nplace), row,
                             b->nplace, q->n);
    if (w.learning) change = dyn_x_detach(x, change);
    s->remembered = dyn_x_add(x, change, part);
  }
  st = x->st;
done:
  dyn_free(row, (size_t)b->nplace, sizeof *row);
  dyn_tensor_free(&zero);
  return st;
}

static dyn_status record(pass *s, const dyn_params *p, const dyn_response *m,
                         const dyn_queries *q, wish w, dyn_err *e) {
  batch b = {0};
  dyn_tensor f = {0};
  dyn_status st = DYN_OK;
  int own = -1;
  *s = (pass){.embedding = -1, .remembered = -1, .moved = -1};
  DYN_TRY(check_state(q, m->gen.latent, e));
  DYN_TRY(batch_new(&b, q, e));
  s->ids = dyn_alloc((size_t)p->names.n, sizeof *s->ids);
  s->x = (dyn_expr){.t = dyn_tape_new(), .e = e};
  if (!s->ids || !s->x.t) {
    st = dyn_fail(e, DYN_ENOMEM, "no memory for a tape");
    goto done;
  }
  if (w.bf16) DYN_TRY(dyn_tape_bf16(s->x.t, e));
  DYN_TRY(dyn_params_bind(p, s->x.t, s->ids, e));
  DYN_TRY(embeddings(&f, q, &b, p->type, w.noise,
                     dyn_rng_named(w.seed, "noise"), e));
  int fv[2] = {dyn_x_const(&s->x, &f), -1}; /* with noise, without */
  dyn_tensor_free(&f);
  DYN_TRY(embeddings(&f, q, &b, p->type, 0, 0, e));
  fv[1] = dyn_x_const(&s->x, &f);
  int table = dyn_param_var(p, s->ids, "own");
  w.remembered = w.remembered && table >= 0 && q->own;
  if (w.remembered) DYN_TRY(own_part(&s->x, &own, q, &b, table, e));
  st = m->head == DYN_HEAD_OPERATOR
           ? record_operator(s, p, m, q, &b, fv, own, w, e)
           : record_mlp(s, p, m, q, &b, fv, own, w, e);
done:
  dyn_tensor_free(&f);
  batch_free(&b);
  return st;
}

/* ---- learning and predicting ------------------------------------------------ */

/* Mean squared error of a change of state, in latent space or over genes. */
static int error_of(pass *s, const dyn_params *p, const dyn_lesson *l,
                    int change, int t, int w, int k) {
  dyn_expr *x = &s->x;
  int d = dyn_param_var(p, s->ids, "decoder");
  if (d < 0 && l->decoder) d = dyn_x_const(x, l->decoder);
  if (d >= 0) change = dyn_x_matmul(x, change, d);
  return dyn_x_mse(x, change, t, w, k);
}

/* Mean distance between the rows of a and b, (n, k, latent) each. */
static int mean_distance(dyn_expr *x, int a, int b) {
  if (x->st != DYN_OK) return -1;
  ptrdiff_t n = dyn_tape_value(x->t, a)->size[0];
  int aa = dyn_x_sum_over(x, dyn_x_square(x, a), 2);
  int bb = dyn_x_sum_over(x, dyn_x_square(x, b), 2);
  aa = dyn_x_reshape(x, aa, 3, (ptrdiff_t[]){n, -1, 1});
  bb = dyn_x_reshape(x, bb, 3, (ptrdiff_t[]){n, 1, -1});
  int ab = dyn_x_matmul(x, a, dyn_x_swap(x, b, 1, 2));
  int d2 = dyn_x_sub(x, dyn_x_add(x, aa, bb), dyn_x_scale(x, 2, ab));
  return dyn_x_mean(x, dyn_x_sqrt_above(x, d2, 1e-6));
}

/*
** The energy distance without the part that no parameter changes. Pairs within
** are of different cells (the mean over all n^2 is too small by 1/n, and would
** make every operator contract).
*/
static int energy(pass *s, const dyn_lesson *l) {
  dyn_expr *x = &s->x;
  double n = (double)l->before->size[1], d = (double)l->after->size[2];
  int y = dyn_x_const(x, l->after);
  int between = dyn_x_scale(x, 2, mean_distance(x, s->moved, y));
  int within =
      dyn_x_scale(x, n / (n - 1), mean_distance(x, s->moved, s->moved));
  return dyn_x_scale(x, l->spread / sqrt(d), dyn_x_sub(x, between, within));
}

static dyn_status check_cells(const dyn_response *m, const dyn_queries *q,
                              const dyn_lesson *l, dyn_err *e) {
  const dyn_tensor *const cells[] = {l->before, l->after};
  ptrdiff_t n = 0;
  for (ptrdiff_t i = 0; i < q->n; i++) n += q->first[i + 1] - q->first[i] == 1;
  if (!l->before != !l->after)
    return dyn_fail(e, DYN_EVALUE,
                    "response: cells before and after belong "
                    "together");
  for (int k = 0; l->before && k < 2; k++)
    if (cells[k]->ndim != 3 || cells[k]->size[0] != n || n == 0 ||
        cells[k]->size[1] < 2 || cells[k]->size[2] != m->gen.latent ||
        !dyn_tensor_dense(cells[k])) {
      char shape[DYN_SHAPELEN];
      return dyn_fail(e, DYN_ESHAPE,
                      "response: cells are %s, expected %tdxNx%td",
                      dyn_tensor_shape(cells[k], shape), n, m->gen.latent);
    }
  return DYN_OK;
}

static dyn_status not_finite(const pass *s, double loss, dyn_err *e) {
  int at = dyn_tape_nonfinite(s->x.t);
  return dyn_fail(e, DYN_EVALUE, "response: loss is %g; first in op '%s'", loss,
                  at < 0 ? "none" : dyn_op_name(dyn_tape_op(s->x.t, at)));
}

dyn_status dyn_response_loss(dyn_params *p, const dyn_response *m,
                             const dyn_queries *q, const dyn_lesson *l,
                             double *loss, dyn_err *e) {
  pass s;
  wish w = {.embedding = true,
            .remembered = true,
            .learning = true,
            .noise = l->noise,
            .drop = l->drop,
            .seed = l->seed,
            .bf16 = l->bf16,
            .before = l->before};
  dyn_status st = check_cells(m, q, l, e);
  if (st != DYN_OK) return st;
  st = record(&s, p, m, q, w, e);
  if (st != DYN_OK) goto done;
  int t = dyn_x_const(&s.x, l->target), wt = -1, k = -1;
  if (l->weight) wt = dyn_x_const(&s.x, l->weight);
  if (l->mask) k = dyn_x_const(&s.x, l->mask);
  int sum = error_of(&s, p, l, s.embedding, t, wt, k);
  if (s.remembered >= 0)
    sum = dyn_x_add(&s.x, sum, error_of(&s, p, l, s.remembered, t, wt, k));
  if (s.moved >= 0) sum = dyn_x_add(&s.x, sum, energy(&s, l));
  DYN_TRY(s.x.st);
  *loss = dyn_tensor_get(dyn_tape_value(s.x.t, sum), 0);
  if (!isfinite(*loss)) {
    st = not_finite(&s, *loss, e);
    goto done;
  }
  DYN_TRY(dyn_tape_backward(s.x.t, sum, e));
  dyn_params_collect(p, s.x.t, s.ids);
done:
  pass_free(&s, p);
  return st;
}

dyn_status dyn_response_predict(dyn_tensor *r, const dyn_params *p,
                                const dyn_response *m, const dyn_queries *q,
                                dyn_err *e) {
  pass s;
  bool own = q->own && m->gen.own;
  dyn_status st =
      record(&s, p, m, q, (wish){.embedding = !own, .remembered = own}, e);
  if (st == DYN_OK)
    st = dyn_convert(r, dyn_tape_value(s.x.t, own ? s.remembered : s.embedding),
                     p->type, e);
  pass_free(&s, p);
  return st;
}

dyn_status dyn_response_operator(dyn_operator *k, const dyn_params *p,
                                 const dyn_response *m, const dyn_queries *q,
                                 int64_t gene, dyn_err *e) {
  if (m->head != DYN_HEAD_OPERATOR)
    return dyn_fail(e, DYN_EVALUE, "a direct mlp has no operators");
  pass s = {0};
  dyn_tensor f = {0}, u = {0}, v = {0}, b = {0};
  dyn_status st = DYN_OK;
  int own = -1;
  int64_t none = 0;
  batch one = {.used = &gene, .gene = &none, .nused = 1, .nplace = 1};
  dyn_queries row = *q;
  if (gene < 0 || gene >= q->features->size[0])
    return dyn_fail(e, DYN_EVALUE, "operator: gene %lld outside 1..%td",
                    (long long)gene + 1, q->features->size[0]);
  s.ids = dyn_alloc((size_t)p->names.n, sizeof *s.ids);
  s.x = (dyn_expr){.t = dyn_tape_new(), .e = e};
  if (!s.ids || !s.x.t) {
    st = dyn_fail(e, DYN_ENOMEM, "no memory for a tape");
    goto done;
  }
  DYN_TRY(dyn_params_bind(p, s.x.t, s.ids, e));
  DYN_TRY(embeddings(&f, &row, &one, p->type, 0, 0, e));
  dyn_operators o = dyn_generator_apply(&s.x, &m->gen, p, s.ids,
                                        dyn_x_const(&s.x, &f), true, 0, 0);
  int table = dyn_param_var(p, s.ids, "own");
  if (table >= 0 && q->own) {
    DYN_TRY(s.x.st);
    DYN_TRY(own_part(&s.x, &own, &row, &one, table, e));
    o.b = dyn_x_add(&s.x, o.b, own);
  }
  DYN_TRY(s.x.st);
  ptrdiff_t d = m->gen.latent, r = m->gen.rank;
  if (r > 0) {
    DYN_TRY(dyn_tensor_select(&u, dyn_tape_value(s.x.t, o.u), 0, 0, e));
    DYN_TRY(dyn_tensor_select(&v, dyn_tape_value(s.x.t, o.v), 0, 0, e));
  } else {
    DYN_TRY(dyn_tensor_new(&u, p->type, 2, (ptrdiff_t[]){d, 0}, e));
    DYN_TRY(dyn_tensor_new(&v, p->type, 2, (ptrdiff_t[]){d, 0}, e));
  }
  DYN_TRY(dyn_tensor_select(&b, dyn_tape_value(s.x.t, o.b), 0, 0, e));
  st = dyn_operator_new(k, &u, &v, &b, m->form, e);
done:
  dyn_tensor_free(&f), dyn_tensor_free(&u), dyn_tensor_free(&v);
  dyn_tensor_free(&b);
  pass_free(&s, p);
  return st;
}
