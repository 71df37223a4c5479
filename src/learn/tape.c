#include "learn/tape.h"

#include <assert.h>
#include <string.h>

#include "core/ops.h"
#include "core/packed.h"
#include "learn/kernel.h"
#include "learn/op.h"

dyn_tape *dyn_tape_new(void) { return dyn_alloc(1, sizeof(dyn_tape)); }

static void clear(dyn_node *p) {
  dyn_tensor_free(&p->x);
  dyn_tensor_free(&p->g);
  dyn_tensor_free(&p->aux);
  dyn_tensor_free(&p->stats);
  if (p->many) dyn_free(p->many, (size_t)p->nin, sizeof *p->many);
  dyn_free(p->idx, (size_t)p->a.nidx, sizeof *p->idx);
  dyn_csr_free(&p->csr);
  *p = (dyn_node){0};
}

void dyn_tape_free(dyn_tape *t) {
  if (!t) return;
  for (int i = t->n - 1; i >= 0; i--) clear(&t->v[i]);
  dyn_free(t->v, (size_t)t->cap, sizeof(dyn_node));
  dyn_free(t, 1, sizeof *t);
}

dyn_status dyn_tape_bf16(dyn_tape *t, dyn_err *e) {
  if (!dyn_bf16_supported())
    return dyn_fail(e, DYN_EVALUE,
                    "tape: bf16 needs a processor with AVX512-BF16");
  t->bf16 = true;
  return DYN_OK;
}

/* ---- recording ---------------------------------------------------------- */

/* Room for one more node, zeroed but not yet counted in t->n. */
static dyn_status slot(dyn_tape *t, dyn_node **out, dyn_err *e) {
  if (t->n == t->cap) {
    int cap = t->cap ? t->cap * 2 : 32;
    dyn_node *v = dyn_alloc((size_t)cap, sizeof(dyn_node));
    if (!v)
      return dyn_fail(e, DYN_ENOMEM, "no memory for %d tape entries", cap);
    if (t->n) memcpy(v, t->v, (size_t)t->n * sizeof(dyn_node));
    dyn_free(t->v, (size_t)t->cap, sizeof(dyn_node));
    t->v = v;
    t->cap = cap;
  }
  *out = &t->v[t->n];
  **out = (dyn_node){0};
  return DYN_OK;
}

static int commit(dyn_tape *t, dyn_node *p) {
  p->version = dyn_tensor_version(&p->x);
  return t->n++;
}

dyn_status dyn_tape_leaf(dyn_tape *t, const dyn_tensor *x, bool need,
                         const dyn_tensor *sink, int *id, dyn_err *e) {
  dyn_node *p;
  if (sink && (!dyn_tensor_same_shape(sink, x) || sink->type != x->type ||
               !dyn_tensor_dense(sink)))
    return dyn_fail(e, DYN_ESHAPE, "leaf: the gradient does not fit the value");
  dyn_status st = slot(t, &p, e);
  if (st != DYN_OK) return st;
  p->need = need;
  dyn_tensor_share(&p->x, x);
  if (sink) dyn_tensor_share(&p->aux, sink);
  *id = commit(t, p);
  return DYN_OK;
}

/* Copy inputs and attributes into the node. */
static dyn_status describe(dyn_tape *t, dyn_node *p, const int *in, int nin,
                           const dyn_attr *a, dyn_err *e) {
  if (nin > DYN_FEW) {
    p->many = dyn_alloc((size_t)nin, sizeof *p->many);
    if (!p->many)
      return dyn_fail(e, DYN_ENOMEM, "no memory for %d inputs", nin);
  }
  p->nin = nin;
  for (int k = 0; k < nin; k++) {
    assert(-1 <= in[k] && in[k] < t->n);
    (p->many ? p->many : p->few)[k] = in[k];
    if (in[k] >= 0) p->need |= t->v[in[k]].need;
  }
  if (!a) return DYN_OK;
  p->a = *a;
  p->a.sparse = NULL;
  if (a->sparse) {
    dyn_status st = dyn_csr_share(&p->csr, a->sparse, e);
    if (st != DYN_OK) return p->a.nidx = 0, st;
  }
  if (!a->idx) return p->a.nidx = 0, DYN_OK;
  p->idx = dyn_alloc((size_t)a->nidx, sizeof *p->idx);
  if (!p->idx) {
    p->a.nidx = 0;
    return dyn_fail(e, DYN_ENOMEM, "no memory for %td row numbers", a->nidx);
  }
  if (a->nidx) memcpy(p->idx, a->idx, (size_t)a->nidx * sizeof *p->idx);
  p->a.idx = p->idx;
  return DYN_OK;
}

dyn_status dyn_tape_apply(dyn_tape *t, dyn_opcode op, const int *in, int nin,
                          const dyn_attr *a, int *id, dyn_err *e) {
  dyn_node *p;
  if (!dyn_ops[op].fwd)
    return dyn_fail(e, DYN_EVALUE, "%s: has a function of its own",
                    dyn_ops[op].name);
  if (nin < dyn_ops[op].arity || nin > dyn_ops[op].most)
    return dyn_fail(e, DYN_EVALUE, "%s: %d operands", dyn_ops[op].name, nin);
  dyn_status st = slot(t, &p, e);
  if (st != DYN_OK) return st;
  p->op = op;
  st = describe(t, p, in, nin, a, e);
  if (st == DYN_OK) st = dyn_ops[op].fwd(t, p, e);
  if (st == DYN_OK)
    *id = commit(t, p); /* only when the value exists */
  else
    clear(p);
  return st;
}

/* ---- gradients ---------------------------------------------------------- */

dyn_status dyn_flow_into(dyn_tape *t, dyn_node *y, int k, dyn_tensor **g,
                         bool *fresh, dyn_err *e) {
  dyn_node *p = &t->v[dyn_input(y, k)];
  dyn_status st = DYN_OK;
  *fresh = !p->g.st;
  if (*fresh && p->op == DYN_OP_LEAF && p->aux.st)
    dyn_tensor_share(&p->g, &p->aux);
  else if (*fresh)
    st = dyn_tensor_raw(&p->g, p->x.type, p->x.ndim, p->x.size, e);
  *g = &p->g;
  if (st == DYN_OK) dyn_tensor_touch(&p->g);
  return st;
}

dyn_status dyn_flow_move(dyn_tape *t, dyn_node *y, int k, dyn_tensor *d,
                         dyn_err *e) {
  dyn_tensor s = {0}, *g;
  bool fresh;
  dyn_status st = DYN_OK;
  if (!dyn_wants(t, y, k)) goto done;
  dyn_node *p = &t->v[dyn_input(y, k)];
  if (!dyn_tensor_same_shape(d, &p->x)) {
    DYN_TRY(dyn_sum_to(&s, d, &p->x, e));
    dyn_tensor_free(d);
    *d = s;
  }
  if (!p->g.st && !(p->op == DYN_OP_LEAF && p->aux.st) && dyn_tensor_dense(d)) {
    p->g = *d; /* move */
    *d = (dyn_tensor){0};
    return DYN_OK;
  }
  DYN_TRY(dyn_flow_into(t, y, k, &g, &fresh, e));
  if (fresh)
    DYN_TRY(dyn_copy_(g, d, e));
  else
    dyn_accum(g, d);
done:
  dyn_tensor_free(d);
  return st;
}

dyn_status dyn_flow(dyn_tape *t, dyn_node *y, int k, const dyn_tensor *d,
                    dyn_err *e) {
  dyn_tensor s = {0}, *g;
  bool fresh;
  if (!dyn_wants(t, y, k)) return DYN_OK;
  if (!dyn_tensor_same_shape(d, &t->v[dyn_input(y, k)].x)) {
    dyn_status st = dyn_sum_to(&s, d, &t->v[dyn_input(y, k)].x, e);
    return st != DYN_OK ? st : dyn_flow_move(t, y, k, &s, e);
  }
  dyn_status st = dyn_flow_into(t, y, k, &g, &fresh, e);
  if (st != DYN_OK) return st;
  if (fresh) return dyn_copy_(g, d, e);
  dyn_accum(g, d);
  return DYN_OK;
}

static dyn_status changed(const dyn_node *p, int i, dyn_err *e) {
  char s[DYN_SHAPELEN];
  return dyn_fail(e, DYN_EVALUE,
                  "backward: %s (entry %d, %s) was changed in place after it "
                  "was put on the tape",
                  dyn_ops[p->op].name, i + 1, dyn_tensor_shape(&p->x, s));
}

/* Every value the way to 'id' depends on is as it was. */
static dyn_status unchanged(const dyn_tape *t, int id, dyn_err *e) {
  for (int i = 0; i <= id; i++)
    if (dyn_tensor_version(&t->v[i].x) != t->v[i].version)
      return changed(&t->v[i], i, e);
  return DYN_OK;
}

static void forget(dyn_tape *t) {
  for (int i = 0; i < t->n; i++) dyn_tensor_free(&t->v[i].g);
  t->at = -1;
}

/* The gradient of 'id' itself: 'seed', or 1 for a scalar. */
static dyn_status plant(dyn_tape *t, int id, const dyn_tensor *seed,
                        dyn_err *e) {
  dyn_node *p = &t->v[id];
  dyn_status st;
  if (seed) {
    st = dyn_convert(&p->g, seed, seed->type, e);
  } else {
    st = dyn_tensor_new(&p->g, p->x.type, 0, NULL, e);
    if (st == DYN_OK) dyn_tensor_set(&p->g, 0, 1);
  }
  if (st == DYN_OK && p->op == DYN_OP_LEAF && p->aux.st)
    st = dyn_copy_(&p->aux, &p->g, e);
  return st;
}

dyn_status dyn_tape_begin(dyn_tape *t, int id, const dyn_tensor *seed,
                          unsigned *run, dyn_err *e) {
  const dyn_tensor *x = &t->v[id].x;
  char shape[DYN_SHAPELEN], own[DYN_SHAPELEN];
  if (!seed && x->ndim != 0)
    return dyn_fail(e, DYN_ESHAPE, "backward: %s is not a scalar",
                    dyn_tensor_shape(x, shape));
  if (seed && (!dyn_tensor_same_shape(seed, x) || seed->type != x->type))
    return dyn_fail(e, DYN_ESHAPE, "backward: gradient %s %s for a value %s %s",
                    dyn_tensor_shape(seed, shape), dyn_type_name(seed->type),
                    dyn_tensor_shape(x, own), dyn_type_name(x->type));
  dyn_status st = unchanged(t, id, e);
  if (st != DYN_OK) return st;
  forget(t);
  *run = ++t->run;
  if (!t->v[id].need) return DYN_OK; /* a constant: no gradient anywhere */
  st = plant(t, id, seed, e);
  if (st == DYN_OK)
    t->at = id;
  else
    forget(t);
  return st;
}

static dyn_status other_run(dyn_err *e) {
  return dyn_fail(e, DYN_EVALUE,
                  "backward: another pass over the tape began in between");
}

dyn_status dyn_tape_step(dyn_tape *t, unsigned run, int *entry, dyn_err *e) {
  dyn_status st = DYN_OK;
  *entry = -1;
  if (run != t->run) return other_run(e);
  for (; t->at >= 0; t->at--) {
    dyn_node *y = &t->v[t->at];
    if (!y->need || !y->g.st || y->op == DYN_OP_LEAF) continue;
    if (y->op == DYN_OP_CUSTOM) {
      *entry = t->at--;
      return DYN_OK;
    }
    st = dyn_ops[y->op].bwd(t, y, e);
    dyn_tensor_free(&y->g);
    if (st != DYN_OK) return forget(t), st;
  }
  for (int i = 0; i < t->n; i++) /* of custom entries */
    if (t->v[i].op == DYN_OP_CUSTOM) dyn_tensor_free(&t->v[i].g);
  return DYN_OK;
}

dyn_status dyn_tape_supply(dyn_tape *t, unsigned run, int entry, int k,
                           const dyn_tensor *g, dyn_err *e) {
  char sg[DYN_SHAPELEN], sx[DYN_SHAPELEN];
  if (run != t->run) return other_run(e);
  dyn_node *y = &t->v[entry];
  if (y->op != DYN_OP_CUSTOM || k < 0 || k >= y->nin)
    return dyn_fail(e, DYN_EVALUE, "backward: entry %d has no operand %d",
                    entry + 1, k + 1);
  const dyn_tensor *x = dyn_in(t, y, k);
  if (!x || !dyn_tensor_same_shape(g, x) || g->type != x->type)
    return dyn_fail(e, DYN_ESHAPE,
                    "backward: gradient %s %s for operand %d, which is %s %s",
                    dyn_tensor_shape(g, sg), dyn_type_name(g->type), k + 1,
                    x ? dyn_tensor_shape(x, sx) : "absent",
                    x ? dyn_type_name(x->type) : "");
  return dyn_flow(t, y, k, g, e);
}

dyn_status dyn_tape_backward(dyn_tape *t, int id, dyn_err *e) {
  unsigned run = 0;
  int entry = -1;
  dyn_status st = dyn_tape_begin(t, id, NULL, &run, e);
  if (st == DYN_OK) st = dyn_tape_step(t, run, &entry, e);
  if (st != DYN_OK || entry < 0) return st;
  forget(t);
  return dyn_fail(e, DYN_EVALUE,
                  "backward: entry %d is a custom operation, go in steps",
                  entry + 1);
}

dyn_status dyn_tape_custom(dyn_tape *t, const int *in, int nin,
                           const dyn_tensor *x, int *id, dyn_err *e) {
  dyn_node *p;
  dyn_status st = slot(t, &p, e);
  if (st != DYN_OK) return st;
  p->op = DYN_OP_CUSTOM;
  st = describe(t, p, in, nin, NULL, e);
  if (st != DYN_OK) return clear(p), st;
  dyn_tensor_share(&p->x, x);
  *id = commit(t, p);
  return DYN_OK;
}

/* ---- questions ---------------------------------------------------------- */

const dyn_tensor *dyn_tape_value(const dyn_tape *t, int id) {
  return &t->v[id].x;
}
const dyn_tensor *dyn_tape_grad(const dyn_tape *t, int id) {
  return &t->v[id].g;
}
const dyn_tensor *dyn_tape_arrived(const dyn_tape *t, int id) {
  return &t->v[id].g;
}
int dyn_tape_inputs(const dyn_tape *t, int id) { return t->v[id].nin; }
const dyn_tensor *dyn_tape_positions(const dyn_tape *t, int id) {
  static const dyn_tensor none;
  bool chosen = dyn_ops[t->v[id].op].bwd == dyn_chosen_bwd;
  return chosen ? &t->v[id].aux : &none;
}

const dyn_tensor *dyn_tape_stats(const dyn_tape *t, int id) {
  return &t->v[id].stats;
}
bool dyn_tape_need(const dyn_tape *t, int id) { return t->v[id].need; }
dyn_opcode dyn_tape_op(const dyn_tape *t, int id) { return t->v[id].op; }
int dyn_tape_len(const dyn_tape *t) { return t->n; }

int dyn_tape_nonfinite(const dyn_tape *t) {
  for (int i = 0; i < t->n; i++)
    if (!dyn_all_finite(&t->v[i].x)) return i;
  return -1;
}
