/* Views, broadcasting, errors, and both element types. */
#include "core/ops.h"
#include "test.h"

static dyn_tensor iota(dyn_type type, int ndim, const ptrdiff_t *size) {
  dyn_tensor t = {0};
  if (dyn_tensor_new(&t, type, ndim, size, NULL) != DYN_OK) exit(2);
  for (size_t i = 0; i < dyn_tensor_len(&t); i++)
    dyn_tensor_set(&t, (ptrdiff_t)i, (double)i);
  return t;
}

static void views_share_storage(dyn_type type) {
  dyn_tensor t = iota(type, 2, (ptrdiff_t[]){3, 4}), row = {0}, tr = {0};
  OK(dyn_tensor_narrow(&row, &t, 0, 1, 2, NULL) == DYN_OK);
  dyn_tensor_swap(&tr, &row, 0, 1);
  dyn_tensor_set(&tr, 0, 42);
  OK(dyn_tensor_get(&t, 4) == 42);
  dyn_tensor_free(&t); /* the views keep the storage alive */
  OK(dyn_tensor_get(&row, 0) == 42 && tr.size[0] == 4 && tr.size[1] == 2);
  OK(dyn_tensor_dense(&row) && !dyn_tensor_dense(&tr));
  dyn_tensor_free(&row);
  dyn_tensor_free(&row); /* twice is fine */
  dyn_tensor_free(&tr);
}

static void broadcasting(dyn_type type) {
  dyn_tensor m = iota(type, 2, (ptrdiff_t[]){2, 3});
  dyn_tensor v = iota(type, 1, (ptrdiff_t[]){3}), r = {0}, s = {0}, tr = {0};
  OK(dyn_map2(&r, DYN_ADD, &m, &v, NULL) == DYN_OK);
  OK(r.ndim == 2 && dyn_tensor_get(&r, 5) == 5 + 2);
  OK(dyn_sum_to(&s, &r, &v, NULL) == DYN_OK && s.type == type);
  OK(s.size[0] == 3 && dyn_tensor_get(&s, 2) == (2 + 2) + (5 + 2));
  dyn_tensor_free(&r), dyn_tensor_free(&s);
  dyn_tensor_swap(&tr, &m, 0, 1); /* strided operands */
  OK(dyn_map2(&r, DYN_MUL, &tr, &tr, NULL) == DYN_OK);
  OK(r.size[0] == 3 && dyn_tensor_get(&r, 1) == 3 * 3);
  OK(dyn_reduce(&s, DYN_SUM, &tr, -1, NULL) == DYN_OK &&
     dyn_tensor_get(&s, 0) == 15);
  dyn_tensor_free(&m), dyn_tensor_free(&v), dyn_tensor_free(&tr);
  dyn_tensor_free(&r), dyn_tensor_free(&s);
}

static void errors_name_the_shapes(void) {
  dyn_err e;
  dyn_tensor a = iota(DYN_F32, 2, (ptrdiff_t[]){2, 3}), r = {0};
  dyn_tensor b = iota(DYN_F32, 1, (ptrdiff_t[]){2});
  dyn_tensor c = iota(DYN_F64, 1, (ptrdiff_t[]){3});
  OK(dyn_map2(&r, DYN_ADD, &a, &b, &e) == DYN_ESHAPE);
  printf("# %s\n", e.msg);
  OK(dyn_map2(&r, DYN_ADD, &a, &c, &e) == DYN_ETYPE);
  printf("# %s\n", e.msg);
  OK(dyn_tensor_narrow(&r, &a, 1, 2, 2, &e) == DYN_EVALUE);
  printf("# %s\n", e.msg);
  ptrdiff_t huge[] = {PTRDIFF_MAX, 8};
  OK(dyn_tensor_new(&r, DYN_F32, 2, huge, &e) == DYN_ENOMEM);
  OK(r.st == NULL);
  dyn_tensor_free(&a), dyn_tensor_free(&b), dyn_tensor_free(&c);
}

static void empty_and_scalar(dyn_type type) {
  dyn_tensor z = {0}, s = {0}, r = {0};
  OK(dyn_tensor_new(&z, type, 2, (ptrdiff_t[]){0, 3}, NULL) == DYN_OK);
  OK(dyn_reduce(&s, DYN_SUM, &z, -1, NULL) == DYN_OK && s.ndim == 0);
  OK(dyn_tensor_get(&s, 0) == 0);
  OK(dyn_map2(&r, DYN_ADD, &z, &s, NULL) == DYN_OK && dyn_tensor_len(&r) == 0);
  dyn_tensor_free(&z), dyn_tensor_free(&s), dyn_tensor_free(&r);
}

static dyn_status convert_and_sum(const dyn_tensor *x) {
  dyn_tensor f = {0}, s = {0}, like = {.ndim = 1, .size = {3}};
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_convert(&f, x, DYN_F32, NULL));
  DYN_TRY(dyn_sum_to(&s, &f, &like, NULL));
done:
  dyn_tensor_free(&f), dyn_tensor_free(&s);
  return st;
}

static float lent[3] = {1, 2, 3};

static dyn_status settled(const dyn_tensor *like) {
  dyn_tensor t = {0};
  dyn_tensor_lend(&t, like, lent);
  dyn_status st = dyn_tensor_settle(&t, NULL);
  dyn_tensor_free(&t);
  return st;
}

static void lend_and_settle(void) {
  dyn_tensor like = iota(DYN_F32, 1, (ptrdiff_t[]){3}), t = {0}, r = {0};
  dyn_tensor_lend(&t, &like, lent);
  OK(t.data == lent && dyn_alike(&t, &like));
  OK(dyn_map2(&r, DYN_ADD, &t, &like, NULL) == DYN_OK);
  OK(dyn_f32(&r)[2] == 5);
  OK(dyn_tensor_settle(&t, NULL) == DYN_OK && t.data != lent);
  OK(dyn_f32(&t)[2] == 3 && dyn_tensor_settle(&t, NULL) == DYN_OK);
  dyn_tensor_free(&t), dyn_tensor_free(&r);
  OUT_OF_MEMORY(settled(&like));
  dyn_tensor_free(&like);
}

int main(void) {
  lend_and_settle();
  for (int type = 0; type < DYN_NTYPES; type++) {
    printf("# %s\n", dyn_type_name((dyn_type)type));
    views_share_storage((dyn_type)type);
    broadcasting((dyn_type)type);
    empty_and_scalar((dyn_type)type);
  }
  errors_name_the_shapes();
  dyn_tensor x = iota(DYN_F64, 2, (ptrdiff_t[]){2, 3});
  OUT_OF_MEMORY(convert_and_sum(&x));
  dyn_tensor_free(&x);
  return done_testing();
}
