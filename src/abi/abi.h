/*
** abi.h -- the binary interface: dynamo_* functions on opaque handles. No
** structure is visible, so a program (or LuaJIT's FFI, a dlopen, another
** language) needs no recompilation within a major version; the dyn_* functions
** of the other headers are for programs that are compiled with them.
**
** Conventions. What is made is '*r': NULL on entry or not looked at, NULL after
** a failure. Every handle is freed by its own function, once; NULL is fine.
** Handles are independent: freeing one leaves what was made from it. They may
** not be used by two threads at once. 'e' may be NULL. Operations are named by
** strings ("add", "exp"), element types are "float" and "double", indices and
** dimensions count from 0, dimension -1 means all elements. Numbers in a handle
** are dense, row-major.
**
** The declarations below, as they stand, are what lua/dynamo/ffi_cdef.lua has.
*/
#ifndef DYNAMO_ABI_H
#define DYNAMO_ABI_H

#include "core/base.h"
#include "core/version.h"

typedef struct dynamo_tensor dynamo_tensor;
typedef struct dynamo_tape dynamo_tape;
typedef struct dynamo_graph dynamo_graph;
typedef struct dynamo_operator dynamo_operator;

/* ---- tensors ---------------------------------------------------------------- */

/* A tensor with a copy of 'data' (NULL: zeros), 'ndim' sizes (0: a scalar).
** DYN_EVALUE: a bad size, another type; DYN_ENOMEM. */
DYN_STATUS dynamo_tensor_new(dynamo_tensor **r, const char *type, int ndim,
                             const ptrdiff_t *size, const void *data,
                             dyn_err *e);
/* Numbers from stream 0 of 'seed': "normal" or "uniform" in [0, 1). */
DYN_STATUS dynamo_tensor_random(dynamo_tensor **r, const char *distribution,
                                uint64_t seed, const char *type, int ndim,
                                const ptrdiff_t *size, dyn_err *e);
void dynamo_tensor_free(dynamo_tensor *t);
/* "float" or "double"; a constant. */
const char *dynamo_tensor_type(const dynamo_tensor *t);
int dynamo_tensor_ndim(const dynamo_tensor *t);
/* Of dimension dim, 0 where there is none. */
ptrdiff_t dynamo_tensor_size(const dynamo_tensor *t, int dim);
ptrdiff_t dynamo_tensor_count(const dynamo_tensor *t);
/* The numbers themselves, NULL if they have the other type. The pointer is good
** until dynamo_tensor_free(t). Who writes says so with dynamo_tensor_touch. */
float *dynamo_tensor_floats(dynamo_tensor *t);
double *dynamo_tensor_doubles(dynamo_tensor *t);
/* The numbers were changed: a tape that holds them refuses to go backward. */
void dynamo_tensor_touch(dynamo_tensor *t);
/* Another handle of the same numbers: a change shows in both. */
DYN_STATUS dynamo_tensor_share(dynamo_tensor **r, const dynamo_tensor *t,
                               dyn_err *e);
/* The same numbers, shared, in another shape; one size may be -1. DYN_ESHAPE. */
DYN_STATUS dynamo_tensor_reshape(dynamo_tensor **r, const dynamo_tensor *t,
                                 int ndim, const ptrdiff_t *size, dyn_err *e);
/* A copy with elements of 'type'. */
DYN_STATUS dynamo_tensor_convert(dynamo_tensor **r, const dynamo_tensor *t,
                                 const char *type, dyn_err *e);
/* A copy of elements lo .. lo+n-1 along 'dim'. DYN_EVALUE: outside. */
DYN_STATUS dynamo_tensor_narrow(dynamo_tensor **r, const dynamo_tensor *t,
                                int dim, ptrdiff_t lo, ptrdiff_t n, dyn_err *e);
/* A copy with two dimensions exchanged. DYN_EVALUE: there are fewer. */
DYN_STATUS dynamo_tensor_swap(dynamo_tensor **r, const dynamo_tensor *t, int d0,
                              int d1, dyn_err *e);
/* NumPy's .npy, .npy.gz or .npy.zst. DYN_EIO, DYN_EFORMAT (text too). */
DYN_STATUS dynamo_npy_read(dynamo_tensor **r, const char *path, dyn_err *e);
/* Complete, or as the file was. DYN_EIO. */
DYN_STATUS dynamo_npy_write(const char *path, const dynamo_tensor *t,
                            dyn_err *e);

/* ---- arithmetic ------------------------------------------------------------- */

/* Element by element: neg abs sign square sqrt exp expm1 log log1p tanh sigmoid
** relu gelu softplus sin cos floor round reciprocal isnan. */
DYN_STATUS dynamo_map(dynamo_tensor **r, const char *op, const dynamo_tensor *a,
                      dyn_err *e);
/* Of two, broadcast: add sub mul div pow maximum minimum lt le eq ne gt ge.
** DYN_ESHAPE; DYN_ETYPE: float and double. */
DYN_STATUS dynamo_combine(dynamo_tensor **r, const char *op,
                          const dynamo_tensor *a, const dynamo_tensor *b,
                          dyn_err *e);
/* Over 'dim', or all: sum mean var std norm logsumexp prod max min argmax
** argmin (positions from 0). DYN_EVALUE: of nothing. */
DYN_STATUS dynamo_reduce(dynamo_tensor **r, const char *op,
                         const dynamo_tensor *a, int dim, dyn_err *e);
/* (n,k)(k,m), (n,k)(k), batches (b,n,k)(b,k,m). DYN_ESHAPE, DYN_ETYPE. */
DYN_STATUS dynamo_matmul(dynamo_tensor **r, const dynamo_tensor *a,
                         const dynamo_tensor *b, dyn_err *e);
/* x with a x = b. DYN_EVALUE: singular. */
DYN_STATUS dynamo_solve(dynamo_tensor **x, const dynamo_tensor *a,
                        const dynamo_tensor *b, dyn_err *e);
/* Lower l with l l' = a. DYN_EVALUE: not positive definite. */
DYN_STATUS dynamo_cholesky(dynamo_tensor **l, const dynamo_tensor *a,
                           dyn_err *e);
/* Thin QR of (n,k), n >= k: q (n,k), r (k,k) with diagonal >= 0. */
DYN_STATUS dynamo_qr(dynamo_tensor **q, dynamo_tensor **r,
                     const dynamo_tensor *a, dyn_err *e);
/* Eigenvalues, ascending, and vectors (columns) of a symmetric matrix. */
DYN_STATUS dynamo_eigh(dynamo_tensor **w, dynamo_tensor **v,
                       const dynamo_tensor *a, dyn_err *e);
/* Thin SVD a = u diag(s) v', s descending. */
DYN_STATUS dynamo_svd(dynamo_tensor **u, dynamo_tensor **s, dynamo_tensor **v,
                      const dynamo_tensor *a, dyn_err *e);

/* ---- gradients -------------------------------------------------------------- */

/* A tape records operations; a variable is its number on the tape. */
DYN_STATUS dynamo_tape_new(dynamo_tape **r, dyn_err *e);
void dynamo_tape_free(dynamo_tape *t);
/* Put x there, shared; with 'need' its gradient is computed. */
DYN_STATUS dynamo_tape_leaf(dynamo_tape *t, const dynamo_tensor *x, int need,
                            int *id, dyn_err *e);
/*
** Run and record an operation of tape.h by its name (add, matmul, tanh, sum,
** mse, ...) on in[0 .. nin-1]. 'dim' is the dimension of those that have one (-1:
** all), 'value' the number of maximum, minimum, pow and quantile; swap exchanges
** the two dimensions of a matrix. DYN_EVALUE: no such operation, or one that
** needs more than that.
*/
DYN_STATUS dynamo_tape_apply(dynamo_tape *t, const char *op, const int *in,
                             int nin, int dim, double value, int *id,
                             dyn_err *e);
/* Gradients of the scalar 'id'. DYN_ESHAPE: not a scalar; DYN_EVALUE: a value
** was changed since. */
DYN_STATUS dynamo_tape_backward(dynamo_tape *t, int id, dyn_err *e);
/* The value of a variable, shared. DYN_EVALUE: no such variable. */
DYN_STATUS dynamo_tape_value(dynamo_tensor **r, const dynamo_tape *t, int id,
                             dyn_err *e);
/* The gradient of a leaf, a copy; zeros if nothing flowed there. */
DYN_STATUS dynamo_tape_gradient(dynamo_tensor **r, const dynamo_tape *t, int id,
                                dyn_err *e);

/* ---- networks of genes ------------------------------------------------------ */

/* From a table of source, target and perhaps weight and sign, as edges.h reads
** it. DYN_EIO, DYN_EFORMAT. */
DYN_STATUS dynamo_graph_read(dynamo_graph **r, const char *path, dyn_err *e);
/* From n edges between named nodes; 'weight' may be NULL (1 each). Repeats are
** merged, self-loops dropped. DYN_EVALUE: a weight that is not finite. */
DYN_STATUS dynamo_graph_new(dynamo_graph **r, int64_t n,
                            const char *const *from, const char *const *to,
                            const float *weight, int directed, dyn_err *e);
void dynamo_graph_free(dynamo_graph *g);
int64_t dynamo_graph_nodes(const dynamo_graph *g);
int64_t dynamo_graph_edges(const dynamo_graph *g);
/* Node i, or NULL; good until the graph is freed. */
const char *dynamo_graph_name(const dynamo_graph *g, int64_t i);
/* The number of a node, or -1. */
int64_t dynamo_graph_find(const dynamo_graph *g, const char *name);
/* Vectors of the nodes (Grover and Leskovec, KDD 2016), (nodes, dim) of float.
** DYN_EVALUE: an option, no edges. The same seed gives the same bytes. */
DYN_STATUS dynamo_node2vec(dynamo_tensor **r, const dynamo_graph *g, int dim,
                           int walks, int length, int window, double p,
                           double q, uint64_t seed, dyn_err *e);

/* ---- operators of perturbations --------------------------------------------- */

/* K z = z + u v'z + b ("affine"), or exp of u v'z + b ("exponential"); u, v
** (d, r), b (d) or NULL. DYN_ESHAPE; DYN_EVALUE: not finite. */
DYN_STATUS dynamo_operator_new(dynamo_operator **r, const dynamo_tensor *u,
                               const dynamo_tensor *v, const dynamo_tensor *b,
                               const char *form, dyn_err *e);
void dynamo_operator_free(dynamo_operator *k);
/* K z, or K z - z with 'effect'; z (d) or (n, d), double. */
DYN_STATUS dynamo_operator_apply(dynamo_tensor **r, const dynamo_operator *k,
                                 const dynamo_tensor *z, int effect,
                                 dyn_err *e);
/* Together: "product" (k[0] k[1] ..., the last acts first), "symmetric",
** "generator", "additive". 'seed' draws orders. */
DYN_STATUS dynamo_operator_compose(dynamo_operator **r,
                                   const dynamo_operator *const *k, int n,
                                   const char *how, uint64_t seed, dyn_err *e);
/* K^t: partial knock-down for t in (0, 1). */
DYN_STATUS dynamo_operator_power(dynamo_operator **r, const dynamo_operator *k,
                                 double t, dyn_err *e);
/* |K_a K_b - K_b K_a| (Frobenius), and relative to the two. */
DYN_STATUS dynamo_operator_commutator(double *norm, double *relative,
                                      const dynamo_operator *a,
                                      const dynamo_operator *b, dyn_err *e);
/* Eigenvalues that are not 1, by modulus, descending: real and imaginary parts. */
DYN_STATUS dynamo_operator_eigenvalues(dynamo_tensor **re, dynamo_tensor **im,
                                       const dynamo_operator *k, dyn_err *e);

#endif
