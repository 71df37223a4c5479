/* The response model: gradients against central differences, predictions
** against the algebra of operators, and what it refuses. */
#include "koopman/response.h"

#include <string.h>

#include "core/linalg.h"
#include "core/ops.h"
#include "core/rng.h"
#include "koopman/apply.h"
#include "learn/expr.h"
#include "test.h"

enum {
  GENES = 6,
  DIM = 3,
  LATENT = 4,
  ROWS = 5,
  OUT = 7 /* of a decoder */
};

/* Rows of 1, 2, 3, 1, 2 genes; genes 1 and 4 have no learnable part. */
static const int64_t first[] = {0, 1, 3, 6, 7, 9};
static const int64_t gene[] = {0, 1, 2, 3, 0, 5, 4, 2, 2};
static const int64_t own[] = {0, -1, 1, 2, -1, 3};

static dyn_tensor noise(dyn_type type, ptrdiff_t n, ptrdiff_t m, double sd,
                        uint64_t seed) {
  dyn_tensor t = {0};
  dyn_rng g = dyn_rng_stream(seed, 0);
  if (dyn_tensor_new(&t, type, 2, (ptrdiff_t[]){n, m}, NULL)) exit(2);
  for (ptrdiff_t i = 0; i < n * m; i++)
    dyn_tensor_set(&t, i, sd * dyn_rng_normal(&g));
  return t;
}

/* A model, its parameters, and what it is asked and taught. */
typedef struct world {
  dyn_response m;
  dyn_params p;
  dyn_tensor features, state, target, weight, mask, decoder;
  dyn_queries q;
  dyn_lesson l;
} world;

/* No parameter is 0: each matters for the gradient of each. */
static void shake(dyn_params *p, uint64_t seed) {
  for (int32_t i = 0; i < p->names.n; i++)
    dyn_param_uniform(p, dyn_names_get(&p->names, i), .5, seed);
}

static void world_new(world *w, dyn_response m, dyn_type type) {
  *w = (world){.m = m};
  if (dyn_response_declare(&w->p, &w->m, NULL)) exit(2);
  if (dyn_params_seal(&w->p, type, NULL)) exit(2);
  dyn_response_init(&w->p, &w->m, 5);
  shake(&w->p, 11);
  w->features = noise(type, GENES, m.gen.dim, 1, 1);
  w->state = noise(type, ROWS, m.gen.latent, 1, 2);
  w->target = noise(type, ROWS, m.genes ? m.genes : m.gen.latent, 1, 3);
  w->q = (dyn_queries){.n = ROWS,
                       .first = first,
                       .gene = gene,
                       .features = &w->features,
                       .own = m.gen.own ? own : NULL};
  w->l = (dyn_lesson){.target = &w->target, .seed = 9};
}

static void world_free(world *w) {
  dyn_tensor *t[] = {&w->features, &w->state, &w->target,
                     &w->weight,   &w->mask,  &w->decoder};
  for (size_t i = 0; i < sizeof t / sizeof *t; i++) dyn_tensor_free(t[i]);
  dyn_params_free(&w->p);
}

static dyn_response model(dyn_head head, dyn_form form, dyn_how how,
                          ptrdiff_t rank, ptrdiff_t n_own) {
  return (dyn_response){
      .head = head,
      .form = form,
      .how = how,
      .gen = {.dim = DIM,
              .hidden = 5,
              .depth = 1 + (rank > 0), /* one and several hidden layers */
              .latent = LATENT,
              .rank = rank,
              .own = n_own},
      .width = 6,
  };
}

/* ---- gradients -------------------------------------------------------------- */

static double loss_of(world *w) {
  double v = (double)NAN;
  dyn_err e;
  if (dyn_response_loss(&w->p, &w->m, &w->q, &w->l, &v, &e))
    printf("# %s\n", e.msg);
  return v;
}

/* The second term alone; the gradient left behind is that of both. */
static double second_term(world *w) {
  const int64_t *keep = w->q.own;
  w->q.own = NULL;
  double first_term = loss_of(w);
  w->q.own = keep;
  return loss_of(w) - first_term;
}

/* The largest error of the gradient of parameters whose names begin so,
** relative above 1. */
static double gradient_error(world *w, const char *prefix,
                             double (*f)(world *)) {
  const double h = 1e-5;
  double worst = 0;
  f(w);
  dyn_tensor copy = {0}; /* the passes below write gradients too */
  if (dyn_tensor_new(&copy, DYN_F64, 1, w->p.grad.size, NULL)) exit(2);
  if (dyn_copy_(&copy, &w->p.grad, NULL)) exit(2);
  for (int32_t i = 0; i < w->p.names.n; i++) {
    if (strncmp(dyn_names_get(&w->p.names, i), prefix, strlen(prefix)))
      continue;
    for (ptrdiff_t k = w->p.v[i].at; k < w->p.v[i].at + w->p.v[i].len; k++) {
      double x = dyn_f64(&w->p.value)[k], d = dyn_f64(&copy)[k];
      dyn_f64(&w->p.value)[k] = x + h;
      double up = f(w);
      dyn_f64(&w->p.value)[k] = x - h;
      double r = (up - f(w)) / (2 * h);
      dyn_f64(&w->p.value)[k] = x;
      double off = fabs(r - d) / (1 + fabs(d));
      if (!(off <= worst)) worst = off;
    }
  }
  dyn_tensor_free(&copy);
  return worst;
}

static bool gradient_of(world *w, const char *prefix, double (*f)(world *)) {
  double off = gradient_error(w, prefix, f);
  if (!(off < 1e-7))
    printf("# head %d form %d how %s: '%s' off by %g\n", w->m.head, w->m.form,
           dyn_how_name(w->m.how), prefix, off);
  return off < 1e-7;
}

static bool gradient(world *w, const char *prefix) {
  return gradient_of(w, prefix, loss_of);
}

/* Each head, form and way to combine, from 0 and from given states. */
static void gradients(void) {
  bool good = true;
  for (int form = DYN_AFFINE; form <= DYN_EXPONENTIAL; form++)
    for (int how = 0; how < DYN_NHOW; how++)
      for (int given = 0; given < 2; given++) {
        world w;
        world_new(&w,
                  model(DYN_HEAD_OPERATOR, (dyn_form)form, (dyn_how)how, 2, 0),
                  DYN_F64);
        if (given) w.q.state = &w.state;
        good = gradient(&w, "") && good;
        world_free(&w);
      }
  OK(good && "gradients of operators, every form and combination");
  for (int k = 0; k < 4; k++) { /* both heads, from 0 and from given states */
    world w;
    dyn_head head = k < 2 ? DYN_HEAD_MLP : DYN_HEAD_DELTA;
    world_new(&w, model(head, DYN_AFFINE, DYN_ADDITIVE, 0, 0), DYN_F64);
    if (k % 2) w.q.state = &w.state;
    OK(gradient(&w, "") && "gradients of the mlp");
    world_free(&w);
  }
}

/* Weights, missing entries, decoders, noise and dropout are in the gradient. */
static void lessons(dyn_head head) {
  world w;
  dyn_response m = model(head, DYN_AFFINE, DYN_SYMMETRIC, 2, 0);
  m.genes = OUT;
  world_new(&w, m, DYN_F64);
  w.mask = noise(DYN_F64, ROWS, OUT, 1, 4);
  w.weight = noise(DYN_F64, ROWS, 1, 1, 6);
  for (ptrdiff_t i = 0; i < ROWS * OUT; i++)
    dyn_f64(&w.mask)[i] = dyn_f64(&w.mask)[i] > -.5;
  for (ptrdiff_t i = 0; i < ROWS; i++)
    dyn_f64(&w.weight)[i] = fabs(dyn_f64(&w.weight)[i]);
  w.l.mask = &w.mask, w.l.weight = &w.weight;
  w.l.noise = .3, w.l.drop = .2;
  OK(gradient(&w, "") && "a trained decoder");
  double v = loss_of(&w);
  for (ptrdiff_t i = 0; i < ROWS * OUT; i++)
    if (dyn_f64(&w.mask)[i] == 0) dyn_f64(&w.target)[i] = 1e6;
  dyn_tensor_touch(&w.target);
  OK(loss_of(&w) == v && "what is not observed does not count");
  w.l.seed++;
  OK(loss_of(&w) != v && "another step has other noise");
  world_free(&w);

  m.genes = 0;
  world_new(&w, m, DYN_F64);
  w.decoder = noise(DYN_F64, LATENT, OUT, 1, 7);
  dyn_tensor_free(&w.target);
  w.target = noise(DYN_F64, ROWS, OUT, 1, 3);
  w.l.decoder = &w.decoder;
  OK(gradient(&w, "") && "a fixed decoder");
  world_free(&w);
}

/* Do parameters whose names begin so have the same gradient in a and b? */
static bool same_gradient(world *a, world *b, const char *prefix) {
  bool same = true, any = false;
  loss_of(a), loss_of(b);
  for (int32_t i = 0; i < a->p.names.n; i++) {
    const char *name = dyn_names_get(&a->p.names, i);
    int32_t j = dyn_names_find(&b->p.names, name, strlen(name));
    if (strncmp(name, prefix, strlen(prefix)) || j < 0) continue;
    const double *x = dyn_f64(&a->p.grad) + a->p.v[i].at;
    const double *y = dyn_f64(&b->p.grad) + b->p.v[j].at;
    for (ptrdiff_t k = 0; k < a->p.v[i].len; k++)
      same = same && fabs(x[k] - y[k]) < 1e-12;
    any = true;
  }
  return same && any;
}

/* The remembered term trains the learnable parts, U and V and nothing else. */
static void remembered(void) {
  world w, plain;
  dyn_response m = model(DYN_HEAD_OPERATOR, DYN_AFFINE, DYN_SYMMETRIC, 2, 4);
  world_new(&w, m, DYN_F64);
  m.gen.own = 0;
  world_new(&plain, m, DYN_F64);
  w.q.state = plain.q.state = &w.state;
  OK(loss_of(&w) > loss_of(&plain) && "a second term");
  OK(gradient(&w, "own"));
  OK(gradient_of(&w, "u.", second_term) && "U learns from it alone");
  OK(gradient_of(&w, "v.", second_term) && "V learns from it alone");
  OK(same_gradient(&w, &plain, "shift.") && "shifts know nothing of it");
  OK(!same_gradient(&w, &plain, "u.") && !same_gradient(&w, &plain, "v."));
  world_free(&w), world_free(&plain);

  m = model(DYN_HEAD_MLP, DYN_AFFINE, DYN_ADDITIVE, 0, 4);
  world_new(&w, m, DYN_F64);
  m.gen.own = 0;
  world_new(&plain, m, DYN_F64);
  OK(gradient(&w, "own"));
  OK(same_gradient(&w, &plain, "mlp.") && "nor does the mlp");
  world_free(&w), world_free(&plain);
}

/* What the third term, of cells, adds. */
static double third_term(world *w) {
  dyn_lesson keep = w->l;
  w->l.before = w->l.after = NULL;
  double rest = loss_of(w);
  w->l = keep;
  return loss_of(w) - rest;
}

/* The energy distance of cells trains U and V, of every form, and them alone. */
static void cells(void) {
  ptrdiff_t n = 0;
  for (ptrdiff_t i = 0; i < ROWS; i++) n += first[i + 1] - first[i] == 1;
  ptrdiff_t size[3] = {n, 4, LATENT};
  dyn_tensor flat[2] = {noise(DYN_F64, n * 4, LATENT, 1, 8),
                        noise(DYN_F64, n * 4, LATENT, 1, 9)};
  dyn_tensor given[2] = {{0}};
  for (int k = 0; k < 2; k++)
    if (dyn_tensor_reshape(&given[k], &flat[k], 3, size, NULL)) exit(2);
  for (int form = DYN_AFFINE; form <= DYN_EXPONENTIAL; form++)
    for (int parts = 0; parts <= 4; parts += 4) {
      world w, plain;
      dyn_response m =
          model(DYN_HEAD_OPERATOR, (dyn_form)form, DYN_SYMMETRIC, 2, parts);
      world_new(&w, m, DYN_F64);
      world_new(&plain, m, DYN_F64);
      w.l.before = &given[0], w.l.after = &given[1], w.l.spread = .7;
      OK(fabs(third_term(&w)) > 1e-3);
      OK(same_gradient(&w, &plain, "shift.") && "shifts stay");
      if (form == DYN_AFFINE) { /* first two terms have no U, V of singles */
        w.l.weight = &w.weight;
        w.weight = noise(DYN_F64, ROWS, 1, 0, 6); /* they count nothing */
        OK(gradient_of(&w, "u.", third_term) && "U of cells");
        OK(gradient_of(&w, "v.", third_term) && "V of cells");
      }
      world_free(&w), world_free(&plain);
    }
  world w;
  dyn_err e;
  double v;
  world_new(&w, model(DYN_HEAD_OPERATOR, DYN_AFFINE, DYN_SYMMETRIC, 2, 0),
            DYN_F64);
  w.l.before = &given[0];
  OK(dyn_response_loss(&w.p, &w.m, &w.q, &w.l, &v, &e) == DYN_EVALUE);
  w.l.after = &flat[0];
  OK(dyn_response_loss(&w.p, &w.m, &w.q, &w.l, &v, &e) == DYN_ESHAPE);
  w.l.after = &given[1];
  OUT_OF_MEMORY(dyn_response_loss(&w.p, &w.m, &w.q, &w.l, &v, &e));
  world_free(&w);
  for (int k = 0; k < 2; k++)
    dyn_tensor_free(&flat[k]), dyn_tensor_free(&given[k]);
}

/* ---- predictions -------------------------------------------------------------- */

static dyn_tensor predict(world *w) {
  dyn_tensor r = {0};
  dyn_err e = {{0}};
  dyn_status st = dyn_response_predict(&r, &w->p, &w->m, &w->q, &e);
  if (st) printf("# %s\n", e.msg);
  OK(st == DYN_OK);
  return r;
}

/* The effect of the operators of row i on its state, by the algebra. */
static dyn_tensor algebra(world *w, ptrdiff_t i) {
  dyn_operator k[3] = {{0}}, all = {0};
  const dyn_operator *list[3] = {&k[0], &k[1], &k[2]};
  dyn_tensor z = {0}, zero = {0}, r = {0};
  int n = 0;
  for (int64_t g = first[i]; g < first[i + 1]; g++, n++)
    if (dyn_response_operator(&k[n], &w->p, &w->m, &w->q, gene[g], NULL))
      exit(2);
  zero = noise(DYN_F64, ROWS, w->m.gen.latent, 0, 1);
  if (dyn_tensor_select(&z, w->q.state ? w->q.state : &zero, 0, i, NULL))
    exit(2);
  if (n > 1 && dyn_operator_compose(&all, list, n, w->m.how, 0, NULL)) exit(2);
  if (dyn_operator_apply(&r, n > 1 ? &all : &k[0], &z, true, NULL)) exit(2);
  for (int j = 0; j < n; j++) dyn_operator_free(&k[j]);
  dyn_operator_free(&all);
  dyn_tensor_free(&z), dyn_tensor_free(&zero);
  return r;
}

static double worst_row(world *w) {
  dyn_tensor r = predict(w);
  double worst = 0;
  for (ptrdiff_t i = 0; i < ROWS; i++) {
    dyn_tensor a = algebra(w, i);
    for (ptrdiff_t j = 0; j < LATENT; j++) {
      double d = fabs(dyn_f64(&r)[i * LATENT + j] - dyn_f64(&a)[j]);
      if (!(d <= worst)) worst = d;
    }
    dyn_tensor_free(&a);
  }
  dyn_tensor_free(&r);
  return worst;
}

/* One, two and three genes, as dyn_operator_compose and _apply have it. */
static void agrees_with_operators(void) {
  for (int form = DYN_AFFINE; form <= DYN_EXPONENTIAL; form++)
    for (int how = 0; how < DYN_NHOW; how++)
      for (int given = 0; given < 4; given++) {
        world w;
        world_new(&w,
                  model(DYN_HEAD_OPERATOR, (dyn_form)form, (dyn_how)how, 2,
                        given & 2 ? 4 : 0),
                  DYN_F64);
        /* Taylor sums are for operators of moderate size */
        for (const char *const *n = (const char *const[]){"u.w", "u.b", NULL};
             *n; n++)
          dyn_param_uniform(&w.p, *n, .1, 3);
        if (given & 1) w.q.state = &w.state;
        double d = worst_row(&w);
        if (!(d < 1e-10))
          printf("# form %d how %s state %d: %g\n", form,
                 dyn_how_name((dyn_how)how), given, d);
        OK(d < 1e-10 && "predictions are what the algebra of operators says");
        world_free(&w);
      }
}

/* Rank 0: a combination moves by the sum of what its genes do. */
static void rank_0_is_additive(void) {
  for (int how = 0; how < DYN_NHOW; how++) {
    world w;
    world_new(&w, model(DYN_HEAD_OPERATOR, DYN_AFFINE, (dyn_how)how, 0, 4),
              DYN_F64);
    w.q.state = &w.state;
    dyn_tensor all = predict(&w), one = {0};
    static const int64_t each[] = {0, 1, 2, 3, 4, 5, 6};
    static const int64_t genes[] = {0, 1, 2, 3, 4, 5};
    w.q = (dyn_queries){.n = GENES,
                        .first = each,
                        .gene = genes,
                        .features = &w.features,
                        .own = own};
    one = predict(&w);
    double worst = 0;
    for (ptrdiff_t i = 0; i < ROWS; i++)
      for (ptrdiff_t j = 0; j < LATENT; j++) {
        double sum = 0;
        for (int64_t k = first[i]; k < first[i + 1]; k++)
          sum += dyn_f64(&one)[gene[k] * LATENT + j];
        worst = fmax(worst, fabs(dyn_f64(&all)[i * LATENT + j] - sum));
      }
    OK(worst < 1e-13 && "rank 0 is additive");
    dyn_tensor_free(&all), dyn_tensor_free(&one);
    world_free(&w);
  }
}

static bool zero(const dyn_tensor *t) {
  bool all = true;
  for (size_t i = 0; i < dyn_tensor_len(t); i++)
    all = all && dyn_tensor_get(t, (ptrdiff_t)i) == 0;
  return all;
}

/* Before training no perturbation does anything, exactly. */
static void starts_at_zero(void) {
  for (int head = 0; head < 2; head++)
    for (int form = 0; form < 2; form++) {
      world w;
      world_new(&w, model((dyn_head)head, (dyn_form)form, DYN_SYMMETRIC, 2, 4),
                DYN_F32);
      dyn_params_free(&w.p);
      OK(!dyn_response_declare(&w.p, &w.m, NULL));
      OK(!dyn_params_seal(&w.p, DYN_F32, NULL));
      dyn_response_init(&w.p, &w.m, 1);
      w.q.state = &w.state;
      dyn_tensor r = predict(&w);
      OK(zero(&r) && r.type == DYN_F32);
      dyn_tensor_free(&r);
      OK(loss_of(&w) > 0 && dyn_params_norm(&w.p) > 0); /* but it can learn */
      world_free(&w);
    }
}

static bool same(const dyn_tensor *a, const dyn_tensor *b) {
  return dyn_tensor_same_shape(a, b) &&
         !memcmp(a->data, b->data, dyn_tensor_len(a) * dyn_type_size(a->type));
}

static double apart(const dyn_tensor *a, const dyn_tensor *b) {
  double worst = 0;
  for (size_t i = 0; i < dyn_tensor_len(a); i++)
    worst = fmax(worst, fabs(dyn_f64(a)[i] - dyn_f64(b)[i]));
  return worst;
}

/* The order of genes in a query matters for products alone. */
static void order_of_genes(void) {
  static const int64_t back[] = {0, 2, 1, 5, 0, 3, 4, 2, 2};
  for (int how = 0; how < DYN_NHOW; how++) {
    world w;
    world_new(&w, model(DYN_HEAD_OPERATOR, DYN_AFFINE, (dyn_how)how, 2, 0),
              DYN_F64);
    w.q.state = &w.state;
    dyn_tensor a = predict(&w);
    w.q.gene = back;
    dyn_tensor b = predict(&w);
    OK((apart(&a, &b) < 1e-13) == (how != DYN_PRODUCT));
    dyn_tensor_free(&a), dyn_tensor_free(&b);
    world_free(&w);
  }
}

/* Many genes: 24 orders of a symmetric combination, the same each time. */
static void many_genes(void) {
  static const int64_t from[] = {0, 6, 7}, genes[] = {0, 1, 2, 3, 4, 5, 0};
  world w;
  world_new(&w, model(DYN_HEAD_OPERATOR, DYN_AFFINE, DYN_SYMMETRIC, 2, 0),
            DYN_F64);
  w.q.n = 2, w.q.first = from, w.q.gene = genes;
  dyn_tensor a = predict(&w), b = predict(&w);
  OK(same(&a, &b) && !zero(&a));
  dyn_tensor_free(&a), dyn_tensor_free(&b);
  world_free(&w);
}

/* ---- sizes and bytes ------------------------------------------------------------ */

static ptrdiff_t count(dyn_response m, dyn_head head) {
  dyn_params p = {0};
  m.head = head;
  m.width = dyn_response_width(&m);
  OK(!dyn_response_declare(&p, &m, NULL));
  ptrdiff_t n = p.count;
  dyn_params_free(&p);
  return n;
}

/* The ablation has as many parameters, to 5%. */
static void equally_large(void) {
  static const dyn_generator g[] = {{128, 256, 1, 64, 8, 100},
                                    {32, 64, 2, 16, 4, 0},
                                    {64, 128, 3, 32, 0, 10},
                                    {16, 32, 4, 8, 2, 0},
                                    {200, 64, 1, 20, 1, 0}};
  for (size_t i = 0; i < sizeof g / sizeof *g; i++) {
    dyn_response m = {.gen = g[i]};
    double a = (double)count(m, DYN_HEAD_OPERATOR);
    double b = (double)count(m, DYN_HEAD_MLP);
    OK(fabs(b / a - 1) < .05);
  }
}

/* Enough rows, genes and units for several threads; with noise and dropout. */
static void same_bytes(void) {
  enum {
    N = 200
  };
  for (int head = 0; head < 2; head++) {
    dyn_tensor r[2] = {{0}}, grad[2] = {{0}};
    double v[2];
    for (int t = 0; t < 2; t++) {
      dyn_set_threads(t + 1);
      world w;
      dyn_response m =
          model((dyn_head)head, DYN_AFFINE, DYN_SYMMETRIC, 8, GENES);
      m.gen.hidden = m.gen.latent = m.width = 64;
      m.gen.dim = 128;
      world_new(&w, m, DYN_F32);
      int64_t from[N + 1] = {0}, genes[2 * N], rows[GENES];
      for (int i = 0; i < GENES; i++) rows[i] = i;
      for (int i = 0; i < N; i++) {
        from[i + 1] = from[i] + 1 + i % 2;
        for (int64_t k = from[i]; k < from[i + 1]; k++)
          genes[k] = (7 * i + k) % GENES;
      }
      dyn_tensor_free(&w.target);
      w.target = noise(DYN_F32, N, 64, 1, 4);
      w.q.n = N, w.q.first = from, w.q.gene = genes, w.q.own = rows;
      w.l.noise = w.l.drop = .5;
      v[t] = loss_of(&w);
      dyn_tensor_share(&grad[t], &w.p.grad); /* outlives its world */
      r[t] = predict(&w);
      world_free(&w);
    }
    OK(v[0] == v[1] && isfinite(v[0]));
    OK(same(&grad[0], &grad[1]) && same(&r[0], &r[1]) &&
       "one and two threads give the same bytes");
    for (int t = 0; t < 2; t++)
      dyn_tensor_free(&r[t]), dyn_tensor_free(&grad[t]);
  }
}

/* ---- what is refused --------------------------------------------------------------- */

/* Both passes refuse with status 'st' and a message that has 'text'. */
static bool refused(world *w, dyn_status want, const char *text) {
  dyn_tensor r = {0};
  dyn_err e = {{0}}, f = {{0}};
  double v;
  dyn_status a = dyn_response_loss(&w->p, &w->m, &w->q, &w->l, &v, &e);
  dyn_status b = dyn_response_predict(&r, &w->p, &w->m, &w->q, &f);
  bool good = a == want && b == want && !r.st && strstr(e.msg, text) &&
              strstr(f.msg, text);
  if (!good) printf("# %d %s; %d %s\n", a, e.msg, b, f.msg);
  dyn_tensor_free(&r);
  return good;
}

static void hostile(dyn_head head) {
  static const int64_t none[] = {0, 1, 1, 6, 7, 9};
  static const int64_t below[] = {0, 1, 2, -1, 0, 5, 4, 2, 2};
  static const int64_t above[] = {0, 1, 2, 3, 0, 5, GENES, 2, 2};
  static const int64_t parts[] = {0, -1, 1, 4, -1, 3};
  world w;
  world_new(&w, model(head, DYN_AFFINE, DYN_SYMMETRIC, 2, 4), DYN_F64);
  w.q.first = none;
  OK(refused(&w, DYN_EVALUE, "row 2 perturbs nothing"));
  w.q.first = first, w.q.gene = below;
  OK(refused(&w, DYN_EVALUE, "gene 0 outside 1..6"));
  w.q.gene = above;
  OK(refused(&w, DYN_EVALUE, "gene 7 outside 1..6"));
  w.q.gene = gene, w.q.own = parts;
  OK(refused(&w, DYN_EVALUE, "learnable part 5 outside 1..4"));
  w.q.own = own;
  w.q.n = 0;
  OK(refused(&w, DYN_EVALUE, "no rows"));
  w.q.n = ROWS;
  dyn_tensor bad = noise(DYN_F64, ROWS, LATENT + 1, 1, 1);
  w.q.state = &bad;
  OK(refused(&w, DYN_ESHAPE, ""));
  dyn_tensor_free(&bad);
  bad = noise(DYN_F32, ROWS, LATENT, 1, 1);
  OK(refused(&w, DYN_ETYPE, ""));
  dyn_tensor_free(&bad);
  bad = noise(DYN_F64, ROWS - 1, LATENT, 1, 1);
  OK(refused(&w, DYN_ESHAPE, "states of 4x4, 5x4 expected"));
  dyn_tensor_free(&bad);
  w.q.state = NULL;
  bad = noise(DYN_F64, GENES, DIM + 1, 1, 1);
  w.q.features = &bad;
  OK(refused(&w, DYN_ESHAPE, ""));
  dyn_tensor_free(&bad);
  w.q.features = &w.features;
  world_free(&w);
}

static void not_finite(dyn_head head) {
  world w;
  dyn_err e;
  double v;
  world_new(&w, model(head, DYN_AFFINE, DYN_SYMMETRIC, 2, 0), DYN_F64);
  dyn_f64(&w.target)[1] = (double)NAN;
  OK(dyn_response_loss(&w.p, &w.m, &w.q, &w.l, &v, &e) == DYN_EVALUE);
  OK(strstr(e.msg, "loss is") && strstr(e.msg, "first in op"));
  world_free(&w);
}

static void sizes(void) {
  dyn_params p = {0};
  dyn_err e;
  dyn_response m = model(DYN_HEAD_OPERATOR, DYN_AFFINE, DYN_SYMMETRIC, 5, 0);
  OK(dyn_response_declare(&p, &m, &e) == DYN_EVALUE &&
     strstr(e.msg, "rank 5 over latent 4"));
  dyn_params_free(&p);
  m.gen.rank = 1, m.gen.latent = PTRDIFF_MAX;
  OK(dyn_response_declare(&p, &m, &e) < 0);
  dyn_params_free(&p);
  m.gen.latent = 0;
  OK(dyn_response_declare(&p, &m, &e) == DYN_EVALUE);
  dyn_params_free(&p);
  m = model(DYN_HEAD_OPERATOR, DYN_AFFINE, DYN_SYMMETRIC, 0, 0);
  m.gen.depth = 5;
  OK(dyn_response_declare(&p, &m, &e) == DYN_EVALUE &&
     strstr(e.msg, "5 hidden layers, 1..4"));
  dyn_params_free(&p);
  m = model(DYN_HEAD_MLP, DYN_AFFINE, DYN_SYMMETRIC, 0, 0);
  m.width = 0;
  OK(dyn_response_declare(&p, &m, &e) == DYN_EVALUE);
  dyn_params_free(&p);
}

static void operators(void) {
  dyn_operator k = {0};
  dyn_err e;
  world w;
  world_new(&w, model(DYN_HEAD_MLP, DYN_AFFINE, DYN_ADDITIVE, 0, 0), DYN_F64);
  OK(dyn_response_operator(&k, &w.p, &w.m, &w.q, 0, &e) == DYN_EVALUE);
  OK(!strcmp(e.msg, "a direct mlp has no operators") && !k.b.st);
  world_free(&w);
  world_new(&w, model(DYN_HEAD_OPERATOR, DYN_AFFINE, DYN_ADDITIVE, 0, 4),
            DYN_F64);
  OK(dyn_response_operator(&k, &w.p, &w.m, &w.q, -1, &e) == DYN_EVALUE);
  OK(strstr(e.msg, "gene 0 outside 1..6") && !k.b.st);
  OK(dyn_response_operator(&k, &w.p, &w.m, &w.q, GENES, &e) == DYN_EVALUE);
  OK(!dyn_response_operator(&k, &w.p, &w.m, &w.q, 0, &e));
  OK(k.r == 0 && k.d == LATENT && "rank 0: a shift");
  dyn_operator_free(&k);
  world_free(&w);
}

/* More than 24 genes in one row cannot be put in order. */
static void crowd(void) {
  int64_t genes[25], from[] = {0, 25};
  for (int i = 0; i < 25; i++) genes[i] = i % GENES;
  world w;
  world_new(&w, model(DYN_HEAD_OPERATOR, DYN_AFFINE, DYN_SYMMETRIC, 2, 0),
            DYN_F64);
  w.q.n = 1, w.q.first = from, w.q.gene = genes;
  dyn_tensor_free(&w.target);
  w.target = noise(DYN_F64, 1, LATENT, 1, 1);
  OK(refused(&w, DYN_EVALUE, "more than 24 genes"));
  world_free(&w);
}

/* ---- formulas ----------------------------------------------------------------------- */

/* After a failure every function gives -1 and keeps the first message. */
static void formulas(void) {
  dyn_err e;
  dyn_tensor a = noise(DYN_F64, 2, 3, 1, 1), b = noise(DYN_F64, 2, 2, 1, 2);
  static const int64_t rows[] = {1, 0, 1};
  dyn_expr x = {.t = dyn_tape_new(), .e = &e};
  int va = dyn_x_const(&x, &a), vb = dyn_x_const(&x, &b);
  int r = dyn_x_rows(&x, va, rows, 3), d = dyn_x_sub(&x, va, va);
  int c = dyn_x_cat(&x, va, vb, 1), s = dyn_x_sum(&x, dyn_x_scale(&x, 2, va));
  OK(x.st == DYN_OK && dyn_tape_value(x.t, r)->size[0] == 3);
  OK(zero(dyn_tape_value(x.t, d)) && dyn_tape_value(x.t, c)->size[1] == 5);
  double sum = 0;
  for (int i = 0; i < 6; i++) sum += 2 * dyn_f64(&a)[i];
  NEAR(dyn_tensor_get(dyn_tape_value(x.t, s), 0), sum, 1e-14);
  int n = dyn_tape_len(x.t);
  OK(dyn_x_matmul(&x, va, vb) == -1 && x.st == DYN_ESHAPE);
  dyn_err kept = e;
  OK(dyn_x_add(&x, va, vb) == -1 && dyn_x_const(&x, &a) == -1);
  OK(dyn_x_number(&x, 1, va) == -1 && dyn_x_scale(&x, 2, va) == -1);
  OK(dyn_x_rows(&x, va, rows, 3) == -1 && dyn_x_detach(&x, va) == -1);
  OK(dyn_x_scatter(&x, va, rows, 2, 3) == -1 && dyn_x_swap(&x, va, 0, 1) == -1);
  OK(dyn_x_linear(&x, va, vb, -1, DYN_ACT_NONE, 0, 0) == -1);
  OK(dyn_x_mse(&x, va, va, -1, -1) == -1 && dyn_x_sum(&x, va) == -1);
  OK(dyn_tape_len(x.t) == n && !strcmp(kept.msg, e.msg));
  dyn_tape_free(x.t);
  dyn_tensor_free(&a), dyn_tensor_free(&b);
}

/* ---- without memory ------------------------------------------------------------------ */

static dyn_status declared(const dyn_response *m) {
  dyn_params p = {0};
  dyn_status st = dyn_response_declare(&p, m, NULL);
  dyn_params_free(&p);
  return st;
}

static dyn_status predicted(world *w) {
  dyn_tensor r = {0};
  dyn_status st = dyn_response_predict(&r, &w->p, &w->m, &w->q, NULL);
  dyn_tensor_free(&r);
  return st;
}

static dyn_status operated(world *w) {
  dyn_operator k = {0};
  dyn_status st = dyn_response_operator(&k, &w->p, &w->m, &w->q, 0, NULL);
  dyn_operator_free(&k);
  return st;
}

static dyn_status learned(world *w) {
  double v;
  return dyn_response_loss(&w->p, &w->m, &w->q, &w->l, &v, NULL);
}

/* The formula of a move, with operators that are constants. */
static dyn_status moved(world *w, bool exponential, dyn_how how) {
  dyn_expr x = {.t = dyn_tape_new()};
  if (!x.t) return DYN_ENOMEM;
  dyn_status st = DYN_OK;
  int *ids = dyn_alloc((size_t)w->p.names.n, sizeof *ids);
  if (!ids) {
    st = DYN_ENOMEM;
    goto done;
  }
  dyn_moves m = {.n = ROWS,
                 .first = first,
                 .gene = gene,
                 .state = &w->state,
                 .how = how,
                 .exponential = exponential};
  DYN_TRY(dyn_params_bind(&w->p, x.t, ids, NULL));
  dyn_operators k = dyn_generator_apply(
      &x, &w->m.gen, &w->p, ids, dyn_x_const(&x, &w->features), true, .5, 3);
  int r = dyn_apply_moves(&x, &m, &k);
  st = x.st;
  if (st == DYN_OK && dyn_tape_value(x.t, r)->size[0] != ROWS) st = DYN_ESHAPE;
done:
  dyn_free(ids, (size_t)w->p.names.n, sizeof *ids);
  dyn_tape_free(x.t);
  return st;
}

static void without_memory(void) {
  for (int head = 0; head < 2; head++) {
    world w;
    dyn_response m = model((dyn_head)head, DYN_AFFINE, DYN_SYMMETRIC, 2, 4);
    m.genes = OUT;
    OUT_OF_MEMORY(declared(&m));
    world_new(&w, m, DYN_F64);
    w.q.state = &w.state;
    w.l.noise = w.l.drop = .1;
    OUT_OF_MEMORY(learned(&w));
    OUT_OF_MEMORY(predicted(&w));
    if (head == DYN_HEAD_OPERATOR) {
      OUT_OF_MEMORY(operated(&w));
      OUT_OF_MEMORY(moved(&w, true, DYN_SYMMETRIC));
      OUT_OF_MEMORY(moved(&w, false, DYN_GENERATOR));
    }
    world_free(&w);
  }
}

int main(void) {
  gradients();
  lessons(DYN_HEAD_OPERATOR), lessons(DYN_HEAD_MLP);
  remembered();
  cells();
  agrees_with_operators();
  rank_0_is_additive();
  starts_at_zero();
  order_of_genes();
  many_genes();
  equally_large();
  same_bytes();
  hostile(DYN_HEAD_OPERATOR), hostile(DYN_HEAD_MLP);
  not_finite(DYN_HEAD_OPERATOR), not_finite(DYN_HEAD_MLP);
  sizes();
  operators();
  crowd();
  formulas();
  without_memory();
  return done_testing();
}
