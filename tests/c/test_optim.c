/* Parameters in one buffer, and steps against the formulas in plain loops. */
#include "learn/optim.h"

#include <string.h>

#include "core/linalg.h"
#include "core/ops.h"
#include "test.h"

static dyn_status build(dyn_params *p, dyn_type type, dyn_err *e) {
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_params_add(p, "w", 1, 2, (ptrdiff_t[]){300, 250}, e));
  DYN_TRY(dyn_params_add(p, "b", 1, 1, (ptrdiff_t[]){17}, e));
  DYN_TRY(dyn_params_add(p, "s", 1, 0, NULL, e));
  DYN_TRY(dyn_params_seal(p, type, e));
done:
  if (st != DYN_OK) dyn_params_free(p);
  return st;
}

static dyn_params built(dyn_type type) {
  dyn_params p = {0};
  if (build(&p, type, NULL) != DYN_OK) exit(2);
  for (ptrdiff_t i = 0; i < p.count; i++) {
    dyn_tensor_set(&p.value, i, cos(0.1 * (double)i));
    dyn_tensor_set(&p.grad, i, sin(0.3 * (double)i));
  }
  dyn_tensor_touch(&p.grad);
  return p;
}

static dyn_status build_and_drop(void) {
  dyn_params p = {0};
  dyn_status st = build(&p, DYN_F32, NULL);
  dyn_params_free(&p);
  return st;
}

static const dyn_optim_options options = {.lr = 0.01,
                                          .beta1 = 0.9,
                                          .beta2 = 0.99,
                                          .eps = 1e-8,
                                          .decay = 0.1,
                                          .clip = 5};

static dyn_status optim_and_drop(const dyn_params *p) {
  dyn_optim t = {0};
  dyn_status st = dyn_optim_new(&t, DYN_ADAMW, p, &options, NULL);
  dyn_optim_free(&t);
  return st;
}

static void layout(void) {
  dyn_err e;
  dyn_params p = built(DYN_F32);
  dyn_tensor v = {0}, g = {0};
  OK(p.count == 300 * 250 + 17 + 1);
  dyn_params_view(&p, 1, &v);
  OK(v.ndim == 1 && v.size[0] == 17 && v.data == dyn_f32(&p.value) + 300 * 250);
  dyn_params_grad(&p, 0, &g);
  OK(g.ndim == 2 && g.stride[0] == 250 && g.data == p.grad.data);
  OK(dyn_params_add(&p, "x", 1, 0, NULL, &e) == DYN_EVALUE); /* too late */
  OK(dyn_params_seal(&p, DYN_F32, &e) == DYN_EVALUE);
  dyn_tensor_free(&v), dyn_tensor_free(&g);
  dyn_params_free(&p);
  OK(dyn_params_add(&p, "x", 1, 0, NULL, &e) == DYN_OK);
  OK(dyn_params_add(&p, "x", 1, 0, NULL, &e) == DYN_EVALUE);
  OK(dyn_params_add(&p, "y", 1, 2, (ptrdiff_t[]){1 << 30, PTRDIFF_MAX}, &e) ==
     DYN_EVALUE);
  dyn_params_free(&p);
  OUT_OF_MEMORY(build_and_drop());
}

/* The largest difference from AdamW written as in the paper. */
static double against_the_paper(dyn_type type) {
  dyn_params p = built(type);
  dyn_optim t = {0};
  double worst = 0, norm;
  OK(dyn_optim_new(&t, DYN_ADAMW, &p, &options, NULL) == DYN_OK);
  t.group[1] = (dyn_group){0.5, false};
  p.v[2].frozen = true;
  for (int k = 0; k < 3; k++)
    OK(dyn_optim_step(&t, &p, 0.7, &norm, NULL) == DYN_OK);
  OK(norm > 5);
  for (ptrdiff_t i = 0; i < p.count - 1; i++) {
    bool b = i >= 300 * 250;
    double x = cos(0.1 * (double)i), m = 0, v = 0;
    double g = sin(0.3 * (double)i) * 5 / norm, lr = 0.007 * (b ? 0.5 : 1);
    for (int k = 1; k <= 3; k++) {
      m = 0.9 * m + 0.1 * g;
      v = 0.99 * v + 0.01 * g * g;
      double mh = m / (1 - pow(0.9, k)), vh = v / (1 - pow(0.99, k));
      x -= lr * (mh / (sqrt(vh) + 1e-8) + (b ? 0 : 0.1) * x);
    }
    worst = fmax(worst, fabs(dyn_tensor_get(&p.value, i) - x));
  }
  NEAR(dyn_tensor_get(&p.value, p.count - 1), cos(0.1 * (double)(p.count - 1)),
       1e-7); /* frozen */
  dyn_optim_free(&t);
  dyn_params_free(&p);
  return worst;
}

static void threads_do_not_matter(void) {
  dyn_params p[2];
  for (int k = 0; k < 2; k++) {
    double norm;
    dyn_optim t = {0};
    dyn_set_threads(k + 1);
    p[k] = built(DYN_F32);
    OK(dyn_optim_new(&t, DYN_SGD, &p[k], &options, NULL) == DYN_OK);
    for (int i = 0; i < 3; i++)
      OK(dyn_optim_step(&t, &p[k], 1, &norm, NULL) == DYN_OK);
    dyn_optim_free(&t);
  }
  OK(!memcmp(p[0].value.data, p[1].value.data,
             (size_t)p[0].count * sizeof(float)));
  OK(dyn_params_norm(&p[0]) == dyn_params_norm(&p[1]));
  dyn_params_free(&p[0]), dyn_params_free(&p[1]);
}

static void errors(void) {
  dyn_err e;
  dyn_params p = built(DYN_F64);
  dyn_optim t = {0};
  dyn_optim_options o = options;
  double norm;
  o.beta1 = 1;
  OK(dyn_optim_new(&t, DYN_SGD, &p, &o, &e) == DYN_EVALUE && !t.group);
  OK(strstr(e.msg, "beta1 or momentum 1 outside [0, 1)") != NULL);
  OK(dyn_optim_new(&t, DYN_SGD, &p, &options, &e) == DYN_OK);
  dyn_fill_(&p.grad, (double)NAN);
  OK(dyn_optim_step(&t, &p, 1, &norm, &e) == DYN_EVALUE && t.step == 0);
  OK(dyn_tensor_get(&p.value, 0) == 1);
  OUT_OF_MEMORY(optim_and_drop(&p));
  dyn_optim_free(&t);
  dyn_params_free(&p);
}

static void schedules(void) {
  NEAR(dyn_schedule(DYN_SCHEDULE_COSINE, 2, 4, 20, 0), 0.5, 1e-15);
  NEAR(dyn_schedule(DYN_SCHEDULE_COSINE, 5, 4, 20, 0), 1.0, 1e-15);
  NEAR(dyn_schedule(DYN_SCHEDULE_COSINE, 21, 4, 20, 0.25), 0.25, 1e-15);
  NEAR(dyn_schedule(DYN_SCHEDULE_COSINE, 13, 4, 20, 0.25), 0.625, 1e-15);
  OK(dyn_schedule(DYN_SCHEDULE_CONSTANT, 9, 4, 0, 0) == 1);
}

int main(void) {
  layout();
  double d = against_the_paper(DYN_F64), f = against_the_paper(DYN_F32);
  printf("# adamw: %.1e from the paper in double, %.1e in float\n", d, f);
  OK(d < 1e-14 && f < 1e-5);
  threads_do_not_matter();
  errors();
  schedules();
  return done_testing();
}
