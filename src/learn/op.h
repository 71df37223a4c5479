/* op.h -- what a row of the operation table sees. Private to learn/. */
#ifndef DYN_OP_H
#define DYN_OP_H

#include "learn/tape.h"

enum {
  DYN_FEW = 4, /* inputs that need no memory of their own */
  DYN_MANY = INT32_MAX
};

typedef struct dyn_node {
  dyn_opcode op;
  bool need; /* does a gradient flow through here? */
  int nin;
  int few[DYN_FEW]; /* the inputs, */
  int *many;        /* or nin of them here */
  unsigned version; /* of x, when it was recorded */
  dyn_tensor x;     /* value */
  dyn_tensor g;     /* gradient; empty until something arrives */
  dyn_tensor aux;   /* a leaf's sink; what forward keeps for backward */
  dyn_tensor stats; /* means and variances of a normalisation, double */
  int64_t *idx;     /* a copy of attr.idx, which points here */
  dyn_csr csr;      /* shares attr.sparse */
  dyn_attr a;
} dyn_node;

struct dyn_tape {
  dyn_node *v;
  int n, cap;
  int at;       /* of a backward pass: the entry to look at next */
  unsigned run; /* its number */
  bool bf16;    /* products in bfloat16 */
};

/*
** fwd: compute y->x from the values of the inputs.
** bwd: y->g is complete, dense and not shared: it may be changed and moved.
** Let a contribution flow into every input.
*/
typedef dyn_status dyn_rule(dyn_tape *t, dyn_node *y, dyn_err *e);

typedef struct dyn_op {
  const char *name;
  int arity, most; /* fewest and most inputs */
  dyn_rule *fwd, *bwd;
} dyn_op;

extern const dyn_op dyn_ops[DYN_NOPS];

/* Rules that live in files of their own. */
dyn_rule dyn_swap_fwd, dyn_swap_bwd, dyn_reshape_fwd, dyn_reshape_bwd,
    dyn_narrow_fwd, dyn_narrow_bwd, dyn_cat_fwd, dyn_cat_bwd, dyn_rows_fwd,
    dyn_rows_bwd, dyn_scatter_fwd, dyn_scatter_bwd, dyn_sum_fwd, dyn_sum_bwd,
    dyn_mean_fwd, dyn_mean_bwd, dyn_matmul_fwd, dyn_matmul_bwd, dyn_linear_fwd,
    dyn_linear_bwd, dyn_dropout_fwd, dyn_dropout_bwd, dyn_mse_fwd, dyn_mse_bwd,
    dyn_bce_fwd, dyn_bce_bwd, dyn_pearson_fwd, dyn_pearson_bwd, dyn_lsm_fwd,
    dyn_lsm_bwd, dyn_lse_fwd, dyn_lse_bwd, dyn_permute_fwd, dyn_permute_bwd,
    dyn_expand_fwd, dyn_expand_bwd, dyn_cumsum_fwd, dyn_cumsum_bwd,
    dyn_gather_fwd, dyn_gather_bwd, dyn_where_fwd, dyn_where_bwd, dyn_power_fwd,
    dyn_power_bwd, dyn_larger_fwd, dyn_larger_bwd, dyn_reciprocal_fwd,
    dyn_reciprocal_bwd, dyn_moment_fwd, dyn_var_bwd, dyn_norm_bwd, dyn_prod_bwd,
    dyn_extreme_fwd, dyn_chosen_bwd, dyn_quantile_fwd, dyn_quantile_bwd,
    dyn_sort_fwd, dyn_topk_fwd, dyn_diagonal_fwd, dyn_diagonal_bwd,
    dyn_solve_fwd, dyn_solve_bwd, dyn_cholesky_fwd, dyn_cholesky_bwd,
    dyn_logdet_fwd, dyn_logdet_bwd, dyn_eigh_fwd, dyn_eigh_bwd, dyn_qr_fwd,
    dyn_qr_bwd, dyn_svd_fwd, dyn_svd_bwd, dyn_scatter_add_fwd,
    dyn_scatter_add_bwd, dyn_sparse_fwd, dyn_sparse_bwd, dyn_batch_norm_fwd,
    dyn_batch_norm_bwd, dyn_decoder_fwd, dyn_decoder_bwd;

static inline int dyn_input(const dyn_node *y, int k) {
  if (k >= y->nin) return -1;
  return y->many ? y->many[k] : y->few[k];
}

/* Value of input k, or NULL if it is absent. */
static inline dyn_tensor *dyn_in(dyn_tape *t, dyn_node *y, int k) {
  int id = dyn_input(y, k);
  return id < 0 ? NULL : &t->v[id].x;
}

/* Does input k want a gradient? */
static inline bool dyn_wants(dyn_tape *t, dyn_node *y, int k) {
  int id = dyn_input(y, k);
  return id >= 0 && t->v[id].need;
}

/* 'r', a reduction of x over 'dim' (-1: all), seen in the shape of x: borrowed,
** the missing dimension has stride 0. */
dyn_tensor dyn_kept(const dyn_tensor *r, const dyn_tensor *x, int dim);

/* Add 'd', summed to the right shape, to the gradient of input k of y. */
DYN_STATUS dyn_flow(dyn_tape *t, dyn_node *y, int k, const dyn_tensor *d,
                    dyn_err *e);
/* The same, and 'd' is empty afterwards: moved, if that saves a copy. Nothing
** else may refer to its storage. */
DYN_STATUS dyn_flow_move(dyn_tape *t, dyn_node *y, int k, dyn_tensor *d,
                         dyn_err *e);
/* The gradient of input k itself, dense. '*fresh': nothing has arrived yet,
** what it holds is to be overwritten. */
DYN_STATUS dyn_flow_into(dyn_tape *t, dyn_node *y, int k, dyn_tensor **g,
                         bool *fresh, dyn_err *e);

#endif
