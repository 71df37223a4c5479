#include "eval/metrics.h"
#include "test.h"

#include <omp.h>
#include <string.h>

static dyn_err e;

static dyn_status filled(dyn_tensor *t, ptrdiff_t n, ptrdiff_t g,
                         const double *v) {
  ptrdiff_t size[2] = {n, g};
  dyn_status st = dyn_tensor_new(t, DYN_F64, 2, size, &e);
  for (ptrdiff_t i = 0; st == DYN_OK && i < n * g; i++) dyn_f64(t)[i] = v[i];
  return st;
}

/* A worked example: changes of truth and prediction, weights of the genes. */
static const double dt[] = {-.8, .5, .4, .1, -.4, 0};
static const double dp[] = {-.6, .2, 0, .3, -.3, -.1};
static const double weight[] = {
    1, .4444444444444444, .25, .006944444444444444, 1. / 9, 0};

static dyn_status scored(double *v, dyn_scored *s, dyn_metric m,
                         const double *pred, const double *truth, ptrdiff_t g,
                         bool weights) {
  dyn_status st;
  uint8_t status = 0;
  dyn_tensor p = {0}, t = {0}, w = {0}, r = {0};
  dyn_metric_opts o = {.eps = 1.2e-7, .tau = 1e-9};
  DYN_TRY(filled(&p, 1, g, pred));
  DYN_TRY(filled(&t, 1, g, truth));
  if (weights) {
    DYN_TRY(filled(&w, 1, g, weight));
    o.weight = &w;
  }
  DYN_TRY(dyn_metric_rows(&r, &status, m, &p, &t, &o, &e));
  *v = dyn_f64(&r)[0];
  *s = (dyn_scored)status;
done:
  dyn_tensor_free(&p), dyn_tensor_free(&t), dyn_tensor_free(&w);
  dyn_tensor_free(&r);
  return st;
}

static double got(dyn_metric m) {
  double v = 0;
  dyn_scored s;
  return scored(&v, &s, m, dp, dt, 6, true) == DYN_OK ? v : (double)NAN;
}

static void golden(void) {
  NEAR(got(DYN_PEARSON), 0.8745409106128096, 1e-14);
  NEAR(got(DYN_SPEARMAN), 0.8285714285714287, 1e-14);
  NEAR(got(DYN_COSINE), 0.8604327632941703, 1e-14);
  NEAR(got(DYN_MSE), 0.05833333333333332, 1e-14);
  NEAR(got(DYN_RMSE), 0.24152294576982394, 1e-14);
  NEAR(got(DYN_MAE), 0.21666666666666667, 1e-14);
  NEAR(got(DYN_L2), 0.5916079783099616, 1e-14);
  NEAR(got(DYN_RELERR), 0.5356166968099849, 1e-14);
  NEAR(got(DYN_R2), 0.7115384615384616, 1e-14);
  NEAR(got(DYN_WMSE), 0.06697318007662834, 1e-14);
  NEAR(got(DYN_WR2), 0.8157687729063459, 1e-14);
  NEAR(got(DYN_DIRECTION), 0.8, 1e-14);
  NEAR(got(DYN_OPPOSITE), 0.0, 1e-14);
}

/* What cannot be scored says why; a prediction that says nothing is 0. */
static void outcomes(void) {
  static const double one[] = {.3, .3, .3}, no[] = {0, 0, 0}, t[] = {1, 2, 4};
  double v;
  dyn_scored s;
  OK(scored(&v, &s, DYN_PEARSON, one, t, 3, false) == DYN_OK && v == 0);
  OK(s == DYN_CONST_PRED);
  OK(scored(&v, &s, DYN_R2, t, one, 3, false) == DYN_OK && v != v);
  OK(s == DYN_CONST_TRUE);
  OK(scored(&v, &s, DYN_COSINE, one, t, 3, false) == DYN_OK && v > 0);
  OK(scored(&v, &s, DYN_DIRECTION, no, t, 3, false) == DYN_OK && v == 0);
  OK(s == DYN_CONST_PRED);
  OK(scored(&v, &s, DYN_PEARSON, one, t, 2, false) == DYN_OK && v != v);
  OK(s == DYN_FEW_GENES);
  OK(scored(&v, &s, DYN_MAE, one, t, 2, false) == DYN_OK && s == DYN_SCORED);
  OK(scored(&v, &s, DYN_MAE, one, t, 0, false) == DYN_OK && s == DYN_FEW_GENES);
  OK(scored(&v, &s, DYN_WMSE, one, t, 3, false) == DYN_OK &&
     s == DYN_NO_WEIGHTS);
  OK(scored(&v, &s, DYN_RELERR, t, no, 3, false) == DYN_OK &&
     s == DYN_CONST_TRUE);
}

/* (5, 2): the second column has one class. */
static const double score[] = {.9, 1, .9, 1, .4, 1, .3, 1, .4, 1};
static const double label[] = {1, 1, 0, 1, 1, 1, 0, 1, 0, 1};

static dyn_status classes(double out[4]) {
  dyn_status st;
  dyn_tensor s = {0}, l = {0}, a = {0}, p = {0};
  DYN_TRY(filled(&s, 5, 2, score));
  DYN_TRY(filled(&l, 5, 2, label));
  DYN_TRY(dyn_auroc_cols(&a, &s, &l, NULL, &e));
  DYN_TRY(dyn_precision_cols(&p, &s, &l, NULL, &e));
  for (int k = 0; k < 2; k++)
    out[k] = dyn_f64(&a)[k], out[2 + k] = dyn_f64(&p)[k];
done:
  dyn_tensor_free(&s), dyn_tensor_free(&l);
  dyn_tensor_free(&a), dyn_tensor_free(&p);
  return st;
}

/* Scores of long rows: the same bytes for any number of threads. */
static void threads(void) {
  ptrdiff_t size[2] = {12, 3000};
  dyn_tensor p = {0}, t = {0}, one = {0}, three = {0};
  dyn_metric_opts o = {.eps = 1.2e-7, .genes = {.top = 2000}};
  OK(dyn_tensor_new(&p, DYN_F64, 2, size, &e) == DYN_OK);
  OK(dyn_tensor_new(&t, DYN_F64, 2, size, &e) == DYN_OK);
  for (int i = 0; i < 12 * 3000; i++)
    dyn_f64(&p)[i] = sin(i * 1.7), dyn_f64(&t)[i] = floor(9 * cos(i * .3));
  omp_set_num_threads(1);
  OK(dyn_metric_rows(&one, NULL, DYN_SPEARMAN, &p, &t, &o, &e) == DYN_OK);
  omp_set_num_threads(3);
  OK(dyn_metric_rows(&three, NULL, DYN_SPEARMAN, &p, &t, &o, &e) == DYN_OK);
  OK(!memcmp(dyn_f64(&one), dyn_f64(&three), 12 * sizeof(double)));
  dyn_tensor_free(&p), dyn_tensor_free(&t);
  dyn_tensor_free(&one), dyn_tensor_free(&three);
}

int main(void) {
  double out[4], v;
  dyn_scored s;
  golden();
  outcomes();
  threads();
  OK(classes(out) == DYN_OK);
  NEAR(out[0], 0.6666666666666666, 1e-15);
  NEAR(out[2], 0.5, 1e-15);
  OK(out[1] != out[1] && out[3] != out[3]);
  OUT_OF_MEMORY(scored(&v, &s, DYN_WR2, dp, dt, 6, true));
  OUT_OF_MEMORY(classes(out));
  return done_testing();
}
