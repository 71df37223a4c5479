/* l_variable.c -- dynamo.Var: the methods of tensors that choose, reduce and
** decompose, on a tape. */
#include "bind/tape.h"
#include "core/ops.h"
#include "core/order.h"

static const dyn_tensor *value(const dyn_var *v) {
  return dyn_tape_value(v->s->t, v->id);
}

/* Run an operation of one operand; its variable is pushed, its id returned. */
static int step(lua_State *L, dyn_taperef *s, dyn_opcode op, int id,
                const dyn_attr *a) {
  dyn_runop(L, s, op, &id, 1, a);
  return ((const dyn_var *)lua_touserdata(L, -1))->id;
}

static int run1(lua_State *L, dyn_opcode op, const dyn_attr *a) {
  dyn_var *v = dyn_checkvar(L, 1);
  return dyn_runop(L, v->s, op, &v->id, 1, a);
}

static dyn_opcode opcode(lua_State *L) {
  return (dyn_opcode)lua_tointeger(L, lua_upvalueindex(1));
}

static int plain(lua_State *L) { return run1(L, opcode(L), NULL); }

/* The dimension at 'arg' (a scalar has one), or 'def'. */
static int dimension(lua_State *L, int arg, int def) {
  int nd = value(dyn_checkvar(L, 1))->ndim;
  if (lua_isnoneornil(L, arg)) return def;
  return (int)dyn_checkindex(L, arg, nd ? nd : 1);
}

static int last(lua_State *L) {
  int nd = value(dyn_checkvar(L, 1))->ndim;
  return nd ? nd - 1 : 0;
}

/* ---- two operands, one perhaps a number ------------------------------------- */

/* v:pow(number, tensor or variable): a number is an attribute, not a constant
** on the tape. */
static int either(lua_State *L) {
  dyn_opcode number = opcode(L);
  if (lua_type(L, 2) != LUA_TNUMBER)
    return dyn_vararith(L, (dyn_opcode)lua_tointeger(L, lua_upvalueindex(2)));
  return run1(L, number, &(dyn_attr){.value = lua_tonumber(L, 2)});
}

static int var_clamp(lua_State *L) { /* v:clamp(lo or nil, hi or nil) */
  lua_settop(L, 3);
  dyn_var *v = dyn_checkvar(L, 1);
  int id = v->id;
  luaL_argcheck(L, !lua_isnil(L, 2) || !lua_isnil(L, 3), 2, "no bound");
  for (int k = 2; k <= 3; k++) {
    if (lua_isnil(L, k)) continue;
    dyn_attr a = {.value = luaL_checknumber(L, k)};
    id = step(L, v->s, k == 2 ? DYN_OP_MAXIMUM : DYN_OP_MINIMUM, id, &a);
  }
  return 1;
}

/* ---- reductions and order ---------------------------------------------------- */

/* Where the values of variable 'id' were, from 1, as a tensor that is pushed. */
static void positions(lua_State *L, dyn_taperef *s, int id) {
  dyn_err e;
  dyn_tensor *at = dyn_pushtensor(L), *one = dyn_pushtensor(L);
  dyn_result(L, dyn_tensor_new(one, DYN_F64, 0, NULL, &e), &e, 0);
  dyn_tensor_set(one, 0, 1);
  dyn_result(L, dyn_map2(at, DYN_ADD, dyn_tape_positions(s->t, id), one, &e),
             &e, 0);
  lua_pop(L, 1);
}

static int reduce(lua_State *L) { /* v:var([dim]); v:max(dim), and where */
  dyn_err e;
  dyn_opcode op = opcode(L);
  dyn_var *v = dyn_checkvar(L, 1);
  dyn_attr a = {.dim = dimension(L, 2, -1)};
  if (value(v)->ndim == 0) a.dim = -1;
  int id = step(L, v->s, op, v->id, &a);
  if ((op != DYN_OP_MAX && op != DYN_OP_MIN) || a.dim < 0) return 1;
  positions(L, v->s, id);
  const dyn_tensor *at = dyn_checktensor(L, -1);
  dyn_tensor *flat = dyn_pushtensor(L); /* without the dimension of size 1 */
  dyn_result(L, dyn_tensor_select(flat, at, a.dim, 0, &e), &e, 0);
  lua_remove(L, -2);
  return 2;
}

static int var_sort(lua_State *L) { /* v:sort([dim[, descending]]) */
  dyn_var *v = dyn_checkvar(L, 1);
  dyn_attr a = {.dim = dimension(L, 2, last(L)), .lo = lua_toboolean(L, 3)};
  positions(L, v->s, step(L, v->s, DYN_OP_SORT, v->id, &a));
  return 2;
}

static int var_sorted(lua_State *L) { /* v:sorted([dim[, descending]]) */
  dyn_attr a = {.dim = dimension(L, 2, last(L)), .lo = lua_toboolean(L, 3)};
  return run1(L, DYN_OP_SORT, &a);
}

static int var_topk(lua_State *L) { /* v:topk(k[, dim[, smallest]]) */
  dyn_var *v = dyn_checkvar(L, 1);
  dyn_attr a = {.n = dyn_checkint(L, 2), .lo = lua_toboolean(L, 4)};
  a.dim = dimension(L, 3, last(L));
  positions(L, v->s, step(L, v->s, DYN_OP_TOPK, v->id, &a));
  return 2;
}

static int quantile(lua_State *L, double q, int arg) {
  dyn_attr a = {.dim = dimension(L, arg, -1), .value = q};
  if (value(dyn_checkvar(L, 1))->ndim == 0) a.dim = -1;
  return run1(L, DYN_OP_QUANTILE, &a);
}

static int var_quantile(lua_State *L) { /* v:quantile(q[, dim]) */
  return quantile(L, luaL_checknumber(L, 2), 3);
}

static int var_median(lua_State *L) { return quantile(L, 0.5, 2); }

static int var_softmax(lua_State *L) { /* along the last dimension */
  dyn_var *v = dyn_checkvar(L, 1);
  int id = step(L, v->s, DYN_OP_LOG_SOFTMAX, v->id, NULL);
  return step(L, v->s, DYN_OP_EXP, id, NULL), 1;
}

/* ---- shape ----------------------------------------------------------------- */

/* The sizes of x without dimension 'dim', or with a 1 before it. */
static dyn_attr sizes(const dyn_tensor *x, int without, int before) {
  dyn_attr a = {0};
  for (int d = 0; d < x->ndim; d++) {
    if (d == before) a.size[a.ndim++] = 1;
    if (d != without) a.size[a.ndim++] = x->size[d];
  }
  if (before == x->ndim) a.size[a.ndim++] = 1;
  return a;
}

static int var_select(lua_State *L) { /* v:select(dim, i) */
  dyn_var *v = dyn_checkvar(L, 1);
  const dyn_tensor *x = value(v);
  dyn_attr a = {.dim = (int)dyn_checkindex(L, 2, x->ndim), .n = 1};
  a.lo = dyn_checkindex(L, 3, x->size[a.dim]);
  dyn_attr rest = sizes(x, a.dim, -1);
  int id = step(L, v->s, DYN_OP_NARROW, v->id, &a);
  return step(L, v->s, DYN_OP_RESHAPE, id, &rest), 1;
}

static int var_unsqueeze(lua_State *L) { /* v:unsqueeze(dim) */
  const dyn_tensor *x = value(dyn_checkvar(L, 1));
  luaL_argcheck(L, x->ndim < DYN_MAXDIM, 1, "too many dimensions");
  dyn_attr a = sizes(x, -1, (int)dyn_checkindex(L, 2, x->ndim + 1));
  return run1(L, DYN_OP_RESHAPE, &a);
}

static int var_squeeze(lua_State *L) { /* v:squeeze([dim]) */
  const dyn_tensor *x = value(dyn_checkvar(L, 1));
  dyn_attr a = {0};
  int only = lua_isnoneornil(L, 2) ? -1 : (int)dyn_checkindex(L, 2, x->ndim);
  luaL_argcheck(L, only < 0 || x->size[only] == 1, 2, "the size is not 1");
  for (int d = 0; d < x->ndim; d++)
    if (x->size[d] != 1 || (only >= 0 && d != only))
      a.size[a.ndim++] = x->size[d];
  return run1(L, DYN_OP_RESHAPE, &a);
}

static int var_t(lua_State *L) { /* v:t() */
  luaL_argcheck(L, value(dyn_checkvar(L, 1))->ndim == 2, 1, "matrix expected");
  return run1(L, DYN_OP_SWAP, &(dyn_attr){.dim = 0, .dim2 = 1});
}

static int var_diagonal(lua_State *L) { /* v:diagonal([k]) */
  return run1(L, DYN_OP_DIAGONAL, &(dyn_attr){.lo = dyn_optint(L, 2, 0)});
}

/* ---- choosing --------------------------------------------------------------- */

static int var_index(lua_State *L) { /* v:index(dim, { i, j, ... }) */
  dyn_var *v = dyn_checkvar(L, 1);
  const dyn_tensor *x = value(v);
  dyn_attr a = {.dim = (int)dyn_checkindex(L, 2, x->ndim)};
  a.idx = dyn_checkindices(L, 3, x->size[a.dim], false, &a.nidx);
  if (a.dim == 0) return run1(L, DYN_OP_ROWS, &a);
  dyn_attr turn = {.dim = a.dim, .dim2 = 0};
  int id = step(L, v->s, DYN_OP_SWAP, v->id, &turn);
  id = step(L, v->s, DYN_OP_ROWS, id, &a);
  return step(L, v->s, DYN_OP_SWAP, id, &turn), 1;
}

static int var_masked_fill(lua_State *L) { /* v:masked_fill(mask, number) */
  int in[3];
  lua_settop(L, 3);
  dyn_var *v = dyn_checkvar(L, 1);
  luaL_checknumber(L, 3);
  in[0] = dyn_ontape(L, 2, v->s, value(v)->type);
  luaL_argcheck(L, in[0] >= 0, 2, "mask expected, got nil");
  in[1] = dyn_ontape(L, 3, v->s, value(v)->type);
  in[2] = v->id;
  return dyn_runop(L, v->s, DYN_OP_WHERE, in, 3, NULL);
}

static int var_masked_select(lua_State *L) { /* v:masked_select(mask) */
  dyn_err e;
  char sx[DYN_SHAPELEN], sm[DYN_SHAPELEN];
  dyn_var *v = dyn_checkvar(L, 1);
  const dyn_tensor *mask = dyn_checktensor(L, 2);
  if (!dyn_tensor_same_shape(mask, value(v)))
    return luaL_error(L, "masked_select: mask %s does not fit %s",
                      dyn_tensor_shape(mask, sm),
                      dyn_tensor_shape(value(v), sx));
  dyn_tensor *dense = dyn_pushtensor(L), *at = dyn_pushtensor(L);
  ptrdiff_t all = (ptrdiff_t)dyn_tensor_len(mask);
  dyn_result(L, dyn_convert(dense, mask, mask->type, &e), &e, 0);
  dense->ndim = 1, dense->size[0] = all, dense->stride[0] = 1;
  dyn_result(L, dyn_nonzero(at, dense, &e), &e, 0);
  dyn_attr a = {.nidx = at->size[0]};
  int64_t *idx = dyn_scratch(L, (size_t)a.nidx, sizeof *idx);
  for (ptrdiff_t k = 0; k < a.nidx; k++) idx[k] = (int64_t)dyn_f64(at)[k];
  a.idx = idx;
  dyn_attr line = {.ndim = 1, .size = {all}};
  int id = step(L, v->s, DYN_OP_RESHAPE, v->id, &line);
  return step(L, v->s, DYN_OP_ROWS, id, &a), 1;
}

/* v:scatter_add(dim, positions, x): a copy of v with x added there */
static int var_scatter_add(lua_State *L) {
  dyn_err e;
  int in[3];
  lua_settop(L, 4);
  dyn_var *v = dyn_checkvar(L, 1);
  dyn_attr a = {.dim = dimension(L, 2, 0)};
  const dyn_tensor *from_one = dyn_checktensor(L, 3);
  luaL_argcheck(L, !lua_isnil(L, 4), 4, "value expected, got nil");
  in[2] = dyn_ontape(L, 4, v->s, value(v)->type);
  dyn_tensor *at = dyn_pushtensor(L), *one = dyn_pushtensor(L);
  dyn_result(L, dyn_convert(at, from_one, DYN_F64, &e), &e, 0);
  dyn_result(L, dyn_tensor_new(one, DYN_F64, 0, NULL, &e), &e, 0);
  dyn_tensor_set(one, 0, 1);
  dyn_result(L, dyn_map2_(at, DYN_SUB, one, &e), &e, 0);
  dyn_result(L, dyn_tape_leaf(v->s->t, at, false, NULL, &in[1], &e), &e, 0);
  in[0] = v->id;
  return dyn_runop(L, v->s, DYN_OP_SCATTER_ADD, in, 3, &a);
}

/* ---- linear algebra ---------------------------------------------------------- */

static int var_solve(lua_State *L) { /* a:solve(b) */
  return dyn_vararith(L, DYN_OP_SOLVE);
}

/* Rows lo .. lo+n-1 of variable 'id' on top of the stack; as a vector, if so. */
static void part(lua_State *L, dyn_taperef *s, int id, ptrdiff_t lo,
                 ptrdiff_t n, bool vector) {
  dyn_attr a = {.lo = lo, .n = n}, line = {.ndim = 1, .size = {-1}};
  id = step(L, s, DYN_OP_NARROW, id, &a);
  if (!vector) return;
  step(L, s, DYN_OP_RESHAPE, id, &line);
  lua_remove(L, -2);
}

static int var_eigh(lua_State *L) { /* w, v = a:eigh() */
  dyn_var *v = dyn_checkvar(L, 1);
  int id = step(L, v->s, DYN_OP_EIGH, v->id, NULL);
  part(L, v->s, id, 0, 1, true);
  part(L, v->s, id, 1, value(v)->size[0], false);
  return 2;
}

static int var_qr(lua_State *L) { /* q, r = a:qr() */
  dyn_var *v = dyn_checkvar(L, 1);
  int id = step(L, v->s, DYN_OP_QR, v->id, NULL);
  part(L, v->s, id, 0, value(v)->size[0], false);
  part(L, v->s, id, value(v)->size[0], value(v)->size[1], false);
  return 2;
}

static int var_svd(lua_State *L) { /* u, s, v = a:svd() */
  dyn_var *v = dyn_checkvar(L, 1);
  int id = step(L, v->s, DYN_OP_SVD, v->id, NULL);
  ptrdiff_t n = value(v)->size[0], m = value(v)->size[1];
  part(L, v->s, id, 0, n, false);
  part(L, v->s, id, n, 1, true);
  part(L, v->s, id, n + 1, m, false);
  return 3;
}

int dyn_varsparse(lua_State *L, bool trans) {
  dyn_var *v = dyn_checkvar(L, 2);
  dyn_attr a = {.sparse = dyn_checksparse(L, 1), .dim = trans};
  return dyn_runop(L, v->s, DYN_OP_SPARSE, &v->id, 1, &a);
}

static int var_count(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)dyn_tensor_len(value(dyn_checkvar(L, 1))));
  return 1;
}

/* ---- registration ------------------------------------------------------------ */

static const luaL_Reg methods[] = {
    {"clamp", var_clamp},
    {"count", var_count},
    {"diagonal", var_diagonal},
    {"eigh", var_eigh},
    {"index", var_index},
    {"masked_fill", var_masked_fill},
    {"masked_select", var_masked_select},
    {"median", var_median},
    {"qr", var_qr},
    {"quantile", var_quantile},
    {"scatter_add", var_scatter_add},
    {"select", var_select},
    {"softmax", var_softmax},
    {"solve", var_solve},
    {"sort", var_sort},
    {"sorted", var_sorted},
    {"squeeze", var_squeeze},
    {"svd", var_svd},
    {"t", var_t},
    {"topk", var_topk},
    {"unsqueeze", var_unsqueeze},
    {NULL, NULL},
};

static void add(lua_State *L, lua_CFunction f, dyn_opcode op, dyn_opcode other,
                const char *name) {
  lua_pushinteger(L, op);
  lua_pushinteger(L, other);
  lua_pushcclosure(L, f, 2);
  lua_setfield(L, -2, name);
}

void dyn_open_variable(lua_State *L) {
  static const dyn_opcode alone[] = {DYN_OP_RECIPROCAL, DYN_OP_CHOLESKY,
                                     DYN_OP_LOGDET};
  luaL_getmetatable(L, DYN_VAR);
  add(L, either, DYN_OP_POW, DYN_OP_POWER, "__pow");
  lua_getfield(L, -1, "__index");
  luaL_setfuncs(L, methods, 0);
  add(L, either, DYN_OP_POW, DYN_OP_POWER, "pow");
  add(L, either, DYN_OP_MAXIMUM, DYN_OP_LARGER, "maximum");
  add(L, either, DYN_OP_MINIMUM, DYN_OP_SMALLER, "minimum");
  for (int op = DYN_OP_VAR; op <= DYN_OP_MIN; op++)
    add(L, reduce, (dyn_opcode)op, 0, dyn_op_name((dyn_opcode)op));
  for (size_t k = 0; k < sizeof alone / sizeof *alone; k++)
    add(L, plain, alone[k], 0, dyn_op_name(alone[k]));
  lua_pop(L, 2);
}
