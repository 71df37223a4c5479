--- The declarations of dynamo's binary interface for LuaJIT's FFI: made by tools/cdef.sh from src/abi/abi.h.
return [[
typedef enum dyn_status {
  DYN_OK = 0,
  DYN_ENOMEM = -1,
  DYN_ESHAPE = -2,
  DYN_ETYPE = -3,
  DYN_EVALUE = -4,
  DYN_EIO = -5,
  DYN_ENOCONV = -6,
  DYN_ECANCEL = -7,
  DYN_EFORMAT = -8
} dyn_status;
typedef struct dyn_err {
  char msg[512];
} dyn_err;
const char *dyn_version(void);
int dyn_version_number(void);
typedef struct dynamo_tensor dynamo_tensor;
typedef struct dynamo_tape dynamo_tape;
typedef struct dynamo_graph dynamo_graph;
typedef struct dynamo_operator dynamo_operator;
dyn_status dynamo_tensor_new(dynamo_tensor **r, const char *type, int ndim,
                             const ptrdiff_t *size, const void *data,
                             dyn_err *e);
dyn_status dynamo_tensor_random(dynamo_tensor **r, const char *distribution,
                                uint64_t seed, const char *type, int ndim,
                                const ptrdiff_t *size, dyn_err *e);
void dynamo_tensor_free(dynamo_tensor *t);
const char *dynamo_tensor_type(const dynamo_tensor *t);
int dynamo_tensor_ndim(const dynamo_tensor *t);
ptrdiff_t dynamo_tensor_size(const dynamo_tensor *t, int dim);
ptrdiff_t dynamo_tensor_count(const dynamo_tensor *t);
float *dynamo_tensor_floats(dynamo_tensor *t);
double *dynamo_tensor_doubles(dynamo_tensor *t);
void dynamo_tensor_touch(dynamo_tensor *t);
dyn_status dynamo_tensor_share(dynamo_tensor **r, const dynamo_tensor *t,
                               dyn_err *e);
dyn_status dynamo_tensor_reshape(dynamo_tensor **r, const dynamo_tensor *t,
                                 int ndim, const ptrdiff_t *size, dyn_err *e);
dyn_status dynamo_tensor_convert(dynamo_tensor **r, const dynamo_tensor *t,
                                 const char *type, dyn_err *e);
dyn_status dynamo_tensor_narrow(dynamo_tensor **r, const dynamo_tensor *t,
                                int dim, ptrdiff_t lo, ptrdiff_t n, dyn_err *e);
dyn_status dynamo_tensor_swap(dynamo_tensor **r, const dynamo_tensor *t, int d0,
                              int d1, dyn_err *e);
dyn_status dynamo_npy_read(dynamo_tensor **r, const char *path, dyn_err *e);
dyn_status dynamo_npy_write(const char *path, const dynamo_tensor *t,
                            dyn_err *e);
dyn_status dynamo_map(dynamo_tensor **r, const char *op, const dynamo_tensor *a,
                      dyn_err *e);
dyn_status dynamo_combine(dynamo_tensor **r, const char *op,
                          const dynamo_tensor *a, const dynamo_tensor *b,
                          dyn_err *e);
dyn_status dynamo_reduce(dynamo_tensor **r, const char *op,
                         const dynamo_tensor *a, int dim, dyn_err *e);
dyn_status dynamo_matmul(dynamo_tensor **r, const dynamo_tensor *a,
                         const dynamo_tensor *b, dyn_err *e);
dyn_status dynamo_solve(dynamo_tensor **x, const dynamo_tensor *a,
                        const dynamo_tensor *b, dyn_err *e);
dyn_status dynamo_cholesky(dynamo_tensor **l, const dynamo_tensor *a,
                           dyn_err *e);
dyn_status dynamo_qr(dynamo_tensor **q, dynamo_tensor **r,
                     const dynamo_tensor *a, dyn_err *e);
dyn_status dynamo_eigh(dynamo_tensor **w, dynamo_tensor **v,
                       const dynamo_tensor *a, dyn_err *e);
dyn_status dynamo_svd(dynamo_tensor **u, dynamo_tensor **s, dynamo_tensor **v,
                      const dynamo_tensor *a, dyn_err *e);
dyn_status dynamo_tape_new(dynamo_tape **r, dyn_err *e);
void dynamo_tape_free(dynamo_tape *t);
dyn_status dynamo_tape_leaf(dynamo_tape *t, const dynamo_tensor *x, int need,
                            int *id, dyn_err *e);
dyn_status dynamo_tape_apply(dynamo_tape *t, const char *op, const int *in,
                             int nin, int dim, double value, int *id,
                             dyn_err *e);
dyn_status dynamo_tape_backward(dynamo_tape *t, int id, dyn_err *e);
dyn_status dynamo_tape_value(dynamo_tensor **r, const dynamo_tape *t, int id,
                             dyn_err *e);
dyn_status dynamo_tape_gradient(dynamo_tensor **r, const dynamo_tape *t, int id,
                                dyn_err *e);
dyn_status dynamo_graph_read(dynamo_graph **r, const char *path, dyn_err *e);
dyn_status dynamo_graph_new(dynamo_graph **r, int64_t n,
                            const char *const *from, const char *const *to,
                            const float *weight, int directed, dyn_err *e);
void dynamo_graph_free(dynamo_graph *g);
int64_t dynamo_graph_nodes(const dynamo_graph *g);
int64_t dynamo_graph_edges(const dynamo_graph *g);
const char *dynamo_graph_name(const dynamo_graph *g, int64_t i);
int64_t dynamo_graph_find(const dynamo_graph *g, const char *name);
dyn_status dynamo_node2vec(dynamo_tensor **r, const dynamo_graph *g, int dim,
                           int walks, int length, int window, double p,
                           double q, uint64_t seed, dyn_err *e);
dyn_status dynamo_operator_new(dynamo_operator **r, const dynamo_tensor *u,
                               const dynamo_tensor *v, const dynamo_tensor *b,
                               const char *form, dyn_err *e);
void dynamo_operator_free(dynamo_operator *k);
dyn_status dynamo_operator_apply(dynamo_tensor **r, const dynamo_operator *k,
                                 const dynamo_tensor *z, int effect,
                                 dyn_err *e);
dyn_status dynamo_operator_compose(dynamo_operator **r,
                                   const dynamo_operator *const *k, int n,
                                   const char *how, uint64_t seed, dyn_err *e);
dyn_status dynamo_operator_power(dynamo_operator **r, const dynamo_operator *k,
                                 double t, dyn_err *e);
dyn_status dynamo_operator_commutator(double *norm, double *relative,
                                      const dynamo_operator *a,
                                      const dynamo_operator *b, dyn_err *e);
dyn_status dynamo_operator_eigenvalues(dynamo_tensor **re, dynamo_tensor **im,
                                       const dynamo_operator *k, dyn_err *e);
]]
