#include "test.h"

#include "eval/diffexpr.h"
#include "eval/loess.h"

static dyn_err e;

/* metrics.md G20: x = (1,2,3,4), y = (2,2,3,5,6); gene 2 has zeros, gene 3 only
** zeros, gene 4 a negative value. Expected numbers from scipy.stats. */
static const int32_t group[10] = {1, 1, 1, 1, 2, 2, 2, 2, 2, 0};

static void fill(dyn_csr *x) {
  static const float v[4][10] = {{1, 2, 3, 4, 2, 2, 3, 5, 6, 99},
                                 {0, 0, 1.5f, 0, 0, 2, 0, 3, 1, 99},
                                 {0, 0, 0, 0, 0, 0, 0, 0, 0, 99},
                                 {-1, 0, 2, 0, 0, 0, -2, 1, 0, 99}};
  ptrdiff_t size[2] = {4, 10};
  dyn_tensor t = {0};
  if (dyn_tensor_new(&t, DYN_F32, 2, size, &e) != DYN_OK) abort();
  for (int i = 0; i < 40; i++) dyn_f32(&t)[i] = v[i / 10][i % 10];
  if (dyn_csr_from_dense(x, &t, &e) != DYN_OK) abort();
  dyn_tensor_free(&t);
}

static double got(dyn_csr *x, dyn_de_opts o, int gene, int what) {
  dyn_tensor r = {0};
  if (dyn_diffexpr(&r, x, group, &o, &e) != DYN_OK) return (double)NAN;
  double v = dyn_f64(&r)[gene * DYN_DE_NCOL + what];
  dyn_tensor_free(&r);
  return v;
}

static void golden(dyn_csr *x) {
  dyn_de_opts t = {.test = DYN_DE_T}, welch = {.test = DYN_DE_WELCH},
              over = {.test = DYN_DE_OVERESTIM},
              rank = {.test = DYN_DE_WILCOXON};
  NEAR(got(x, welch, 0, DYN_DE_SCORE), -1.060112734235339, 1e-14);
  NEAR(got(x, welch, 0, DYN_DE_DF), 6.950941636315181, 1e-14);
  NEAR(got(x, welch, 0, DYN_DE_P), 0.32453429212421037, 1e-12);
  NEAR(got(x, over, 0, DYN_DE_SCORE), -0.9871659659324272, 1e-14);
  NEAR(got(x, over, 0, DYN_DE_P), 0.3655983748244322, 1e-12);
  NEAR(got(x, t, 0, DYN_DE_DF), 7.0, 1e-14);
  NEAR(got(x, rank, 0, DYN_DE_SCORE), -0.875760539039714, 1e-13);
  NEAR(got(x, rank, 0, DYN_DE_P), 0.38116022651163173, 1e-13);
  NEAR(got(x, rank, 0, DYN_DE_AUC), 0.325, 1e-14);
  rank.continuity = true;
  NEAR(got(x, rank, 0, DYN_DE_P), 0.45286218341877027, 1e-13);
  rank.continuity = false;
  rank.no_ties = true;
  NEAR(got(x, rank, 0, DYN_DE_P), 0.3912672792826394, 1e-13);
  OK(got(x, welch, 2, DYN_DE_SCORE) == 0 && got(x, welch, 2, DYN_DE_P) == 1);
  rank.no_ties = false;
  OK(got(x, rank, 2, DYN_DE_SCORE) == 0 && got(x, rank, 2, DYN_DE_P) == 1);
}

#include "golden_diffexpr.inc"

static void tails(void) {
  NEAR(dyn_student_p(2, 10), 0.0733880347707404, 1e-12);
  NEAR(dyn_student_p(0.1, 3.5), 0.9258044196868921, 1e-12);
  OK(dyn_student_p((double)INFINITY, 5) == 0 &&
     isnan(dyn_student_p((double)NAN, 5)));
  OK(dyn_student_p(40, 1000) < 1e-200 && dyn_student_p(40, 1000) > 0);
}

static void rates(void) {
  double p[] = {.01, .04, .03, .005, .5, (double)NAN}, q[6];
  double want[] = {.03, .06, .06, .03, .6, 1}; /* G21 */
  OK(dyn_bh(q, p, 6, &e) == DYN_OK);
  for (int i = 0; i < 6; i++) NEAR(q[i], want[i], 1e-14);
}

static void moments(dyn_csr *x) {
  dyn_csr t = {0};
  dyn_tensor r = {0};
  double clip[4] = {99, 2, 99, 99};
  OK(dyn_csr_transpose(&t, x, &e) == DYN_OK &&
     dyn_column_moments(&r, &t, false, NULL, &e) == DYN_OK);
  NEAR(dyn_f64(&r)[0], 12.7, 1e-14);
  NEAR(dyn_f64(&r)[1], 921.7888888888889, 1e-12);
  OK(dyn_f64(&r)[DYN_MOMENT_COUNT] == 10);
  dyn_tensor_free(&r);
  OK(dyn_column_moments(&r, &t, false, clip, &e) == DYN_OK);
  NEAR(dyn_f64(&r)[DYN_MOMENT_NCOL + DYN_MOMENT_SUM], 8.5, 1e-14);
  dyn_tensor_free(&r);
  OUT_OF_MEMORY(
      (dyn_tensor_free(&r), dyn_column_moments(&r, &t, true, clip, NULL)));
  dyn_tensor_free(&r);
  dyn_csr_free(&t);
}

static void local(void) {
  double x[30], y[30], fit[30];
  for (int i = 0; i < 30; i++) {
    x[i] = i * 0.3;
    y[i] = 2 - x[i] + 0.5 * x[i] * x[i];
  }
  OK(dyn_loess(fit, x, y, 30, 0.3, 0, NULL, &e) == DYN_OK);
  double worst = 0;
  for (int i = 0; i < 30; i++) worst = fmax(worst, fabs(fit[i] - y[i]));
  OK(worst < 1e-9); /* a parabola is its own fit */
  OK(dyn_loess(fit, x, y, 30, 0.3, 0.2, NULL, &e) == DYN_OK);
  worst = 0;
  for (int i = 0; i < 30; i++) worst = fmax(worst, fabs(fit[i] - y[i]));
  OK(worst < 1e-9); /* and between vertices */
  for (int i = 0; i < 30; i++) x[i] = i < 15 ? 1 : 2;
  OK(dyn_loess(fit, x, y, 30, 0.3, 0, NULL, &e) == DYN_OK);
  OK(isfinite(fit[0]));
  OK(dyn_loess(fit, x, y, 30, 0.3, 0.2, NULL, &e) == DYN_OK);
  OK(isfinite(fit[0]) && isfinite(fit[29]));
  for (int i = 0; i < 30; i++) x[i] = 7; /* one place for all */
  OK(dyn_loess(fit, x, y, 30, 0.3, 0.2, NULL, &e) == DYN_OK);
  OK(isfinite(fit[0]) && isfinite(fit[29]));
  OK(dyn_loess(fit, x, y, 30, 0.3, 1.5, NULL, &e) == DYN_EVALUE);
  OK(dyn_loess(fit, x, y, 3, 0.3, 0, NULL, &e) == DYN_EVALUE);
  x[4] = (double)NAN;
  OK(dyn_loess(fit, x, y, 30, 0.3, 0, NULL, &e) == DYN_EVALUE);
  x[4] = 1;
  OUT_OF_MEMORY(dyn_loess(fit, x, y, 30, 0.3, 0, NULL, NULL));
  OUT_OF_MEMORY(dyn_loess(fit, x, y, 30, 0.3, 0.2, NULL, NULL));
}

static dyn_status once(dyn_csr *x) {
  dyn_tensor r = {0};
  double q[4], p[4] = {1, 0.5, 0, 1};
  dyn_de_opts o = {.test = DYN_DE_WILCOXON};
  dyn_status st = dyn_diffexpr(&r, x, group, &o, NULL);
  dyn_tensor_free(&r);
  return st == DYN_OK ? dyn_bh(q, p, 4, NULL) : st;
}

int main(void) {
  static const int32_t lone[10] = {1, 2, 2};
  dyn_csr x = {0};
  dyn_tensor r = {0};
  dyn_de_opts o = {.test = DYN_DE_WELCH};
  fill(&x);
  golden(&x);
  scipy(&x);
  tails();
  rates();
  moments(&x);
  local();
  OK(dyn_diffexpr(&r, &x, lone, &o, &e) == DYN_EVALUE);
  OUT_OF_MEMORY(once(&x));
  dyn_csr_free(&x);
  return done_testing();
}
