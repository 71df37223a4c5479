/* bind.h -- what every file in bind/ shares. */
#ifndef DYN_BIND_H
#define DYN_BIND_H

#include "bind/compat.h"
#include "core/sparse.h"
#include "core/tensor.h"
#include "learn/params.h"

#define DYN_TENSOR    "dynamo.Tensor"
#define DYN_SMALL     "dynamo.Tensor (small)"
#define DYN_SPARSE    "dynamo.Sparse"
#define DYN_GRAPH     "dynamo.Graph"
#define DYN_TAPE      "dynamo.Tape"
#define DYN_VAR       "dynamo.Var"
#define DYN_PARAMS    "dynamo.Params"
#define DYN_OPTIMIZER "dynamo.Optimizer"
#define DYN_OPERATOR  "dynamo.Operator"
#define DYN_ERROR     "dynamo.Error"

/* An integer argument: 2.5 and 2^53 + 1 are errors on both interpreters. */
ptrdiff_t dyn_checkint(lua_State *L, int arg);
/* The same, or 'def' if the argument is absent. */
ptrdiff_t dyn_optint(lua_State *L, int arg, ptrdiff_t def);
/* A 1-based index into n items, negative from the end; returned 0-based. */
ptrdiff_t dyn_checkindex(lua_State *L, int arg, ptrdiff_t n);
/* "float" or "double"; 'def' if the argument is absent. */
dyn_type dyn_opttype(lua_State *L, int arg, dyn_type def);

/* Fields of the options table at 'arg' (may be nil), with their defaults. */
double dyn_fieldnum(lua_State *L, int arg, const char *key, double def);
ptrdiff_t dyn_fieldint(lua_State *L, int arg, const char *key, ptrdiff_t def);
bool dyn_fieldbool(lua_State *L, int arg, const char *key, bool def);

/* The tensor at 'arg', open or closed, or NULL. */
dyn_tensor *dyn_testtensor(lua_State *L, int arg);
/* The tensor at 'arg'; closed ones are an error. */
dyn_tensor *dyn_checktensor(lua_State *L, int arg);
/* Like dyn_checktensor, but a number is replaced by a scalar of 'type'. */
const dyn_tensor *dyn_argtensor(lua_State *L, int arg, dyn_type type);
/* Push an empty tensor; what is put in it from now on belongs to the GC. */
dyn_tensor *dyn_pushtensor(lua_State *L);
/*
** Where DYN_LATE_GC, small results of arithmetic have their elements in the
** userdata and no finalizer, which costs more than everything else about them:
** class DYN_SMALL, otherwise the same. dyn_testtensor and dyn_checktensor make
** an ordinary tensor of one; l_math.c alone reads them as they are.
*/
enum {
  DYN_SMALL_BYTES = 64
};

/* The parameters at 'arg'; closed ones are an error. */
dyn_params *dyn_checkparams(lua_State *L, int arg);

/* The sparse matrix at 'arg', and a new empty one on the stack. */
dyn_csr *dyn_checksparse(lua_State *L, int arg);
dyn_csr *dyn_pushsparse(lua_State *L);

/*
** Memory of the call itself, freed by the collector: n zeroed items of 'size'
** bytes in a userdata that is pushed. Never NULL.
*/
void *dyn_scratch(lua_State *L, size_t n, size_t size);
/*
** The array of 1-based integers at 'arg' (table or tensor), each in 1 .. limit,
** as 0-based numbers in pushed scratch memory; '*n' is their count. With
** 'none', 0 is allowed too and becomes -1.
*/
int64_t *dyn_checkindices(lua_State *L, int arg, ptrdiff_t limit, bool none,
                          ptrdiff_t *n);
/* Push an array of n strings given by 'get'. */
typedef const char *(*dyn_string_at)(const void *ud, ptrdiff_t i);
void dyn_pushstrings(lua_State *L, ptrdiff_t n, dyn_string_at get,
                     const void *ud);

/*
** Raise the error 'e' if 'st' is one; otherwise return 'nres'. Trouble with
** files, memory, convergence and interruption arrives as a table {code,
** message} (metatable dynamo.Error); a wrong argument as a string with a place.
*/
int dyn_result(lua_State *L, dyn_status st, const dyn_err *e, int nres);
/* Positions in 'r', which is new, count from 1 in Lua. */
void dyn_from_one(lua_State *L, dyn_tensor *r);

/*
** For dyn_poll: true once the debug hook is not the one the call started with.
** The interpreters turn Ctrl-C into a hook. If 'ref' is not 0 it is the stack
** index of a function(done, total) that reports progress.
*/
typedef struct dyn_watch {
  lua_State *L;
  lua_Hook hook;
  int report;    /* stack index of the function, or 0 */
  double last;   /* seconds, of the last report */
  dyn_poll poll; /* points at this record */
} dyn_watch;
/* Start watching; 'report' as above. Pass &w->poll to the core. */
void dyn_watch_start(dyn_watch *w, lua_State *L, int report);

/* Create metatable 'name' with metamethods 'meta' and methods 'meth'. */
void dyn_newclass(lua_State *L, const char *name, const luaL_Reg *meta,
                  const luaL_Reg *meth);

/* Each adds its functions to the table on top of the stack. */
void dyn_open_tensor(lua_State *L);
/* More methods for the class that dyn_open_tensor made. */
void dyn_open_math(lua_State *L);
void dyn_open_order(lua_State *L);
void dyn_open_inplace(lua_State *L);
void dyn_open_sparse(lua_State *L);
void dyn_open_tape(lua_State *L);
void dyn_open_optim(lua_State *L);
void dyn_open_operator(lua_State *L);
void dyn_open_response(lua_State *L);
void dyn_open_graph(lua_State *L);
void dyn_open_embed(lua_State *L);
void dyn_open_network(lua_State *L);
void dyn_open_picture(lua_State *L);
void dyn_open_words(lua_State *L);
void dyn_open_h5ad(lua_State *L);
void dyn_open_model(lua_State *L);
void dyn_open_table(lua_State *L);
void dyn_open_array(lua_State *L);
void dyn_open_prepare(lua_State *L);
void dyn_open_eval(lua_State *L);
void dyn_open_simulate(lua_State *L);
void dyn_open_sys(lua_State *L);

#endif
