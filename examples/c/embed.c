/*
** embed.c -- from a network to a prediction, on handles alone: genes get vectors
** by node2vec, a linear model learns the response to a perturbation from them by
** gradient descent on a tape, and the response of a gene that was never perturbed
** is predicted. Needs no structure of the library, so it links with every
** version of one major number.
**
**   cc embed.c $(pkg-config --cflags --libs dynamo) -o embed && ./embed
*/
#include <abi/abi.h>
#include <stdio.h>

/* Two modules of four genes, joined by one edge. */
static const char *const from[] = {"A1", "A1", "A1", "A2", "A2", "A3", "B1",
                                   "B1", "B1", "B2", "B2", "B3", "A4"};
static const char *const to[] = {"A2", "A3", "A4", "A3", "A4", "A4", "B2",
                                 "B3", "B4", "B3", "B4", "B4", "B1"};

enum {
  NODES = 8,
  DIM = 8,
  SEEN = 6
};

#define TRY(call)                       \
  do {                                  \
    if ((call) != DYN_OK) goto trouble; \
  } while (0)

/* One step of w -= rate * gradient of mse(x w, y); the loss before it. */
static dyn_status descend(dynamo_tensor *w, const dynamo_tensor *x,
                          const dynamo_tensor *y, double rate, double *loss,
                          dyn_err *e) {
  dynamo_tape *t = NULL;
  dynamo_tensor *g = NULL, *l = NULL, *l64 = NULL;
  int in[2], target, id;
  dyn_status st = DYN_OK;
  DYN_TRY(dynamo_tape_new(&t, e));
  DYN_TRY(dynamo_tape_leaf(t, x, 0, &in[0], e));
  DYN_TRY(dynamo_tape_leaf(t, w, 1, &in[1], e));
  DYN_TRY(dynamo_tape_leaf(t, y, 0, &target, e));
  int weights = in[1];
  DYN_TRY(dynamo_tape_apply(t, "matmul", in, 2, -1, 0, &id, e));
  in[0] = id, in[1] = target;
  DYN_TRY(dynamo_tape_apply(t, "mse", in, 2, -1, 0, &id, e));
  DYN_TRY(dynamo_tape_backward(t, id, e));
  DYN_TRY(dynamo_tape_gradient(&g, t, weights, e));
  DYN_TRY(dynamo_tape_value(&l, t, id, e));
  DYN_TRY(dynamo_tensor_convert(&l64, l, "double", e));
  *loss = dynamo_tensor_doubles(l64)[0];
  for (ptrdiff_t i = 0; i < dynamo_tensor_count(w); i++)
    dynamo_tensor_floats(w)[i] -= (float)rate * dynamo_tensor_floats(g)[i];
  dynamo_tensor_touch(w);
done:
  dynamo_tape_free(t);
  dynamo_tensor_free(g), dynamo_tensor_free(l), dynamo_tensor_free(l64);
  return st;
}

int main(void) {
  dynamo_graph *graph = NULL;
  dynamo_tensor *e = NULL, *x = NULL, *y = NULL, *w = NULL, *p = NULL;
  dyn_err err;
  double loss = 0, first = 0;
  float response[SEEN][2]; /* of two measured genes */
  float vectors[SEEN][DIM];
  int failed = 1;
  TRY(dynamo_graph_new(&graph, 13, from, to, NULL, 0, &err));
  TRY(dynamo_node2vec(&e, graph, DIM, 20, 20, 3, 1, 1, 1, &err));
  /* perturbed in training: all but A4 and B4; module A moves the first
  ** measured gene up, module B the second one down */
  int row = 0;
  for (int i = 0; i < NODES; i++) {
    const char *name = dynamo_graph_name(graph, i);
    if (name[1] == '4') continue;
    for (int d = 0; d < DIM; d++)
      vectors[row][d] = dynamo_tensor_floats(e)[i * DIM + d];
    response[row][0] = name[0] == 'A' ? 1 : 0;
    response[row++][1] = name[0] == 'B' ? -1 : 0;
  }
  TRY(dynamo_tensor_new(&x, "float", 2, (ptrdiff_t[]){SEEN, DIM}, vectors,
                        &err));
  TRY(dynamo_tensor_new(&y, "float", 2, (ptrdiff_t[]){SEEN, 2}, response,
                        &err));
  TRY(dynamo_tensor_new(&w, "float", 2, (ptrdiff_t[]){DIM, 2}, NULL, &err));
  for (int step = 0; step < 2000; step++) {
    TRY(descend(w, x, y, 0.5, &loss, &err));
    if (step == 0) first = loss;
  }
  TRY(dynamo_matmul(&p, e, w, &err));
  const float *a4 =
      dynamo_tensor_floats(p) + 2 * dynamo_graph_find(graph, "A4");
  const float *b4 =
      dynamo_tensor_floats(p) + 2 * dynamo_graph_find(graph, "B4");
  printf("dynamo %s: loss fell by %.0f%%; A4 %s the first gene, B4 %s the "
         "second\n",
         dyn_version(), 100 * (1 - loss / first),
         a4[0] > 0.5 ? "raises" : "leaves", b4[1] < -0.5 ? "lowers" : "leaves");
  failed = !(a4[0] > 0.5 && b4[1] < -0.5);
trouble:
  if (failed && !p) fprintf(stderr, "embed: %s\n", err.msg);
  dynamo_tensor_free(e), dynamo_tensor_free(x), dynamo_tensor_free(y);
  dynamo_tensor_free(w), dynamo_tensor_free(p), dynamo_graph_free(graph);
  return failed;
}
