/*
** ops.h -- arithmetic on tensors. Operands have one element type, the result
** has it too (DYN_ETYPE otherwise), and reductions add in double.
*/
#ifndef DYN_OPS_H
#define DYN_OPS_H

#include "core/tensor.h"

/* Element-wise functions of one operand. */
typedef enum dyn_unary {
  DYN_NEG,
  DYN_ABS,
  DYN_SIGN,
  DYN_SQUARE,
  DYN_SQRT,
  DYN_EXP,
  DYN_EXPM1,
  DYN_LOG,
  DYN_LOG1P,
  DYN_TANH,
  DYN_SIGMOID,
  DYN_RELU,
  DYN_GELU,
  DYN_SOFTPLUS,
  DYN_SIN,
  DYN_COS,
  DYN_FLOOR,
  DYN_ROUND,
  DYN_RECIPROCAL,
  DYN_ISNAN,
  DYN_NUNARY
} dyn_unary;

/*
** Element-wise functions of two, broadcast. Comparisons give 0 and 1. The last
** rows are derivatives for the tape: g * f'(x), or of y = f(x) where named so.
*/
typedef enum dyn_binary {
  DYN_ADD,
  DYN_SUB,
  DYN_MUL,
  DYN_DIV,
  DYN_POW,
  DYN_MAXIMUM,
  DYN_MINIMUM,
  DYN_LT,
  DYN_LE,
  DYN_EQ,
  DYN_NE,
  DYN_GT,
  DYN_GE,
  DYN_NBINARY_PUBLIC,
  DYN_DTANH = DYN_NBINARY_PUBLIC, /* (g, y) */
  DYN_DSIGMOID,                   /* (g, y) */
  DYN_DRELU,                      /* (g, x) */
  DYN_DGELU,                      /* (g, x) */
  DYN_DNEG,                       /* (g, x) */
  DYN_DABS,                       /* (g, x) */
  DYN_DSQUARE,                    /* (g, x) */
  DYN_DSQRT,                      /* (g, y) */
  DYN_DLOG1P,                     /* (g, x) */
  DYN_DSOFTPLUS,                  /* (g, x) */
  DYN_DSIN,                       /* (g, x) */
  DYN_DCOS,                       /* (g, x) */
  DYN_DEXPM1,                     /* (g, y) */
  DYN_NBINARY
} dyn_binary;

const char *dyn_unary_name(dyn_unary op);   /* "neg", "abs", ... */
const char *dyn_binary_name(dyn_binary op); /* "add", "sub", ... */

/* r = op(a) */
DYN_STATUS dyn_map1(dyn_tensor *r, dyn_unary op, const dyn_tensor *a,
                    dyn_err *e);
/* r = op(a, b); sizes that are 1 or missing are broadcast. DYN_ESHAPE. */
DYN_STATUS dyn_map2(dyn_tensor *r, dyn_binary op, const dyn_tensor *a,
                    const dyn_tensor *b, dyn_err *e);
/* a = op(a, b) in place, b broadcast to a. Bumps a's version. */
DYN_STATUS dyn_map2_(dyn_tensor *a, dyn_binary op, const dyn_tensor *b,
                     dyn_err *e);

/* One type and shape, elements of both in the order of memory? Then the result
** can be written to any memory 'out' with room for it, which may be a's or b's. */
bool dyn_alike(const dyn_tensor *a, const dyn_tensor *b);
void dyn_map1_to(void *out, dyn_unary op, const dyn_tensor *a);
void dyn_map2_to(void *out, dyn_binary op, const dyn_tensor *a,
                 const dyn_tensor *b);

/* A dense copy of 'a' with elements of 'type'. */
DYN_STATUS dyn_convert(dyn_tensor *r, const dyn_tensor *a, dyn_type type,
                       dyn_err *e);
/* Copy src into dst, same shape, any types and strides. Bumps the version. */
DYN_STATUS dyn_copy_(dyn_tensor *dst, const dyn_tensor *src, dyn_err *e);
void dyn_fill_(dyn_tensor *t, double v);

typedef enum dyn_reduction {
  DYN_SUM,
  DYN_MEAN,
  DYN_VARIANCE,  /* n - 1 in the denominator */
  DYN_STD,       /* its square root */
  DYN_NORM,      /* Euclidean */
  DYN_LOGSUMEXP, /* log sum e^x without overflow; of nothing -inf */
  DYN_PROD,
  DYN_MAX,
  DYN_MIN,
  DYN_ARGMAX,
  DYN_ARGMIN, /* 0-based position, first of ties */
  DYN_NREDUCTION
} dyn_reduction;

const char *dyn_reduction_name(dyn_reduction op);
/*
** Reduce dimension 'dim' (0-based), or all of them if dim < 0 (then r is a
** scalar). DYN_EVALUE: max or min of nothing. NaN propagates.
*/
DYN_STATUS dyn_reduce(dyn_tensor *r, dyn_reduction op, const dyn_tensor *a,
                      int dim, dyn_err *e);
/* Sum 'g' down to the shape of 'like': the adjoint of broadcasting. */
DYN_STATUS dyn_sum_to(dyn_tensor *r, const dyn_tensor *g,
                      const dyn_tensor *like, dyn_err *e);
/* y += x; same shape and type, y dense. */
void dyn_accum(dyn_tensor *y, const dyn_tensor *x);

/* r[i] = a[idx[i]] along dimension 'dim'. DYN_EVALUE: outside. */
DYN_STATUS dyn_index_select(dyn_tensor *r, const dyn_tensor *a, int dim,
                            const int64_t *idx, ptrdiff_t n, dyn_err *e);
/* y[idx[i]] += x[i] along dimension 0, in the order of i; y dense. */
DYN_STATUS dyn_index_add_(dyn_tensor *y, const int64_t *idx, ptrdiff_t n,
                          const dyn_tensor *x, dyn_err *e);
/* Join n tensors along 'dim'. DYN_ESHAPE, DYN_ETYPE. */
DYN_STATUS dyn_cat(dyn_tensor *r, const dyn_tensor *const *a, int n, int dim,
                   dyn_err *e);

#endif
