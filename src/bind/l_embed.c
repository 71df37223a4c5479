/* l_embed.c -- genes to vectors: node2vec, spectral, annotation, random, and
** what is done with vectors. */
#include <math.h>
#include <string.h>

#include "bind/bind.h"
#include "bind/l_graph.h"
#include "core/ops.h"
#include "core/rng.h"
#include "embed/annotation.h"
#include "embed/coexpression.h"
#include "embed/neighbours.h"
#include "embed/node2vec.h"
#include "embed/spectral.h"
#include "embed/terms.h"

/* Push field 'key' of the table at 'arg' (or nil); its stack index. */
static int push_field(lua_State *L, int arg, const char *key) {
  if (lua_isnoneornil(L, arg))
    lua_pushnil(L);
  else
    lua_getfield(L, arg, key);
  return lua_gettop(L);
}

/* Is the option 'key' (absent: 'def') one of the words? Its number. */
static int choice(lua_State *L, int arg, const char *key, const char *def,
                  const char *const *words) {
  int at = push_field(L, arg, key);
  const char *s = lua_isnil(L, at) ? def : lua_tostring(L, at);
  for (int i = 0; s && words[i]; i++)
    if (strcmp(s, words[i]) == 0) {
      lua_pop(L, 1);
      return i;
    }
  return luaL_error(L, "option '%s': '%s' is not known", key, s ? s : "?");
}

static int bounded(lua_State *L, int arg, const char *key, ptrdiff_t def,
                   ptrdiff_t lo, ptrdiff_t hi) {
  ptrdiff_t v = dyn_fieldint(L, arg, key, def);
  if (v < lo || v > hi)
    luaL_error(L, "option '%s': %d is outside %d..%d", key, (int)v, (int)lo,
               (int)hi);
  return (int)v;
}

/* The matrix to work on: the sparse matrix at 'arg', or the adjacency of the
** graph there, pushed. */
static const dyn_csr *matrix_of(lua_State *L, int arg, dyn_direction dir,
                                bool weighted, bool use_sign) {
  if (luaL_testudata(L, arg, DYN_SPARSE)) return dyn_checksparse(L, arg);
  dyn_err e;
  const dyn_graph *g = dyn_checkgraph(L, arg);
  dyn_csr *a = dyn_pushsparse(L);
  dyn_result(L, dyn_graph_adjacency(a, g, dir, weighted, use_sign, &e), &e, 0);
  return a;
}

static uint64_t seed_of(lua_State *L, int arg) {
  return (uint64_t)dyn_fieldint(L, arg, "seed", 1);
}

/* A copy of the tensor in field 'key', or an empty tensor, pushed. */
static dyn_tensor *copied_field(lua_State *L, int arg, const char *key) {
  int at = push_field(L, arg, key);
  dyn_tensor *r = dyn_pushtensor(L);
  dyn_err e;
  if (!lua_isnil(L, at)) {
    const dyn_tensor *t = dyn_checktensor(L, at);
    dyn_result(L, dyn_convert(r, t, t->type, &e), &e, 0);
  }
  return r;
}

/* node2vec(graph or sparse[, opts]): tensor float (nodes, dim); with opts.last
** the state (2 nodes, dim) after walk number 'last', from 'first' and 'state' */
static int node2vec(lua_State *L) {
  static const char *const directions[] = {"out", "in", "both", NULL};
  dyn_err e;
  dyn_watch w;
  lua_settop(L, 2);
  dyn_node2vec_opts o = {
      .p = dyn_fieldnum(L, 2, "p", 1),
      .q = dyn_fieldnum(L, 2, "q", 1),
      .walks = bounded(L, 2, "walks", 10, 1, 100000),
      .length = bounded(L, 2, "length", 80, 2, 10000),
      .epochs = bounded(L, 2, "epochs", 1, 1, 10000),
      .repel = dyn_fieldbool(L, 2, "repel", false),
      .skipgram = {.race = dyn_fieldbool(L, 2, "race", false),
                   .dim = bounded(L, 2, "dim", 128, 1, 4096),
                   .window = bounded(L, 2, "window", 10, 1, 100),
                   .negatives = bounded(L, 2, "negatives", 5, 1, 64),
                   .lr = dyn_fieldnum(L, 2, "lr", 0.025),
                   .seed = seed_of(L, 2)}};
  int dir = choice(L, 2, "direction", "both", directions);
  bool weighted = dyn_fieldbool(L, 2, "weighted", true);
  const dyn_csr *a = matrix_of(L, 1, (dyn_direction)dir, weighted, o.repel);
  ptrdiff_t first = dyn_fieldint(L, 2, "first", 1),
            last = dyn_fieldint(L, 2, "last", 0);
  int report = push_field(L, 2, "progress");
  dyn_tensor *r = last ? copied_field(L, 2, "state") : dyn_pushtensor(L);
  dyn_watch_start(&w, L, report);
  if (last)
    return dyn_result(
        L, dyn_node2vec_part(r, first - 1, last, a, &o, &w.poll, &e), &e, 1);
  return dyn_result(L, dyn_node2vec(r, a, &o, &w.poll, &e), &e, 1);
}

/* walks(graph or sparse, opts): tensor double (walks, length), 0 past the end; with
** first and last only those of the corpus */
static int walks(lua_State *L) {
  static const char *const directions[] = {"out", "in", "both", NULL};
  dyn_err e;
  dyn_walker t;
  lua_settop(L, 2);
  int len = bounded(L, 2, "length", 80, 2, 10000);
  double p = dyn_fieldnum(L, 2, "p", 1), q = dyn_fieldnum(L, 2, "q", 1);
  int dir = choice(L, 2, "direction", "both", directions);
  uint64_t seed = seed_of(L, 2);
  bool weighted = dyn_fieldbool(L, 2, "weighted", true);
  int per = bounded(L, 2, "walks", 10, 1, 100000);
  const dyn_csr *a = matrix_of(L, 1, (dyn_direction)dir, weighted, false);
  ptrdiff_t all = a->nrow * per, lo = dyn_fieldint(L, 2, "first", 1) - 1,
            hi = dyn_fieldint(L, 2, "last", all), n = hi - lo,
            size[2] = {n, len};
  luaL_argcheck(L, 0 <= lo && lo <= hi && hi <= all, 2,
                "first or last outside the corpus");
  luaL_argcheck(L, n < (ptrdiff_t)1 << 24, 2, "too many walks");
  int32_t *out = dyn_scratch(L, (size_t)(n * len), sizeof *out);
  dyn_tensor *r = dyn_pushtensor(L);
  dyn_result(L, dyn_tensor_new(r, DYN_F64, 2, size, &e), &e, 0);
  dyn_result(L, dyn_walker_init(&t, a, p, q, &e), &e, 0);
  dyn_walks(out, lo, hi, len, &t, NULL, seed); /* cannot fail */
  dyn_walker_free(&t);
  for (ptrdiff_t i = 0; i < n * len; i++) dyn_f64(r)[i] = out[i] + 1;
  return 1;
}

/* spectral(graph or sparse[, opts]): tensor double (nodes, k), eigenvalues (k),
** residual */
static int spectral(lua_State *L) {
  static const char *const kinds[] = {"normalised", "random_walk", "adjacency",
                                      NULL};
  dyn_err e;
  dyn_watch w;
  double residual = 0;
  lua_settop(L, 2);
  dyn_spectral_opts o = {.k = bounded(L, 2, "dim", 128, 1, 512),
                         .tol = dyn_fieldnum(L, 2, "tol", 1e-5),
                         .cycles = bounded(L, 2, "cycles", 300, 1, 100000),
                         .seed = seed_of(L, 2)};
  o.kind = (dyn_laplacian)choice(L, 2, "laplacian", "normalised", kinds);
  bool weighted = dyn_fieldbool(L, 2, "weighted", true),
       use_sign = dyn_fieldbool(L, 2, "signed", false);
  const dyn_csr *a = matrix_of(L, 1, DYN_BOTH, weighted, use_sign);
  int report = push_field(L, 2, "progress");
  dyn_tensor *x = dyn_pushtensor(L), *lambda = dyn_pushtensor(L);
  dyn_watch_start(&w, L, report);
  dyn_result(L, dyn_spectral(x, lambda, &residual, a, &o, &w.poll, &e), &e, 0);
  lua_pushnumber(L, residual);
  return 3;
}

/* ---- annotation ----------------------------------------------------------- */

typedef struct name_box {
  dyn_names names;
} name_box;

static int name_box_gc(lua_State *L) {
  name_box *b = lua_touserdata(L, 1);
  dyn_names_free(&b->names);
  return 0;
}

/* A list of names, anchored. */
static dyn_names *push_names(lua_State *L) {
  name_box *b = lua_newuserdatauv(L, sizeof *b, 0);
  *b = (name_box){0};
  if (luaL_newmetatable(L, "dynamo.names")) {
    lua_pushcfunction(L, name_box_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return &b->names;
}

/* Item i (from 1) of the table at 'arg', a name, pushed. */
static const char *name_at(lua_State *L, int arg, ptrdiff_t i, size_t *len) {
  lua_rawgeti(L, arg, (int)i);
  if (lua_type(L, -1) != LUA_TSTRING)
    luaL_error(L, "name %d: string expected, got %s", (int)i,
               luaL_typename(L, -1));
  return lua_tolstring(L, -1, len);
}

/* The names of the list at 'arg', which must be distinct, pushed. */
static dyn_names *read_names(lua_State *L, int arg) {
  luaL_checktype(L, arg, LUA_TTABLE);
  dyn_names *t = push_names(L);
  ptrdiff_t n = (ptrdiff_t)lua_rawlen(L, arg);
  for (ptrdiff_t i = 1; i <= n; i++) {
    dyn_err e;
    size_t len;
    int32_t id;
    bool added;
    const char *s = name_at(L, arg, i, &len);
    dyn_result(L, dyn_names_add(t, s, len, &id, &added, &e), &e, 0);
    if (!added) luaL_error(L, "'%s' is named twice", s);
    lua_pop(L, 1);
  }
  return t;
}

/* Which of the names occur in the list at 'arg'; NULL if it is nil. */
static unsigned char *flags(lua_State *L, int arg, const dyn_names *t) {
  if (lua_isnil(L, arg)) return NULL;
  luaL_checktype(L, arg, LUA_TTABLE);
  unsigned char *f = dyn_scratch(L, (size_t)t->n, 1);
  ptrdiff_t n = (ptrdiff_t)lua_rawlen(L, arg);
  for (ptrdiff_t i = 1; i <= n; i++) {
    size_t len;
    const char *s = name_at(L, arg, i, &len);
    int32_t id = dyn_names_find(t, s, len);
    if (id >= 0) f[id] = 1;
    lua_pop(L, 1);
  }
  return f;
}

/* Push the gene list of set s (from 1) of the list at 'arg'. */
static ptrdiff_t push_set(lua_State *L, int arg, ptrdiff_t s) {
  lua_rawgeti(L, arg, (int)s);
  luaL_checktype(L, -1, LUA_TTABLE);
  lua_getfield(L, -1, "genes");
  if (lua_type(L, -1) != LUA_TTABLE)
    luaL_error(L, "set %d has no list 'genes'", (int)s);
  lua_remove(L, -2);
  return (ptrdiff_t)lua_rawlen(L, -1);
}

/* The members of all sets as ids; offsets in '*start'. */
static int32_t *members(lua_State *L, int arg, ptrdiff_t nset,
                        const dyn_names *t, int64_t **start) {
  *start = dyn_scratch(L, (size_t)nset + 1, sizeof **start);
  for (ptrdiff_t s = 0; s < nset; s++) {
    (*start)[s + 1] = (*start)[s] + push_set(L, arg, s + 1);
    lua_pop(L, 1);
  }
  int32_t *gene = dyn_scratch(L, (size_t)(*start)[nset], sizeof *gene);
  for (ptrdiff_t s = 0; s < nset; s++) {
    ptrdiff_t n = push_set(L, arg, s + 1);
    if (n != (*start)[s + 1] - (*start)[s]) luaL_error(L, "a set has changed");
    for (ptrdiff_t i = 1; i <= n; i++) {
      size_t len;
      const char *name = name_at(L, lua_gettop(L), i, &len);
      gene[(*start)[s] + i - 1] = dyn_names_find(t, name, len);
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  return gene;
}

/* membership(genes, sets[, {least, most, counted}]): sparse (genes, used sets),
** idf (used sets), numbers of the used sets */
static int membership(lua_State *L) {
  dyn_err e;
  int64_t *start;
  lua_settop(L, 3);
  luaL_checktype(L, 2, LUA_TTABLE);
  ptrdiff_t nset = (ptrdiff_t)lua_rawlen(L, 2);
  const dyn_names *names = read_names(L, 1);
  int counted = push_field(L, 3, "counted");
  const int32_t *gene = members(L, 2, nset, names, &start);
  dyn_gene_sets x = {.nset = nset,
                     .start = start,
                     .gene = gene,
                     .ngene = names->n,
                     .counted = flags(L, counted, names),
                     .least = bounded(L, 3, "least", 3, 1, INT32_MAX),
                     .most = bounded(L, 3, "most", 1000, 1, INT32_MAX)};
  int32_t *kept = dyn_scratch(L, (size_t)nset, sizeof *kept);
  dyn_csr *r = dyn_pushsparse(L);
  dyn_tensor *idf = dyn_pushtensor(L);
  dyn_result(L, dyn_membership(r, idf, kept, &x, &e), &e, 0);
  lua_createtable(L, (int)r->ncol, 0);
  for (ptrdiff_t i = 0; i < r->ncol; i++) {
    lua_pushinteger(L, kept[i] + 1);
    lua_rawseti(L, -2, (int)i + 1);
  }
  return 3;
}

/* sparse_cosine(sparse, rows_a, rows_b[, weights]): tensor double (na, nb); row 0
** stands for zeros */
static int sparse_cosine(lua_State *L) {
  dyn_err e;
  ptrdiff_t na, nb;
  lua_settop(L, 4);
  const dyn_csr *s = dyn_checksparse(L, 1);
  const int64_t *a = dyn_checkindices(L, 2, s->nrow, true, &na),
                *b = dyn_checkindices(L, 3, s->nrow, true, &nb);
  double *w = NULL;
  if (!lua_isnil(L, 4)) {
    const dyn_tensor *t = dyn_checktensor(L, 4);
    luaL_argcheck(L, t->ndim == 1 && t->size[0] == s->ncol, 4,
                  "one weight per column expected");
    w = dyn_scratch(L, (size_t)s->ncol, sizeof *w);
    for (ptrdiff_t j = 0; j < s->ncol; j++)
      w[j] = dyn_tensor_get(t, j * t->stride[0]);
  }
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_sparse_cosine(r, s, a, na, b, nb, w, &e), &e, 1);
}

/* sparse_svd(sparse, k[, {seed, power, progress}]): u s (n, k), s (k), double */
static int sparse_svd(lua_State *L) {
  dyn_err e;
  dyn_watch w;
  lua_settop(L, 3);
  const dyn_csr *a = dyn_checksparse(L, 1);
  ptrdiff_t k = dyn_checkint(L, 2);
  luaL_argcheck(L, 1 <= k && k <= INT32_MAX, 2, "out of range");
  int power = bounded(L, 3, "power", 6, 0, 100);
  uint64_t seed = seed_of(L, 3);
  int report = push_field(L, 3, "progress");
  dyn_tensor *u = dyn_pushtensor(L), *s = dyn_pushtensor(L);
  dyn_watch_start(&w, L, report);
  return dyn_result(
      L, dyn_sparse_svd(u, s, a, (int)k, power, seed, &w.poll, &e), &e, 2);
}

/* ---- texts ---------------------------------------------------------------- */

/* The strings of the list at 'arg', which keeps them alive. */
static dyn_document *documents(lua_State *L, int arg, ptrdiff_t *n) {
  luaL_checktype(L, arg, LUA_TTABLE);
  *n = (ptrdiff_t)lua_rawlen(L, arg);
  dyn_document *d = dyn_scratch(L, (size_t)*n, sizeof *d);
  for (ptrdiff_t i = 0; i < *n; i++) {
    d[i].s = name_at(L, arg, i + 1, &d[i].len);
    lua_pop(L, 1);
  }
  return d;
}

static const char *term_at(const void *ud, ptrdiff_t i) {
  return dyn_names_get(ud, (int32_t)i);
}

/* terms(texts[, opts]): sparse (texts, terms), idf (terms), the terms */
static int terms(lua_State *L) {
  dyn_err e;
  dyn_watch w;
  ptrdiff_t n;
  lua_settop(L, 2);
  int stop = push_field(L, 2, "stop");
  dyn_terms_opts o = {.ngrams = bounded(L, 2, "ngrams", 1, 1, 5),
                      .min_df = bounded(L, 2, "min_df", 3, 1, INT32_MAX),
                      .max_share = dyn_fieldnum(L, 2, "max_share", 0.2),
                      .bm25 = dyn_fieldbool(L, 2, "bm25", false),
                      .k1 = dyn_fieldnum(L, 2, "k1", 1.2),
                      .b = dyn_fieldnum(L, 2, "b", 0.75)};
  if (!lua_isnil(L, stop)) o.stop = read_names(L, stop);
  const dyn_document *d = documents(L, 1, &n);
  dyn_names *names = push_names(L);
  dyn_csr *r = dyn_pushsparse(L);
  dyn_tensor *idf = dyn_pushtensor(L);
  dyn_watch_start(&w, L, 0); /* no callback: the strings must stay */
  dyn_result(L, dyn_terms(r, idf, names, d, n, &o, &w.poll, &e), &e, 0);
  dyn_pushstrings(L, names->n, term_at, names);
  return 3;
}

/* ---- vectors -------------------------------------------------------------- */

/* cosine(values, rows_a, rows_b): tensor double (na, nb); row 0: zeros */
static int cosine(lua_State *L) {
  dyn_err e;
  ptrdiff_t na, nb;
  const dyn_tensor *x = dyn_checktensor(L, 1);
  luaL_argcheck(L, x->ndim == 2, 1, "a matrix is expected");
  const int64_t *a = dyn_checkindices(L, 2, x->size[0], true, &na),
                *b = dyn_checkindices(L, 3, x->size[0], true, &nb);
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_cosine(r, x, a, na, b, nb, &e), &e, 1);
}

/* neighbours(values, rows, k): numbers (nq, k), 0 for none, cosines (nq, k) */
static int neighbours(lua_State *L) {
  dyn_err e;
  ptrdiff_t nq, k = dyn_checkint(L, 3);
  const dyn_tensor *x = dyn_checktensor(L, 1);
  luaL_argcheck(L, x->ndim == 2, 1, "a matrix is expected");
  luaL_argcheck(L, 1 <= k && k <= x->size[0], 3, "out of range");
  const int64_t *q = dyn_checkindices(L, 2, x->size[0], false, &nq);
  int32_t *id = dyn_scratch(L, (size_t)(nq * k), sizeof *id);
  dyn_tensor *r = dyn_pushtensor(L), *sim = dyn_pushtensor(L);
  dyn_result(L, dyn_tensor_new(r, DYN_F64, 2, (ptrdiff_t[]){nq, k}, &e), &e, 0);
  dyn_result(L, dyn_neighbours(id, sim, x, q, nq, k, &e), &e, 0);
  for (ptrdiff_t i = 0; i < nq * k; i++) dyn_f64(r)[i] = id[i] + 1;
  return 2;
}

/* correlated(x, k[, {groups, absolute, progress}]): x (cells, genes) a tensor or
** sparse; numbers (genes, k), 0 for none, correlations (genes, k) */
static int correlated(lua_State *L) {
  dyn_err e;
  dyn_watch w;
  ptrdiff_t n = 0, genes, cells, k = dyn_checkint(L, 2);
  lua_settop(L, 3);
  dyn_expression x = {.ngroup = 1};
  if (luaL_testudata(L, 1, DYN_SPARSE)) {
    x.sparse = dyn_checksparse(L, 1);
    cells = x.sparse->nrow, genes = x.sparse->ncol;
  } else {
    x.dense = dyn_checktensor(L, 1);
    luaL_argcheck(L, x.dense->ndim == 2, 1, "a matrix is expected");
    cells = x.dense->size[0], genes = x.dense->size[1];
  }
  luaL_argcheck(L, 1 <= k && k <= genes, 2, "out of range");
  bool absolute = dyn_fieldbool(L, 3, "absolute", true);
  int groups = push_field(L, 3, "groups"),
      report = push_field(L, 3, "progress");
  if (!lua_isnil(L, groups)) {
    const int64_t *g = dyn_checkindices(L, groups, 1 << 20, false, &n);
    luaL_argcheck(L, n == cells, 3, "one group per cell expected");
    int32_t *group = dyn_scratch(L, (size_t)n, sizeof *group);
    for (ptrdiff_t i = 0; i < n; i++) {
      group[i] = (int32_t)g[i];
      if (group[i] >= x.ngroup) x.ngroup = group[i] + 1;
    }
    x.group = group;
  }
  int32_t *id = dyn_scratch(L, (size_t)(genes * k), sizeof *id);
  dyn_tensor *r = dyn_pushtensor(L), *c = dyn_pushtensor(L);
  dyn_watch_start(&w, L, report);
  dyn_result(L, dyn_tensor_new(r, DYN_F64, 2, (ptrdiff_t[]){genes, k}, &e), &e,
             0);
  dyn_result(L, dyn_correlated(id, c, &x, k, absolute, &w.poll, &e), &e, 0);
  for (ptrdiff_t i = 0; i < genes * k; i++) dyn_f64(r)[i] = id[i] + 1;
  return 2;
}

/* random_vectors(names, dim, seed): tensor float (n, dim), N(0, 1/dim); what a
** name gets depends on the name and the seed alone */
static int random_vectors(lua_State *L) {
  dyn_err e;
  luaL_checktype(L, 1, LUA_TTABLE);
  ptrdiff_t n = (ptrdiff_t)lua_rawlen(L, 1), d = dyn_checkint(L, 2);
  uint64_t seed = (uint64_t)dyn_checkint(L, 3);
  luaL_argcheck(L, 1 <= d && d <= 1 << 20, 2, "out of range");
  dyn_tensor *r = dyn_pushtensor(L);
  dyn_result(L, dyn_tensor_new(r, DYN_F32, 2, (ptrdiff_t[]){n, d}, &e), &e, 0);
  for (ptrdiff_t i = 0; i < n; i++) {
    size_t len;
    const char *s = name_at(L, 1, i + 1, &len);
    dyn_rng g = dyn_rng_stream(dyn_rng_named(seed, s), 0);
    for (ptrdiff_t j = 0; j < d; j++)
      dyn_f32(r)[i * d + j] = (float)(dyn_rng_normal(&g) / sqrt((double)d));
    lua_pop(L, 1);
  }
  return 1;
}

static const luaL_Reg funcs[] = {
    {"correlated", correlated},
    {"cosine", cosine},
    {"membership", membership},
    {"neighbours", neighbours},
    {"node2vec", node2vec},
    {"random_vectors", random_vectors},
    {"sparse_cosine", sparse_cosine},
    {"sparse_svd", sparse_svd},
    {"spectral", spectral},
    {"terms", terms},
    {"walks", walks},
    {NULL, NULL},
};

void dyn_open_embed(lua_State *L) { luaL_setfuncs(L, funcs, 0); }
