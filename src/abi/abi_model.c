/* Gradients, networks and operators of the binary interface. */
#include <string.h>

#include "abi/box.h"
#include "core/ops.h"
#include "embed/graph.h"
#include "embed/node2vec.h"
#include "io/edges.h"
#include "koopman/operator.h"
#include "learn/tape.h"

/* ---- gradients -------------------------------------------------------------- */

struct dynamo_tape {
  dyn_tape *t;
};

dyn_status dynamo_tape_new(dynamo_tape **r, dyn_err *e) {
  void *box = NULL;
  *r = NULL;
  dyn_status st = dyn_box(&box, sizeof **r, e);
  if (st != DYN_OK) return st;
  dynamo_tape *t = box;
  t->t = dyn_tape_new();
  if (!t->t) {
    dynamo_tape_free(t);
    return dyn_fail(e, DYN_ENOMEM, "no memory for a tape");
  }
  *r = t;
  return DYN_OK;
}

void dynamo_tape_free(dynamo_tape *t) {
  if (!t) return;
  dyn_tape_free(t->t);
  dyn_free(t, 1, sizeof *t);
}

dyn_status dynamo_tape_leaf(dynamo_tape *t, const dynamo_tensor *x, int need,
                            int *id, dyn_err *e) {
  return dyn_tape_leaf(t->t, &x->t, need != 0, NULL, id, e);
}

/* What is wanting to run an operation through this interface. */
static bool needs_more(dyn_opcode op) {
  switch (op) {
  case DYN_OP_LEAF:
  case DYN_OP_CUSTOM:
  case DYN_OP_RESHAPE:
  case DYN_OP_NARROW:
  case DYN_OP_PERMUTE:
  case DYN_OP_EXPAND:
  case DYN_OP_ROWS:
  case DYN_OP_SCATTER_ROWS:
  case DYN_OP_DROPOUT:
  case DYN_OP_TOPK:
  case DYN_OP_SPARSE:
    return true;
  default:
    return false;
  }
}

static const char *op_at(int i) { return dyn_op_name((dyn_opcode)i); }

static dyn_status no_variable(int id, const dynamo_tape *t, dyn_err *e) {
  return dyn_fail(e, DYN_EVALUE, "tape: no variable %d, there are %d", id,
                  dyn_tape_len(t->t));
}

static bool known(const dynamo_tape *t, int id) {
  return id >= 0 && id < dyn_tape_len(t->t);
}

/* These have no answer to a dimension that is not there. */
static dyn_status check_dim(const dynamo_tape *t, dyn_opcode op, int first,
                            int dim, dyn_err *e) {
  char s[DYN_SHAPELEN];
  const dyn_tensor *x = dyn_tape_value(t->t, first);
  int least = op == DYN_OP_CUMSUM || op == DYN_OP_SORT || op == DYN_OP_GATHER ||
                      op == DYN_OP_CAT || op == DYN_OP_SCATTER_ADD
                  ? 0
                  : -1;
  if (dim >= least && dim < (x->ndim ? x->ndim : 1)) return DYN_OK;
  return dyn_fail(e, DYN_EVALUE, "%s: no dimension %d in %s", dyn_op_name(op),
                  dim, dyn_tensor_shape(x, s));
}

dyn_status dynamo_tape_apply(dynamo_tape *t, const char *op, const int *in,
                             int nin, int dim, double value, int *id,
                             dyn_err *e) {
  dyn_attr a = {.dim = dim, .dim2 = 1, .value = value};
  int k = dyn_box_named("tape", op, DYN_NOPS, op_at, e);
  if (k < 0) return DYN_EVALUE;
  if (needs_more((dyn_opcode)k))
    return dyn_fail(e, DYN_EVALUE, "tape: '%s' needs tape.h", op);
  if (nin < 1) return dyn_fail(e, DYN_EVALUE, "%s: %d operands", op, nin);
  for (int j = 0; j < nin; j++)
    if (!known(t, in[j]) && (j == 0 || in[j] != -1))
      return no_variable(in[j], t, e);
  if (nin < dyn_op_arity((dyn_opcode)k) || nin > dyn_op_most((dyn_opcode)k))
    return dyn_fail(e, DYN_EVALUE, "%s: %d operands", op, nin);
  for (int j = 0; j < dyn_op_arity((dyn_opcode)k); j++)
    if (in[j] < 0) return no_variable(in[j], t, e);
  if (k == DYN_OP_SWAP) a.dim = 0;
  dyn_status st = check_dim(t, (dyn_opcode)k, in[0], a.dim, e);
  if (st != DYN_OK) return st;
  return dyn_tape_apply(t->t, (dyn_opcode)k, in, nin, &a, id, e);
}

dyn_status dynamo_tape_backward(dynamo_tape *t, int id, dyn_err *e) {
  if (!known(t, id)) return no_variable(id, t, e);
  return dyn_tape_backward(t->t, id, e);
}

dyn_status dynamo_tape_value(dynamo_tensor **r, const dynamo_tape *t, int id,
                             dyn_err *e) {
  dyn_tensor v = {0};
  *r = NULL;
  if (!known(t, id)) return no_variable(id, t, e);
  dyn_tensor_share(&v, dyn_tape_value(t->t, id));
  return dyn_box_tensor(r, DYN_OK, &v, e);
}

dyn_status dynamo_tape_gradient(dynamo_tensor **r, const dynamo_tape *t, int id,
                                dyn_err *e) {
  dyn_tensor v = {0};
  *r = NULL;
  if (!known(t, id)) return no_variable(id, t, e);
  const dyn_tensor *g = dyn_tape_grad(t->t, id), *x = dyn_tape_value(t->t, id);
  dyn_status st = g->st ? dyn_convert(&v, g, g->type, e)
                        : dyn_tensor_new(&v, x->type, x->ndim, x->size, e);
  return dyn_box_tensor(r, st, &v, e);
}

/* ---- networks of genes ------------------------------------------------------ */

struct dynamo_graph {
  dyn_graph g;
};

void dynamo_graph_free(dynamo_graph *g) {
  if (!g) return;
  dyn_graph_free(&g->g);
  dyn_free(g, 1, sizeof *g);
}

/* A handle of the graph of 'x', whose names it takes over. */
static dyn_status build(dynamo_graph **r, dyn_names *names,
                        const dyn_edge_list *x, dyn_err *e) {
  void *box = NULL;
  dyn_status st = dyn_box(&box, sizeof **r, e);
  dynamo_graph *g = box;
  if (st == DYN_OK) st = dyn_graph_build(&g->g, names, x, e);
  if (st == DYN_OK)
    *r = g;
  else
    dynamo_graph_free(g);
  return st;
}

dyn_status dynamo_graph_read(dynamo_graph **r, const char *path, dyn_err *e) {
  dyn_edges x = {0};
  dyn_edges_opts o = {0};
  *r = NULL;
  dyn_status st = dyn_edges_read(path, &o, &x, e);
  if (st != DYN_OK) return st;
  dyn_edge_list list = {.n = x.n,
                        .from = x.from,
                        .to = x.to,
                        .weight = x.weight,
                        .sign = x.is_signed ? x.sign : NULL,
                        .directed = x.directed};
  st = build(r, &x.names, &list, e);
  dyn_edges_free(&x);
  return st;
}

dyn_status dynamo_graph_new(dynamo_graph **r, int64_t n,
                            const char *const *from, const char *const *to,
                            const float *weight, int directed, dyn_err *e) {
  dyn_names names = {0};
  int32_t *end = NULL;
  size_t room = n > 0 ? 2 * (size_t)n : 1;
  dyn_status st = DYN_OK;
  *r = NULL;
  if (n < 0) return dyn_fail(e, DYN_EVALUE, "graph: %lld edges", (long long)n);
  end = dyn_alloc(room, sizeof *end);
  if (!end) return dyn_fail(e, DYN_ENOMEM, "no memory for edges");
  for (int64_t i = 0; i < n; i++) {
    DYN_TRY(dyn_names_add(&names, from[i], strlen(from[i]), &end[i], NULL, e));
    DYN_TRY(dyn_names_add(&names, to[i], strlen(to[i]), &end[n + i], NULL, e));
  }
  dyn_edge_list list = {.n = n,
                        .from = end,
                        .to = end + n,
                        .weight = weight,
                        .directed = directed != 0};
  DYN_TRY(build(r, &names, &list, e));
done:
  dyn_names_free(&names);
  dyn_free(end, room, sizeof *end);
  return st;
}

int64_t dynamo_graph_nodes(const dynamo_graph *g) { return g->g.names.n; }
int64_t dynamo_graph_edges(const dynamo_graph *g) { return g->g.edges; }

const char *dynamo_graph_name(const dynamo_graph *g, int64_t i) {
  if (i < 0 || i >= g->g.names.n) return NULL;
  return dyn_names_get(&g->g.names, (int32_t)i);
}

int64_t dynamo_graph_find(const dynamo_graph *g, const char *name) {
  return dyn_names_find(&g->g.names, name, strlen(name));
}

dyn_status dynamo_node2vec(dynamo_tensor **r, const dynamo_graph *g, int dim,
                           int walks, int length, int window, double p,
                           double q, uint64_t seed, dyn_err *e) {
  dyn_csr adj = {0};
  dyn_tensor v = {0};
  dyn_node2vec_opts o = {.p = p,
                         .q = q,
                         .walks = walks,
                         .length = length,
                         .epochs = 1,
                         .skipgram = {.dim = dim,
                                      .window = window,
                                      .negatives = 5,
                                      .lr = 0.025,
                                      .seed = seed}};
  dyn_status st = dyn_graph_adjacency(&adj, &g->g, DYN_BOTH, true, false, e);
  if (st == DYN_OK) st = dyn_node2vec(&v, &adj, &o, NULL, e);
  dyn_csr_free(&adj);
  return dyn_box_tensor(r, st, &v, e);
}

/* ---- operators -------------------------------------------------------------- */

struct dynamo_operator {
  dyn_operator k;
};

void dynamo_operator_free(dynamo_operator *k) {
  if (!k) return;
  dyn_operator_free(&k->k);
  dyn_free(k, 1, sizeof *k);
}

/* What 'st' is the status of becomes a handle; 'k' is empty afterwards. */
static dyn_status boxed(dynamo_operator **r, dyn_status st, dyn_operator *k,
                        dyn_err *e) {
  void *box = NULL;
  *r = NULL;
  if (st == DYN_OK) st = dyn_box(&box, sizeof **r, e);
  if (st != DYN_OK) {
    dyn_operator_free(k);
    return st;
  }
  *r = box;
  (*r)->k = *k;
  return DYN_OK;
}

static const char *form_at(int i) {
  return i == DYN_AFFINE ? "affine" : "exponential";
}
static const char *how_at(int i) { return dyn_how_name((dyn_how)i); }

dyn_status dynamo_operator_new(dynamo_operator **r, const dynamo_tensor *u,
                               const dynamo_tensor *v, const dynamo_tensor *b,
                               const char *form, dyn_err *e) {
  dyn_operator k = {0};
  *r = NULL;
  int f = dyn_box_named("operator", form, 2, form_at, e);
  if (f < 0) return DYN_EVALUE;
  dyn_status st =
      dyn_operator_new(&k, &u->t, &v->t, b ? &b->t : NULL, (dyn_form)f, e);
  return boxed(r, st, &k, e);
}

dyn_status dynamo_operator_apply(dynamo_tensor **r, const dynamo_operator *k,
                                 const dynamo_tensor *z, int effect,
                                 dyn_err *e) {
  dyn_tensor t = {0};
  dyn_status st = dyn_operator_apply(&t, &k->k, &z->t, effect != 0, e);
  return dyn_box_tensor(r, st, &t, e);
}

dyn_status dynamo_operator_compose(dynamo_operator **r,
                                   const dynamo_operator *const *k, int n,
                                   const char *how, uint64_t seed, dyn_err *e) {
  dyn_operator made = {0};
  *r = NULL;
  int h = dyn_box_named("compose", how, DYN_NHOW, how_at, e);
  if (h < 0) return DYN_EVALUE;
  if (n < 1) return dyn_fail(e, DYN_EVALUE, "compose: %d operators", n);
  const dyn_operator **list = dyn_alloc((size_t)n, sizeof *list);
  if (!list) return dyn_fail(e, DYN_ENOMEM, "no memory for %d operators", n);
  for (int i = 0; i < n; i++) list[i] = &k[i]->k;
  dyn_status st = dyn_operator_compose(&made, list, n, (dyn_how)h, seed, e);
  dyn_free((void *)list, (size_t)n, sizeof *list);
  return boxed(r, st, &made, e);
}

dyn_status dynamo_operator_power(dynamo_operator **r, const dynamo_operator *k,
                                 double t, dyn_err *e) {
  dyn_operator made = {0};
  return boxed(r, dyn_operator_power(&made, &k->k, t, e), &made, e);
}

dyn_status dynamo_operator_commutator(double *norm, double *relative,
                                      const dynamo_operator *a,
                                      const dynamo_operator *b, dyn_err *e) {
  dyn_operator c = {0};
  dyn_status st = dyn_operator_commutator(&c, norm, relative, &a->k, &b->k, e);
  dyn_operator_free(&c);
  return st;
}

dyn_status dynamo_operator_eigenvalues(dynamo_tensor **re, dynamo_tensor **im,
                                       const dynamo_operator *k, dyn_err *e) {
  dyn_tensor t[2] = {{0}, {0}};
  dyn_status st = dyn_operator_eigenvalues(&t[0], &t[1], &k->k, e);
  return dyn_box_tensors((dynamo_tensor **const[]){re, im}, 2, st, t, e);
}
