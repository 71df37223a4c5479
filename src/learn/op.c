/*
** The differentiable operations: two short functions and one row each. They
** are written with the tensor functions that users have, so they know neither
** element types nor strides. Here: element-wise ones, and the table.
*/
#include "learn/op.h"

#include "core/ops.h"

/* ---- two operands, broadcast --------------------------------------------- */

static dyn_status add_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  return dyn_map2(&y->x, DYN_ADD, dyn_in(t, y, 0), dyn_in(t, y, 1), e);
}

static dyn_status add_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  if (!dyn_wants(t, y, 1)) return dyn_flow_move(t, y, 0, &y->g, e);
  dyn_status st = dyn_flow(t, y, 0, &y->g, e);
  return st != DYN_OK ? st : dyn_flow_move(t, y, 1, &y->g, e);
}

static dyn_status sub_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  return dyn_map2(&y->x, DYN_SUB, dyn_in(t, y, 0), dyn_in(t, y, 1), e);
}

static dyn_status sub_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  if (!dyn_wants(t, y, 1)) return dyn_flow_move(t, y, 0, &y->g, e);
  dyn_status st = dyn_flow(t, y, 0, &y->g, e);
  if (st == DYN_OK) st = dyn_map2_(&y->g, DYN_DNEG, &y->g, e);
  return st != DYN_OK ? st : dyn_flow_move(t, y, 1, &y->g, e);
}

static dyn_status mul_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  return dyn_map2(&y->x, DYN_MUL, dyn_in(t, y, 0), dyn_in(t, y, 1), e);
}

static dyn_status mul_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  dyn_status st = DYN_OK;
  dyn_tensor d = {0};
  if (dyn_wants(t, y, 0)) {
    DYN_TRY(dyn_map2(&d, DYN_MUL, &y->g, dyn_in(t, y, 1), e));
    DYN_TRY(dyn_flow_move(t, y, 0, &d, e));
  }
  if (dyn_wants(t, y, 1)) {
    DYN_TRY(dyn_map2_(&y->g, DYN_MUL, dyn_in(t, y, 0), e));
    DYN_TRY(dyn_flow_move(t, y, 1, &y->g, e));
  }
done:
  dyn_tensor_free(&d);
  return st;
}

static dyn_status div_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  return dyn_map2(&y->x, DYN_DIV, dyn_in(t, y, 0), dyn_in(t, y, 1), e);
}

static dyn_status div_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  dyn_status st = dyn_map2_(&y->g, DYN_DIV, dyn_in(t, y, 1), e);
  if (st == DYN_OK) st = dyn_flow(t, y, 0, &y->g, e); /* g / b */
  if (st != DYN_OK || !dyn_wants(t, y, 1)) return st;
  st = dyn_map2_(&y->g, DYN_MUL, &y->x, e); /* - g / b * a / b */
  if (st == DYN_OK) st = dyn_map2_(&y->g, DYN_DNEG, &y->g, e);
  return st != DYN_OK ? st : dyn_flow_move(t, y, 1, &y->g, e);
}

/* ---- one operand ---------------------------------------------------------- */

/* f, and its derivative times g as a function of g and the argument or result. */
static const struct {
  dyn_unary f;
  dyn_binary d;
  bool of_result;
} simple[DYN_NOPS] = {
    [DYN_OP_NEG] = {DYN_NEG, DYN_DNEG, false},
    [DYN_OP_ABS] = {DYN_ABS, DYN_DABS, false},
    [DYN_OP_SQUARE] = {DYN_SQUARE, DYN_DSQUARE, false},
    [DYN_OP_SQRT] = {DYN_SQRT, DYN_DSQRT, true},
    [DYN_OP_EXP] = {DYN_EXP, DYN_MUL, true},
    [DYN_OP_LOG] = {DYN_LOG, DYN_DIV, false},
    [DYN_OP_LOG1P] = {DYN_LOG1P, DYN_DLOG1P, false},
    [DYN_OP_SIN] = {DYN_SIN, DYN_DSIN, false},
    [DYN_OP_COS] = {DYN_COS, DYN_DCOS, false},
    [DYN_OP_EXPM1] = {DYN_EXPM1, DYN_DEXPM1, true},
    [DYN_OP_TANH] = {DYN_TANH, DYN_DTANH, true},
    [DYN_OP_SIGMOID] = {DYN_SIGMOID, DYN_DSIGMOID, true},
    [DYN_OP_RELU] = {DYN_RELU, DYN_DRELU, false},
    [DYN_OP_GELU] = {DYN_GELU, DYN_DGELU, false},
    [DYN_OP_SOFTPLUS] = {DYN_SOFTPLUS, DYN_DSOFTPLUS, false},
};

static dyn_status simple_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  return dyn_map1(&y->x, simple[y->op].f, dyn_in(t, y, 0), e);
}

static dyn_status simple_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  const dyn_tensor *of = simple[y->op].of_result ? &y->x : dyn_in(t, y, 0);
  dyn_status st = dyn_map2_(&y->g, simple[y->op].d, of, e);
  return st != DYN_OK ? st : dyn_flow_move(t, y, 0, &y->g, e);
}

/* attr.value plus 'more' as a tensor of one element */
static dyn_status number(dyn_tensor *v, const dyn_node *y, dyn_type type,
                         double more, dyn_err *e) {
  dyn_status st = dyn_tensor_new(v, type, 0, NULL, e);
  if (st == DYN_OK) dyn_tensor_set(v, 0, y->a.value + more);
  return st;
}

static dyn_status scalar_fwd(dyn_tape *t, dyn_node *y, dyn_binary op,
                             dyn_err *e) {
  dyn_tensor v = {0};
  dyn_status st = number(&v, y, dyn_in(t, y, 0)->type, 0, e);
  if (st == DYN_OK) st = dyn_map2(&y->x, op, dyn_in(t, y, 0), &v, e);
  dyn_tensor_free(&v);
  return st;
}

static dyn_status maximum_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  return scalar_fwd(t, y, DYN_MAXIMUM, e);
}

static dyn_status minimum_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  return scalar_fwd(t, y, DYN_MINIMUM, e);
}

static dyn_status bound_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  dyn_binary inside = y->op == DYN_OP_MAXIMUM ? DYN_GT : DYN_LT;
  dyn_tensor v = {0}, on = {0};
  dyn_status st = DYN_OK;
  DYN_TRY(number(&v, y, y->x.type, 0, e));
  DYN_TRY(dyn_map2(&on, inside, dyn_in(t, y, 0), &v, e));
  DYN_TRY(dyn_map2_(&y->g, DYN_MUL, &on, e));
  DYN_TRY(dyn_flow_move(t, y, 0, &y->g, e));
done:
  dyn_tensor_free(&v), dyn_tensor_free(&on);
  return st;
}

static dyn_status pow_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  return scalar_fwd(t, y, DYN_POW, e);
}

static dyn_status pow_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  dyn_tensor v = {0}, d = {0};
  dyn_status st = DYN_OK;
  DYN_TRY(number(&v, y, y->x.type, -1, e));
  DYN_TRY(dyn_map2(&d, DYN_POW, dyn_in(t, y, 0), &v, e));
  DYN_TRY(dyn_map2_(&y->g, DYN_MUL, &d, e));
  dyn_tensor_set(&v, 0, y->a.value);
  DYN_TRY(dyn_map2_(&y->g, DYN_MUL, &v, e));
  DYN_TRY(dyn_flow_move(t, y, 0, &y->g, e));
done:
  dyn_tensor_free(&v), dyn_tensor_free(&d);
  return st;
}

static dyn_status detach_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  (void)e;
  y->need = false;
  dyn_tensor_share(&y->x, dyn_in(t, y, 0));
  return DYN_OK;
}

/* ---- the table ------------------------------------------------------------ */

#define SIMPLE(name) \
  { name, 1, 1, simple_fwd, simple_bwd }

const dyn_op dyn_ops[DYN_NOPS] = {
    [DYN_OP_LEAF] = {"leaf", 0, 0, NULL, NULL},
    [DYN_OP_ADD] = {"add", 2, 2, add_fwd, add_bwd},
    [DYN_OP_SUB] = {"sub", 2, 2, sub_fwd, sub_bwd},
    [DYN_OP_MUL] = {"mul", 2, 2, mul_fwd, mul_bwd},
    [DYN_OP_DIV] = {"div", 2, 2, div_fwd, div_bwd},
    [DYN_OP_NEG] = SIMPLE("neg"),
    [DYN_OP_ABS] = SIMPLE("abs"),
    [DYN_OP_SQUARE] = SIMPLE("square"),
    [DYN_OP_SQRT] = SIMPLE("sqrt"),
    [DYN_OP_EXP] = SIMPLE("exp"),
    [DYN_OP_LOG] = SIMPLE("log"),
    [DYN_OP_LOG1P] = SIMPLE("log1p"),
    [DYN_OP_TANH] = SIMPLE("tanh"),
    [DYN_OP_SIGMOID] = SIMPLE("sigmoid"),
    [DYN_OP_RELU] = SIMPLE("relu"),
    [DYN_OP_GELU] = SIMPLE("gelu"),
    [DYN_OP_SOFTPLUS] = SIMPLE("softplus"),
    [DYN_OP_MAXIMUM] = {"maximum", 1, 1, maximum_fwd, bound_bwd},
    [DYN_OP_SIN] = SIMPLE("sin"),
    [DYN_OP_COS] = SIMPLE("cos"),
    [DYN_OP_EXPM1] = SIMPLE("expm1"),
    [DYN_OP_MINIMUM] = {"minimum", 1, 1, minimum_fwd, bound_bwd},
    [DYN_OP_LOGSUMEXP] = {"logsumexp", 1, 1, dyn_lse_fwd, dyn_lse_bwd},
    [DYN_OP_PERMUTE] = {"permute", 1, 1, dyn_permute_fwd, dyn_permute_bwd},
    [DYN_OP_EXPAND] = {"expand", 1, 1, dyn_expand_fwd, dyn_expand_bwd},
    [DYN_OP_CUMSUM] = {"cumsum", 1, 1, dyn_cumsum_fwd, dyn_cumsum_bwd},
    [DYN_OP_GATHER] = {"gather", 2, 2, dyn_gather_fwd, dyn_gather_bwd},
    [DYN_OP_WHERE] = {"where", 3, 3, dyn_where_fwd, dyn_where_bwd},
    [DYN_OP_CUSTOM] = {"custom", 0, DYN_MANY, NULL, NULL},
    [DYN_OP_POW] = {"pow", 1, 1, pow_fwd, pow_bwd},
    [DYN_OP_SWAP] = {"swap", 1, 1, dyn_swap_fwd, dyn_swap_bwd},
    [DYN_OP_RESHAPE] = {"reshape", 1, 1, dyn_reshape_fwd, dyn_reshape_bwd},
    [DYN_OP_NARROW] = {"narrow", 1, 1, dyn_narrow_fwd, dyn_narrow_bwd},
    [DYN_OP_CAT] = {"cat", 1, DYN_MANY, dyn_cat_fwd, dyn_cat_bwd},
    [DYN_OP_ROWS] = {"rows", 1, 1, dyn_rows_fwd, dyn_rows_bwd},
    [DYN_OP_SCATTER_ROWS] = {"scatter_rows", 1, 1, dyn_scatter_fwd,
                             dyn_scatter_bwd},
    [DYN_OP_SUM] = {"sum", 1, 1, dyn_sum_fwd, dyn_sum_bwd},
    [DYN_OP_MEAN] = {"mean", 1, 1, dyn_mean_fwd, dyn_mean_bwd},
    [DYN_OP_DETACH] = {"detach", 1, 1, detach_fwd, NULL},
    [DYN_OP_MATMUL] = {"matmul", 2, 2, dyn_matmul_fwd, dyn_matmul_bwd},
    [DYN_OP_LINEAR] = {"linear", 2, 3, dyn_linear_fwd, dyn_linear_bwd},
    [DYN_OP_DROPOUT] = {"dropout", 1, 1, dyn_dropout_fwd, dyn_dropout_bwd},
    [DYN_OP_MSE] = {"mse", 2, 4, dyn_mse_fwd, dyn_mse_bwd},
    [DYN_OP_BCE_LOGITS] = {"bce_logits", 2, 4, dyn_bce_fwd, dyn_bce_bwd},
    [DYN_OP_ROW_PEARSON] = {"row_pearson", 2, 4, dyn_pearson_fwd,
                            dyn_pearson_bwd},
    [DYN_OP_POWER] = {"power", 2, 2, dyn_power_fwd, dyn_power_bwd},
    [DYN_OP_LARGER] = {"larger", 2, 2, dyn_larger_fwd, dyn_larger_bwd},
    [DYN_OP_SMALLER] = {"smaller", 2, 2, dyn_larger_fwd, dyn_larger_bwd},
    [DYN_OP_RECIPROCAL] = {"reciprocal", 1, 1, dyn_reciprocal_fwd,
                           dyn_reciprocal_bwd},
    [DYN_OP_VAR] = {"var", 1, 1, dyn_moment_fwd, dyn_var_bwd},
    [DYN_OP_STD] = {"std", 1, 1, dyn_moment_fwd, dyn_var_bwd},
    [DYN_OP_NORM] = {"norm", 1, 1, dyn_moment_fwd, dyn_norm_bwd},
    [DYN_OP_PROD] = {"prod", 1, 1, dyn_moment_fwd, dyn_prod_bwd},
    [DYN_OP_MAX] = {"max", 1, 1, dyn_extreme_fwd, dyn_chosen_bwd},
    [DYN_OP_MIN] = {"min", 1, 1, dyn_extreme_fwd, dyn_chosen_bwd},
    [DYN_OP_QUANTILE] = {"quantile", 1, 1, dyn_quantile_fwd, dyn_quantile_bwd},
    [DYN_OP_SORT] = {"sort", 1, 1, dyn_sort_fwd, dyn_chosen_bwd},
    [DYN_OP_TOPK] = {"topk", 1, 1, dyn_topk_fwd, dyn_chosen_bwd},
    [DYN_OP_DIAGONAL] = {"diagonal", 1, 1, dyn_diagonal_fwd, dyn_diagonal_bwd},
    [DYN_OP_SOLVE] = {"solve", 2, 2, dyn_solve_fwd, dyn_solve_bwd},
    [DYN_OP_CHOLESKY] = {"cholesky", 1, 1, dyn_cholesky_fwd, dyn_cholesky_bwd},
    [DYN_OP_LOGDET] = {"logdet", 1, 1, dyn_logdet_fwd, dyn_logdet_bwd},
    [DYN_OP_EIGH] = {"eigh", 1, 1, dyn_eigh_fwd, dyn_eigh_bwd},
    [DYN_OP_QR] = {"qr", 1, 1, dyn_qr_fwd, dyn_qr_bwd},
    [DYN_OP_SVD] = {"svd", 1, 1, dyn_svd_fwd, dyn_svd_bwd},
    [DYN_OP_SCATTER_ADD] = {"scatter_add", 3, 3, dyn_scatter_add_fwd,
                            dyn_scatter_add_bwd},
    [DYN_OP_SPARSE] = {"sparse", 1, 1, dyn_sparse_fwd, dyn_sparse_bwd},
    [DYN_OP_BATCH_NORM] = {"batch_norm", 3, 4, dyn_batch_norm_fwd,
                           dyn_batch_norm_bwd},
    [DYN_OP_GENE_DECODER] = {"gene_decoder", 12, 12, dyn_decoder_fwd,
                             dyn_decoder_bwd},
    [DYN_OP_LOG_SOFTMAX] = {"log_softmax", 1, 1, dyn_lsm_fwd, dyn_lsm_bwd},
};

const char *dyn_op_name(dyn_opcode op) { return dyn_ops[op].name; }
int dyn_op_arity(dyn_opcode op) { return dyn_ops[op].arity; }
int dyn_op_most(dyn_opcode op) { return dyn_ops[op].most; }

const char *dyn_activation_name(dyn_activation act) {
  static const char *const names[DYN_NACT] = {"none",    "relu", "tanh",
                                              "sigmoid", "gelu", "softplus"};
  return names[act];
}
