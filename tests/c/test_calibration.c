#include "eval/calibration.h"
#include "test.h"

static dyn_err e;

static dyn_status scalar(dyn_tensor *t, double v) {
  dyn_status st = dyn_tensor_new(t, DYN_F64, 0, NULL, &e);
  if (st == DYN_OK) *dyn_f64(t) = v;
  return st;
}

static dyn_status scored(double out[2], double mu, double s, double y) {
  dyn_status st;
  dyn_tensor a = {0}, b = {0}, c = {0}, crps = {0}, pit = {0};
  DYN_TRY(scalar(&a, mu));
  DYN_TRY(scalar(&b, s));
  DYN_TRY(scalar(&c, y));
  DYN_TRY(dyn_gaussian(&crps, &pit, &a, &b, &c, &e));
  out[0] = *dyn_f64(&crps), out[1] = *dyn_f64(&pit);
done:
  dyn_tensor_free(&a), dyn_tensor_free(&b), dyn_tensor_free(&c);
  dyn_tensor_free(&crps), dyn_tensor_free(&pit);
  return st;
}

int main(void) {
  double out[2];
  OK(scored(out, .3, .5, 1.1) == DYN_OK);
  NEAR(out[0], 0.5411471761862847, 1e-14);
  NEAR(out[1], 0.945200708300442, 1e-14);
  OK(scored(out, 1, 0, 3) == DYN_OK && out[0] == 2 && out[1] == 1);
  OK(scored(out, 1, -1, 3) == DYN_EVALUE);
  OUT_OF_MEMORY(scored(out, .3, .5, 1.1));
  return done_testing();
}
