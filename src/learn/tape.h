/*
** tape.h -- reverse-mode differentiation.
**
** A tape is the list of operations in the order they ran, so it is already
** in topological order: backward() is one loop from the end to the start.
** A variable is an index into the tape. There is no global tape.
*/
#ifndef DYN_TAPE_H
#define DYN_TAPE_H

#include "core/sparse.h"

typedef struct dyn_tape dyn_tape;

typedef enum dyn_opcode {
  DYN_OP_LEAF,
  /* element-wise, two operands, broadcast */
  DYN_OP_ADD,
  DYN_OP_SUB,
  DYN_OP_MUL,
  DYN_OP_DIV,
  /* element-wise, one operand */
  DYN_OP_NEG,
  DYN_OP_ABS,
  DYN_OP_SQUARE,
  DYN_OP_SQRT,
  DYN_OP_EXP,
  DYN_OP_LOG,
  DYN_OP_LOG1P,
  DYN_OP_TANH,
  DYN_OP_SIGMOID,
  DYN_OP_RELU,
  DYN_OP_GELU,
  DYN_OP_SOFTPLUS,
  DYN_OP_SIN,
  DYN_OP_COS,
  DYN_OP_EXPM1,
  DYN_OP_MAXIMUM, /* with attr.value */
  DYN_OP_MINIMUM, /* with attr.value */
  DYN_OP_POW,     /* to the attr.value */
  /* shape */
  DYN_OP_SWAP,         /* attr.dim, attr.dim2 */
  DYN_OP_RESHAPE,      /* attr.ndim, attr.size; one size may be -1 */
  DYN_OP_NARROW,       /* attr.dim, attr.lo, attr.n */
  DYN_OP_CAT,          /* any number of inputs, attr.dim */
  DYN_OP_ROWS,         /* r[i] = x[idx[i]] along dimension 0 */
  DYN_OP_SCATTER_ROWS, /* r[idx[i]] += x[i], r has attr.n rows */
  DYN_OP_SUM,          /* attr.dim, or all if it is -1 */
  DYN_OP_MEAN,
  DYN_OP_LOGSUMEXP,
  DYN_OP_PERMUTE, /* to the order attr.size[0 .. ndim-1] */
  DYN_OP_EXPAND,  /* to attr.ndim, attr.size; -1 keeps */
  DYN_OP_CUMSUM,  /* attr.dim */
  DYN_OP_GATHER,  /* x, positions from 0 (double), attr.dim: as dyn_gather */
  DYN_OP_WHERE,   /* mask, a, b: as dyn_where */
  DYN_OP_CUSTOM,  /* made by dyn_tape_custom: whoever calls knows the rule */
  DYN_OP_DETACH,  /* the value, and no gradient */
  /* products */
  DYN_OP_MATMUL, /* as dyn_matmul */
  DYN_OP_LINEAR, /* x (n,k), w (k,m), b (m) or absent: act(x w + b), dropout */
  DYN_OP_DROPOUT,
  /* losses: p, t, w or absent, m or absent; see losses.c */
  DYN_OP_MSE,
  DYN_OP_BCE_LOGITS,
  DYN_OP_ROW_PEARSON,
  DYN_OP_LOG_SOFTMAX, /* along the last dimension */
  /* more element-wise ones, two operands, broadcast */
  DYN_OP_POWER,   /* a^b */
  DYN_OP_LARGER,  /* of equals the gradient goes to the first */
  DYN_OP_SMALLER, /* the same */
  DYN_OP_RECIPROCAL,
  /* reductions over attr.dim, or all elements if it is -1 */
  DYN_OP_VAR, /* n - 1 in the denominator */
  DYN_OP_STD,
  DYN_OP_NORM, /* of these two the derivative at 0 is 0 */
  DYN_OP_PROD,
  DYN_OP_MAX, /* to the first of equals */
  DYN_OP_MIN,
  DYN_OP_QUANTILE, /* attr.value in 0..1: as dyn_quantile */
  /* choices */
  DYN_OP_SORT,     /* attr.dim; descending if attr.lo is not 0 */
  DYN_OP_TOPK,     /* attr.n largest (attr.lo not 0: smallest) of attr.dim */
  DYN_OP_DIAGONAL, /* the attr.lo-th of a matrix */
  /* linear algebra; those with several results: see op_linalg.c */
  DYN_OP_SOLVE,       /* a, b: as dyn_solve */
  DYN_OP_CHOLESKY,    /* the gradient is symmetric, here and in eigh */
  DYN_OP_LOGDET,      /* log |det a| */
  DYN_OP_EIGH,        /* (n,n) -> (1+n, n): values over vectors */
  DYN_OP_QR,          /* (n,k) -> (n+k, k): q over r */
  DYN_OP_SVD,         /* (n,m) -> (n+1+m, k): u over s over v */
  DYN_OP_SCATTER_ADD, /* a, positions, x, attr.dim: a copy, as dyn_scatter_add_ */
  DYN_OP_SPARSE, /* attr.sparse times x (n, k); its transpose if attr.dim */
  /* normalisation over rows: x (n,m), scale (m), shift (m), weights of rows (n)
  ** or absent: act(scale (x - mean) / sqrt(var + attr.value) + shift), negative
  ** results times attr.slope. The statistics are dyn_tape_stats. */
  DYN_OP_BATCH_NORM,
  DYN_OP_GENE_DECODER, /* see op_decoder.c */
  DYN_NOPS
} dyn_opcode;

/* What DYN_OP_LINEAR does after the bias. */
typedef enum dyn_activation {
  DYN_ACT_NONE,
  DYN_ACT_RELU,
  DYN_ACT_TANH,
  DYN_ACT_SIGMOID,
  DYN_ACT_GELU,
  DYN_ACT_SOFTPLUS,
  DYN_NACT
} dyn_activation;

/* Everything about an operation that is not a variable. Unused fields: 0. */
typedef struct dyn_attr {
  int dim, dim2;   /* 0-based */
  ptrdiff_t lo, n; /* first row and number of rows */
  double value;    /* the number of maximum and pow, eps of a normalisation */
  double slope;    /* of batch_norm left of 0: 1 linear, 0 relu, else leaky */
  int ndim;        /* of reshape */
  ptrdiff_t size[DYN_MAXDIM];
  const int64_t *idx; /* nidx row numbers, 0-based; copied */
  ptrdiff_t nidx;
  dyn_csr *sparse; /* shared, not copied */
  dyn_activation act;
  double drop;   /* probability that an element is set to 0 */
  uint64_t seed; /* row r of the mask is from stream r of it */
} dyn_attr;

dyn_tape *dyn_tape_new(void); /* NULL: out of memory */
void dyn_tape_free(dyn_tape *t);
/*
** Large products of DYN_OP_LINEAR and DYN_OP_MATMUL of float matrices, forward
** and backward, are done in bfloat16 from now on (core/packed.h); parameters,
** gradients and everything else stay float. DYN_EVALUE: not on this processor.
*/
DYN_STATUS dyn_tape_bf16(dyn_tape *t, dyn_err *e);

/*
** Put 'x' on the tape, shared, not copied. A gradient arrives if 'need'; where
** 'sink' (may be NULL; dense, the shape and type of x) is given it is written
** there and not into memory of its own. DYN_ESHAPE: the sink does not fit.
*/
DYN_STATUS dyn_tape_leaf(dyn_tape *t, const dyn_tensor *x, bool need,
                         const dyn_tensor *sink, int *id, dyn_err *e);
/*
** Run 'op' on the variables in[0 .. nin-1] (-1: an optional one is absent) and
** record it. 'a' may be NULL. On failure the tape is as it was.
*/
DYN_STATUS dyn_tape_apply(dyn_tape *t, dyn_opcode op, const int *in, int nin,
                          const dyn_attr *a, int *id, dyn_err *e);
/*
** Gradients of the scalar 'id' with respect to every leaf that needs one; those
** of intermediate values are freed on the way. DYN_ESHAPE: not a scalar.
** DYN_EVALUE: a value on the tape was changed in place since it was recorded.
** Time and memory as for the forward pass, times a small constant (Griewank and
** Walther, Evaluating Derivatives, 2008, ch. 3).
*/
DYN_STATUS dyn_tape_backward(dyn_tape *t, int id, dyn_err *e);

/*
** Operations of the caller. 'x' is the value of a function of in[0 .. nin-1]
** that the caller computed; x is shared. Its derivative is asked for during a
** backward pass in steps: begin, then step until '*entry' is -1. Each other
** entry is a custom one, whose gradient is complete (dyn_tape_arrived) and
** whose contribution to input k is given by dyn_tape_supply. A number of the
** run guards against another pass that began in between (DYN_EVALUE).
** 'seed' (NULL: 1, for scalars) is the gradient of 'id', of its shape and type:
** what is computed is a product of a vector with the Jacobian.
*/
DYN_STATUS dyn_tape_custom(dyn_tape *t, const int *in, int nin,
                           const dyn_tensor *x, int *id, dyn_err *e);
DYN_STATUS dyn_tape_begin(dyn_tape *t, int id, const dyn_tensor *seed,
                          unsigned *run, dyn_err *e);
DYN_STATUS dyn_tape_step(dyn_tape *t, unsigned run, int *entry, dyn_err *e);
const dyn_tensor *dyn_tape_arrived(const dyn_tape *t, int id);
DYN_STATUS dyn_tape_supply(dyn_tape *t, unsigned run, int entry, int k,
                           const dyn_tensor *g, dyn_err *e);
/* Inputs of an entry. */
int dyn_tape_inputs(const dyn_tape *t, int id);

/* The value of a variable, borrowed: until the tape is freed. */
const dyn_tensor *dyn_tape_value(const dyn_tape *t, int id);
/* Empty if nothing flowed there, or if 'id' is not a leaf. */
const dyn_tensor *dyn_tape_grad(const dyn_tape *t, int id);
/* Where the values of sort, topk, max and min were (from 0), else empty. */
const dyn_tensor *dyn_tape_positions(const dyn_tape *t, int id);
/* Of a normalisation: means, variances (n in the denominator) of each of its
** layers, one after the other, double. Empty of everything else. */
const dyn_tensor *dyn_tape_stats(const dyn_tape *t, int id);
bool dyn_tape_need(const dyn_tape *t, int id);
dyn_opcode dyn_tape_op(const dyn_tape *t, int id);
/* Entries so far: ids are 0 .. n-1. */
int dyn_tape_len(const dyn_tape *t);
/* The first entry whose value has a NaN or an infinity, or -1: where a loss
** that is not finite comes from. Time: one pass over all values. */
int dyn_tape_nonfinite(const dyn_tape *t);

const char *dyn_op_name(dyn_opcode op);
/* Fewest and most inputs. */
int dyn_op_arity(dyn_opcode op);
int dyn_op_most(dyn_opcode op);
const char *dyn_activation_name(dyn_activation act); /* "none", "relu", ... */

#endif
