#include <string.h>

#include "core/rng.h"
#include "embed/window.h"
#include "test.h"

/* One window against the definition (Mikolov et al. 2013, equation 4), in double:
** m contexts, DYN_GROUP outputs, the first of which is the target. */
static void update(int m, int d) {
  enum {
    MOST = 21,
    WIDE = 96
  };
  static float x[MOST][WIDE], y[DYN_GROUP][WIDE];
  double gx[MOST][WIDE] = {{0}}, gy[DYN_GROUP][WIDE] = {{0}}, worst = 0;
  float *px[MOST], *py[DYN_GROUP], g[(MOST + 1) * DYN_GROUP];
  const double lr = 0.1;
  const dyn_window_kernels *k = dyn_window_choose();
  dyn_rng r = dyn_rng_stream(3, (uint64_t)m);
  for (int i = 0; i < m * d; i++)
    x[i / d][i % d] = (float)dyn_rng_normal(&r) / 4;
  for (int i = 0; i < DYN_GROUP * d; i++)
    y[i / d][i % d] = (float)dyn_rng_normal(&r) / 4;
  for (int c = 0; c < m; c++) {
    px[c] = x[c];
    for (int o = 0; o < DYN_GROUP; o++) {
      double s = 0;
      for (int i = 0; i < d; i++) s += (double)x[c][i] * (double)y[o][i];
      double f = lr * ((o == 0) - 1 / (1 + exp(-s)));
      for (int i = 0; i < d; i++) {
        gx[c][i] += f * (double)y[o][i];
        gy[o][i] += f * (double)x[c][i];
      }
    }
    for (int i = 0; i < d; i++) gx[c][i] += (double)x[c][i];
  }
  for (int o = 0; o < DYN_GROUP; o++) {
    py[o] = y[o];
    for (int i = 0; i < d; i++) gy[o][i] += (double)y[o][i];
  }
  k->scores(g, px, m, py, d);
  k->gradient(g, m * DYN_GROUP, (float)lr);
  for (int c = 0; c < m; c++) g[c * DYN_GROUP] += (float)lr;
  k->move(px, m, g, py, d);
  for (int i = 0; i < m * d; i++)
    worst = fmax(worst, fabs((double)x[i / d][i % d] - gx[i / d][i % d]));
  for (int i = 0; i < DYN_GROUP * d; i++)
    worst = fmax(worst, fabs((double)y[i / d][i % d] - gy[i / d][i % d]));
  printf("# %d contexts of %d: off by %.1e at most\n", m, d, worst);
  OK(worst < 2e-6);
}

/* Training that diverges is seen by its NaN, which the bits of exp keep. */
static void divergence(void) {
  float g[4] = {NAN, INFINITY, -INFINITY, 0};
  dyn_window_choose()->gradient(g, 4, 1);
  OK(isnan(g[0]) && g[1] == -1 && fabsf(g[2]) < 1e-30F && g[3] == -0.5F);
}

int main(void) {
  divergence();
  update(1, 32);
  update(2, 64);
  update(7, 96);
  update(20, 64);
  return done_testing();
}
