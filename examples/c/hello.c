/*
** hello.c -- the library from C: two operators, and how much their order
** matters.
**
**   cc hello.c $(pkg-config --cflags --libs dynamo) -o hello && ./hello
**
** Gene a writes into the direction that gene b reads, so K_a K_b and K_b K_a
** differ; the difference is the commutator.
*/
#include <dynamo.h>
#include <stdio.h>

/* I + u v', b */
static dyn_status rank_one(dyn_operator *k, const double u[2],
                           const double v[2], const double b[2], dyn_err *e) {
  dyn_tensor tu = {0}, tv = {0}, tb = {0};
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_tensor_new(&tu, DYN_F64, 2, (ptrdiff_t[]){2, 1}, e));
  DYN_TRY(dyn_tensor_new(&tv, DYN_F64, 2, (ptrdiff_t[]){2, 1}, e));
  DYN_TRY(dyn_tensor_new(&tb, DYN_F64, 1, (ptrdiff_t[]){2}, e));
  for (int i = 0; i < 2; i++) {
    dyn_f64(&tu)[i] = u[i];
    dyn_f64(&tv)[i] = v[i];
    dyn_f64(&tb)[i] = b[i];
  }
  st = dyn_operator_new(k, &tu, &tv, &tb, DYN_AFFINE, e);
done:
  dyn_tensor_free(&tu), dyn_tensor_free(&tv), dyn_tensor_free(&tb);
  return st;
}

int main(void) {
  dyn_operator a = {0}, b = {0}, ab = {0}, c = {0};
  const dyn_operator *both[] = {&a, &b};
  dyn_tensor z = {0}, moved = {0};
  double norm, relative;
  dyn_err e;
  dyn_status st = DYN_OK;
  DYN_TRY(
      rank_one(&a, (double[]){0, .5}, (double[]){1, 0}, (double[]){1, 0}, &e));
  DYN_TRY(
      rank_one(&b, (double[]){.5, 0}, (double[]){0, 1}, (double[]){0, 2}, &e));
  DYN_TRY(dyn_operator_compose(&ab, both, 2, DYN_PRODUCT, 1, &e));
  DYN_TRY(dyn_operator_commutator(&c, &norm, &relative, &a, &b, &e));
  DYN_TRY(dyn_tensor_new(&z, DYN_F64, 1, (ptrdiff_t[]){2}, &e));
  DYN_TRY(dyn_operator_apply(&moved, &ab, &z, false, &e));
  printf("a after b moves the control state to (%g, %g); |[a, b]| = %.4f\n",
         dyn_f64(&moved)[0], dyn_f64(&moved)[1], norm);
done:
  if (st != DYN_OK) fprintf(stderr, "hello: %s\n", e.msg);
  dyn_operator_free(&a), dyn_operator_free(&b), dyn_operator_free(&ab);
  dyn_operator_free(&c);
  dyn_tensor_free(&z), dyn_tensor_free(&moved);
  return st == DYN_OK ? 0 : 1;
}
