/*
** The binary interface: every function on handles, what is wrong, out of memory.
** Only abi.h is included, as by a program that links with the library.
*/
#include <string.h>

#include "abi/abi.h"
#include "test.h"

static dyn_err err;

static dynamo_tensor *doubles(int ndim, ptrdiff_t n, ptrdiff_t m,
                              const double *v) {
  dynamo_tensor *t = NULL;
  if (dynamo_tensor_new(&t, "double", ndim, (ptrdiff_t[]){n, m}, v, &err) !=
      DYN_OK)
    exit(2);
  return t;
}

static const double four[] = {4, 2, 2, 3};

/* Runs a call that makes one tensor, and frees that. */
#define MAKES(call)                      \
  do {                                   \
    dynamo_tensor *r_ = NULL, **r = &r_; \
    dyn_status st = (call);              \
    dynamo_tensor_free(r_);              \
    return st;                           \
  } while (0)

static dynamo_tensor *a;
static dyn_status makes_new(void) {
  MAKES(dynamo_tensor_new(r, "float", 2, (ptrdiff_t[]){2, 3}, NULL, NULL));
}
static dyn_status makes_random(void) {
  MAKES(dynamo_tensor_random(r, "normal", 1, "float", 0, NULL, NULL));
}
static dyn_status makes_share(void) { MAKES(dynamo_tensor_share(r, a, NULL)); }
static dyn_status makes_reshape(void) {
  MAKES(dynamo_tensor_reshape(r, a, 1, (ptrdiff_t[]){-1}, NULL));
}
static dyn_status makes_convert(void) {
  MAKES(dynamo_tensor_convert(r, a, "float", NULL));
}
static dyn_status makes_narrow(void) {
  MAKES(dynamo_tensor_narrow(r, a, 1, 1, 1, NULL));
}
static dyn_status makes_swap(void) {
  MAKES(dynamo_tensor_swap(r, a, 0, 1, NULL));
}
static dyn_status makes_map(void) { MAKES(dynamo_map(r, "exp", a, NULL)); }
static dyn_status makes_combine(void) {
  MAKES(dynamo_combine(r, "add", a, a, NULL));
}
static dyn_status makes_reduce(void) {
  MAKES(dynamo_reduce(r, "sum", a, 0, NULL));
}
static dyn_status makes_matmul(void) { MAKES(dynamo_matmul(r, a, a, NULL)); }
static dyn_status makes_solve(void) { MAKES(dynamo_solve(r, a, a, NULL)); }
static dyn_status makes_cholesky(void) { MAKES(dynamo_cholesky(r, a, NULL)); }

static dyn_status makes_several(void) {
  dynamo_tensor *u = NULL, *s = NULL, *v = NULL;
  dyn_status st = dynamo_svd(&u, &s, &v, a, NULL);
  dynamo_tensor_free(u), dynamo_tensor_free(s), dynamo_tensor_free(v);
  if (st != DYN_OK) return st;
  st = dynamo_eigh(&u, &v, a, NULL);
  if (st != DYN_OK) return st;
  dynamo_tensor_free(u), dynamo_tensor_free(v);
  st = dynamo_qr(&u, &v, a, NULL);
  if (st != DYN_OK) return st;
  dynamo_tensor_free(u), dynamo_tensor_free(v);
  return st;
}

static void values_and_shapes(void) {
  dynamo_tensor *t = NULL, *f = NULL;
  OK(dynamo_tensor_ndim(a) == 2 && dynamo_tensor_size(a, 1) == 2);
  OK(dynamo_tensor_size(a, 2) == 0 && dynamo_tensor_size(a, -1) == 0);
  OK(dynamo_tensor_count(a) == 4 && !strcmp(dynamo_tensor_type(a), "double"));
  OK(dynamo_tensor_doubles(a)[1] == 2 && !dynamo_tensor_floats(a));
  OK(dynamo_tensor_share(&t, a, &err) == DYN_OK);
  dynamo_tensor_doubles(t)[1] = 7;
  OK(dynamo_tensor_doubles(a)[1] == 7);
  dynamo_tensor_doubles(t)[1] = 2;
  dynamo_tensor_free(t);
  OK(dynamo_tensor_convert(&f, a, "float", &err) == DYN_OK);
  OK(dynamo_tensor_floats(f)[3] == 3 && !dynamo_tensor_doubles(f));
  OK(dynamo_combine(&t, "add", a, f, &err) == DYN_ETYPE && !t);
  dynamo_tensor_free(f);
  OK(dynamo_tensor_narrow(&t, a, 1, 1, 1, &err) == DYN_OK);
  OK(dynamo_tensor_doubles(t)[1] == 3);
  OK(dynamo_combine(&f, "add", a, t, &err) == DYN_OK);
  OK(dynamo_tensor_doubles(f)[2] == 5);
  dynamo_tensor_free(t), dynamo_tensor_free(f);
  OK(dynamo_reduce(&t, "sum", a, -1, &err) == DYN_OK);
  OK(dynamo_tensor_ndim(t) == 0 && dynamo_tensor_doubles(t)[0] == 11);
  dynamo_tensor_free(t);
  OK(dynamo_solve(&t, a, a, &err) == DYN_OK);
  NEAR(dynamo_tensor_doubles(t)[0], 1.0, 1e-14);
  dynamo_tensor_free(t);
  OK(dynamo_cholesky(&t, a, &err) == DYN_OK);
  NEAR(dynamo_tensor_doubles(t)[0], 2.0, 1e-14);
  dynamo_tensor_free(t), dynamo_tensor_free(NULL);
}

static void what_is_wrong_has_a_status(void) {
  dynamo_tensor *t = a;
  OK(dynamo_tensor_new(&t, "int", 0, NULL, NULL, &err) == DYN_EVALUE && !t);
  OK(strstr(err.msg, "there is no 'int'") != NULL);
  OK(dynamo_tensor_new(&t, NULL, 0, NULL, NULL, &err) == DYN_EVALUE);
  OK(dynamo_tensor_new(&t, "float", 99, NULL, NULL, &err) == DYN_EVALUE);
  OK(dynamo_tensor_new(&t, "float", 1, (ptrdiff_t[]){-1}, NULL, NULL) ==
     DYN_EVALUE);
  OK(dynamo_tensor_random(&t, "cauchy", 1, "float", 0, NULL, &err) ==
     DYN_EVALUE);
  OK(dynamo_map(&t, "plus", a, &err) == DYN_EVALUE);
  OK(dynamo_reduce(&t, "sum", a, 2, &err) == DYN_EVALUE);
  OK(dynamo_tensor_swap(&t, a, 0, 2, &err) == DYN_EVALUE);
  OK(dynamo_tensor_narrow(&t, a, -1, 0, 1, &err) == DYN_EVALUE);
  OK(dynamo_tensor_narrow(&t, a, 0, 1, 5, &err) == DYN_EVALUE);
  OK(dynamo_tensor_reshape(&t, a, 1, (ptrdiff_t[]){3}, &err) == DYN_ESHAPE);
  OK(dynamo_tensor_reshape(&t, a, 7, NULL, &err) == DYN_EVALUE);
  OK(dynamo_npy_read(&t, "/nowhere.npy", &err) == DYN_EIO && !t);
  OK(dynamo_npy_write("/nowhere/x.npy", a, &err) == DYN_EIO);
}

/* d sum((x x)^2) on a tape */
static dyn_status gradient(double *g) {
  dynamo_tape *t = NULL;
  dynamo_tensor *d = NULL, *v = NULL;
  int x, y;
  dyn_status st = DYN_OK;
  DYN_TRY(dynamo_tape_new(&t, NULL));
  DYN_TRY(dynamo_tape_leaf(t, a, 1, &x, NULL));
  DYN_TRY(dynamo_tape_apply(t, "mul", (int[]){x, x}, 2, -1, 0, &y, NULL));
  DYN_TRY(dynamo_tape_apply(t, "sum", &y, 1, -1, 0, &y, NULL));
  DYN_TRY(dynamo_tape_backward(t, y, NULL));
  DYN_TRY(dynamo_tape_gradient(&d, t, x, NULL));
  DYN_TRY(dynamo_tape_value(&v, t, y, NULL));
  *g = dynamo_tensor_doubles(d)[3];
done:
  dynamo_tape_free(t);
  dynamo_tensor_free(d), dynamo_tensor_free(v);
  return st;
}

static void gradients(void) {
  double g = 0;
  int x, y = 0;
  dynamo_tape *t = NULL;
  dynamo_tensor *r = NULL;
  OK(gradient(&g) == DYN_OK && g == 6);
  OUT_OF_MEMORY(gradient(&g));
  OK(dynamo_tape_new(&t, &err) == DYN_OK);
  OK(dynamo_tape_leaf(t, a, 1, &x, &err) == DYN_OK);
  static const char *const refused[] = {"leaf", "custom", "reshape", "narrow",
                                        "rows", "sparse", "nothing"};
  for (size_t k = 0; k < sizeof refused / sizeof *refused; k++)
    OK(dynamo_tape_apply(t, refused[k], &x, 1, 0, 0, &y, &err) == DYN_EVALUE);
  OK(dynamo_tape_apply(t, "add", (int[]){x, 5}, 2, -1, 0, &y, &err) ==
     DYN_EVALUE);
  OK(dynamo_tape_apply(t, "add", (int[]){x, -1}, 2, -1, 0, &y, &err) ==
     DYN_EVALUE);
  OK(dynamo_tape_apply(t, "add", &x, 1, -1, 0, &y, &err) == DYN_EVALUE);
  OK(dynamo_tape_apply(t, "sum", &x, 1, 2, 0, &y, &err) == DYN_EVALUE);
  OK(dynamo_tape_apply(t, "cumsum", &x, 1, -1, 0, &y, &err) == DYN_EVALUE);
  OK(dynamo_tape_apply(t, "swap", &x, 1, -1, 0, &y, &err) == DYN_OK);
  OK(dynamo_tape_backward(t, y, &err) == DYN_ESHAPE);
  OK(dynamo_tape_backward(t, 99, &err) == DYN_EVALUE);
  OK(dynamo_tape_value(&r, t, -1, &err) == DYN_EVALUE);
  OK(dynamo_tape_apply(t, "sum", &x, 1, -1, 0, &y, &err) == DYN_OK);
  dynamo_tensor_touch(a);
  OK(dynamo_tape_backward(t, y, &err) == DYN_EVALUE);
  OK(strstr(err.msg, "changed in place") != NULL);
  dynamo_tape_free(t), dynamo_tape_free(NULL);
}

/* Every name of the tape either works or says why not, on anything. */
static void no_operation_crashes(void) {
  static const char *const names[] = {
      "add",         "sub",         "mul",      "div",    "neg",
      "abs",         "square",      "sqrt",     "exp",    "log",
      "log1p",       "tanh",        "sigmoid",  "relu",   "gelu",
      "softplus",    "sin",         "cos",      "expm1",  "maximum",
      "minimum",     "pow",         "swap",     "cat",    "sum",
      "mean",        "logsumexp",   "cumsum",   "gather", "where",
      "detach",      "matmul",      "linear",   "mse",    "bce_logits",
      "row_pearson", "log_softmax", "power",    "larger", "smaller",
      "reciprocal",  "var",         "std",      "norm",   "prod",
      "max",         "min",         "quantile", "sort",   "diagonal",
      "solve",       "cholesky",    "logdet",   "eigh",   "qr",
      "svd",         "scatter_add"};
  dynamo_tensor *x[5] = {doubles(0, 0, 0, four), doubles(1, 2, 0, four),
                         doubles(2, 2, 2, four), doubles(2, 0, 2, NULL),
                         doubles(1, 0, 0, NULL)};
  int ran = 0;
  for (size_t k = 0; k < sizeof names / sizeof *names; k++)
    for (int first = 0; first < 5; first++)
      for (int second = 0; second < 5; second++)
        for (int dim = -1; dim < 2; dim++) {
          dynamo_tape *t = NULL;
          int in[3], y = 0;
          if (dynamo_tape_new(&t, NULL) != DYN_OK ||
              dynamo_tape_leaf(t, x[first], 1, &in[0], NULL) != DYN_OK ||
              dynamo_tape_leaf(t, x[second], 1, &in[1], NULL) != DYN_OK ||
              dynamo_tape_leaf(t, x[second], 1, &in[2], NULL) != DYN_OK)
            exit(2);
          for (int n = 1; n <= 3; n++)
            if (dynamo_tape_apply(t, names[k], in, n, dim, .5, &y, &err) ==
                    DYN_OK &&
                dynamo_tape_apply(t, "sum", &y, 1, -1, 0, &y, &err) == DYN_OK)
              ran += dynamo_tape_backward(t, y, &err) == DYN_OK;
          dynamo_tape_free(t);
        }
  printf("# %d of these ran\n", ran);
  OK(ran > 1000);
  for (int k = 0; k < 5; k++) dynamo_tensor_free(x[k]);
}

static const char *const from[] = {"A", "A", "B"}, *const to[] = {"B", "C",
                                                                  "C"};

static dyn_status embedded(void) {
  dynamo_graph *g = NULL;
  dynamo_tensor *v = NULL;
  dyn_status st = DYN_OK;
  DYN_TRY(dynamo_graph_new(&g, 3, from, to, NULL, 1, NULL));
  DYN_TRY(dynamo_node2vec(&v, g, 4, 2, 5, 2, 1, 1, 1, NULL));
  OK(dynamo_tensor_size(v, 0) == 3 && dynamo_tensor_size(v, 1) == 4);
done:
  dynamo_graph_free(g), dynamo_tensor_free(v);
  return st;
}

static void graphs(void) {
  dynamo_graph *g = NULL;
  dynamo_tensor *v = NULL;
  OK(dynamo_graph_new(&g, 3, from, to, (float[]){1, 2, 3}, 1, &err) == DYN_OK);
  OK(dynamo_graph_nodes(g) == 3 && dynamo_graph_edges(g) == 3);
  OK(!strcmp(dynamo_graph_name(g, 1), "B") && !dynamo_graph_name(g, 3));
  OK(dynamo_graph_find(g, "C") == 2 && dynamo_graph_find(g, "D") == -1);
  OK(dynamo_node2vec(&v, g, 0, 2, 5, 2, 1, 1, 1, &err) == DYN_EVALUE && !v);
  dynamo_graph_free(g), dynamo_graph_free(NULL);
  OK(dynamo_graph_new(&g, 1, from, to, (float[]){NAN}, 1, &err) == DYN_EVALUE);
  OK(dynamo_graph_new(&g, -1, from, to, NULL, 1, &err) == DYN_EVALUE && !g);
  OK(dynamo_graph_read(&g, "/nowhere.csv", &err) == DYN_EIO && !g);
  OUT_OF_MEMORY(embedded());
}

static dyn_status operated(double *norm) {
  dynamo_operator *k = NULL, *m = NULL, *both = NULL, *half = NULL;
  dynamo_tensor *u = NULL, *v = NULL, *z = NULL, *re = NULL, *im = NULL,
                *state = NULL;
  double relative;
  ptrdiff_t size[] = {2, 1};
  dyn_status st = DYN_OK;
  DYN_TRY(dynamo_tensor_new(&u, "double", 2, size, (double[]){0, .5}, NULL));
  DYN_TRY(dynamo_tensor_new(&v, "double", 2, size, (double[]){1, 0}, NULL));
  DYN_TRY(dynamo_operator_new(&k, u, v, NULL, "affine", NULL));
  DYN_TRY(dynamo_operator_new(&m, v, u, NULL, "affine", NULL));
  DYN_TRY(dynamo_operator_compose(&both, (const dynamo_operator *[]){k, m}, 2,
                                  "product", 1, NULL));
  DYN_TRY(dynamo_operator_power(&half, k, .5, NULL));
  DYN_TRY(dynamo_tensor_reshape(&state, v, 1, size, NULL));
  DYN_TRY(dynamo_operator_apply(&z, both, state, 1, NULL));
done:
  if (st == DYN_OK)
    st = dynamo_operator_commutator(norm, &relative, k, m, NULL);
  if (st == DYN_OK) st = dynamo_operator_eigenvalues(&re, &im, both, NULL);
  dynamo_operator_free(k), dynamo_operator_free(m);
  dynamo_operator_free(both), dynamo_operator_free(half);
  dynamo_tensor_free(u), dynamo_tensor_free(v), dynamo_tensor_free(z);
  dynamo_tensor_free(re), dynamo_tensor_free(im), dynamo_tensor_free(state);
  return st;
}

static void operators(void) {
  double norm = 0;
  dynamo_operator *k = NULL;
  dynamo_tensor *u = doubles(2, 2, 1, four), *b = doubles(1, 2, 0, four),
                *z = doubles(1, 2, 0, NULL), *r = NULL;
  OK(dynamo_operator_new(&k, u, u, b, "linear", &err) == DYN_EVALUE && !k);
  OK(dynamo_operator_new(&k, u, u, u, "affine", &err) != DYN_OK && !k);
  OK(dynamo_operator_new(&k, u, u, b, "affine", &err) == DYN_OK);
  OK(dynamo_operator_apply(&r, k, z, 0, &err) == DYN_OK);
  OK(dynamo_tensor_doubles(r)[0] == 4);
  dynamo_tensor_free(r);
  dynamo_operator *none = k;
  OK(dynamo_operator_compose(&none, NULL, 0, "product", 1, &err) == DYN_EVALUE);
  OK(dynamo_operator_compose(&none, (const dynamo_operator *[]){k}, 1, "sum", 1,
                             &err) == DYN_EVALUE);
  dynamo_operator_free(k), dynamo_operator_free(NULL);
  dynamo_tensor_free(u), dynamo_tensor_free(b), dynamo_tensor_free(z);
  OK(operated(&norm) == DYN_OK && norm > 0.3);
  OUT_OF_MEMORY(operated(&norm));
}

int main(void) {
  a = doubles(2, 2, 2, four);
  OK(!strcmp(dyn_version(), DYN_VERSION));
  OK(dyn_version_number() == DYN_VERSION_NUMBER);
  values_and_shapes();
  what_is_wrong_has_a_status();
  OUT_OF_MEMORY(makes_new());
  OUT_OF_MEMORY(makes_random());
  OUT_OF_MEMORY(makes_share());
  OUT_OF_MEMORY(makes_reshape());
  OUT_OF_MEMORY(makes_convert());
  OUT_OF_MEMORY(makes_narrow());
  OUT_OF_MEMORY(makes_swap());
  OUT_OF_MEMORY(makes_map());
  OUT_OF_MEMORY(makes_combine());
  OUT_OF_MEMORY(makes_reduce());
  OUT_OF_MEMORY(makes_matmul());
  OUT_OF_MEMORY(makes_solve());
  OUT_OF_MEMORY(makes_cholesky());
  OUT_OF_MEMORY(makes_several());
  gradients();
  graphs();
  operators();
  dynamo_tensor_free(a);
  no_operation_crashes();
  return done_testing();
}
