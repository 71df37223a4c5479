#include "bind/bind.h"

#include <omp.h>

#include "bind/open.h"
#include "core/ops.h"

/* ---- arguments ---------------------------------------------------------- */

ptrdiff_t dyn_checkint(lua_State *L, int arg) {
  lua_Number v = luaL_checknumber(L, arg);
  luaL_argcheck(L, v >= -0x1p53 && v <= 0x1p53 && v == (lua_Number)(ptrdiff_t)v,
                arg, "integer expected");
  return (ptrdiff_t)v;
}

ptrdiff_t dyn_optint(lua_State *L, int arg, ptrdiff_t def) {
  return lua_isnoneornil(L, arg) ? def : dyn_checkint(L, arg);
}

ptrdiff_t dyn_checkindex(lua_State *L, int arg, ptrdiff_t n) {
  ptrdiff_t i = dyn_checkint(L, arg);
  if (i < 0) i += n + 1;
  luaL_argcheck(L, 1 <= i && i <= n, arg, "index out of range");
  return i - 1;
}

dyn_type dyn_opttype(lua_State *L, int arg, dyn_type def) {
  static const char *const names[] = {"float", "double", NULL};
  return (dyn_type)luaL_checkoption(L, arg, dyn_type_name(def), names);
}

/* Push field 'key' of the table at 'arg'; false (nothing pushed) if absent. */
static bool field(lua_State *L, int arg, const char *key) {
  if (lua_isnoneornil(L, arg)) return false;
  luaL_checktype(L, arg, LUA_TTABLE);
  lua_getfield(L, arg, key);
  if (!lua_isnil(L, -1)) return true;
  lua_pop(L, 1);
  return false;
}

double dyn_fieldnum(lua_State *L, int arg, const char *key, double def) {
  if (!field(L, arg, key)) return def;
  if (lua_type(L, -1) != LUA_TNUMBER)
    luaL_error(L, "option '%s': number expected, got %s", key,
               luaL_typename(L, -1));
  def = lua_tonumber(L, -1);
  lua_pop(L, 1);
  return def;
}

ptrdiff_t dyn_fieldint(lua_State *L, int arg, const char *key, ptrdiff_t def) {
  double v = dyn_fieldnum(L, arg, key, (double)def);
  if (!(v >= -0x1p53 && v <= 0x1p53 && v == (double)(ptrdiff_t)v))
    luaL_error(L, "option '%s': integer expected, got %f", key, v);
  return (ptrdiff_t)v;
}

bool dyn_fieldbool(lua_State *L, int arg, const char *key, bool def) {
  if (!field(L, arg, key)) return def;
  def = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return def;
}

void *dyn_scratch(lua_State *L, size_t n, size_t size) {
  if (size && n > ((size_t)-1 >> 1) / size) luaL_error(L, "too many items");
  void *p = lua_newuserdatauv(L, n * size + 1, 0);
  char *c = p;
  for (size_t i = 0; i < n * size; i++) c[i] = 0;
  return p;
}

int64_t *dyn_checkindices(lua_State *L, int arg, ptrdiff_t limit, bool none,
                          ptrdiff_t *n) {
  const dyn_tensor *t = NULL;
  if (lua_type(L, arg) == LUA_TUSERDATA) {
    t = dyn_checktensor(L, arg);
    luaL_argcheck(L, t->ndim == 1, arg, "a vector of indices expected");
    *n = t->size[0];
  } else {
    luaL_checktype(L, arg, LUA_TTABLE);
    *n = (ptrdiff_t)lua_rawlen(L, arg);
  }
  int64_t *idx = dyn_scratch(L, (size_t)*n, sizeof *idx);
  for (ptrdiff_t i = 0; i < *n; i++) {
    double v;
    if (t) {
      v = dyn_tensor_get(t, i * t->stride[0]);
    } else {
      lua_rawgeti(L, arg, (int)(i + 1));
      v = lua_isnumber(L, -1) ? lua_tonumber(L, -1) : -1;
      lua_pop(L, 1);
    }
    if (!(v >= !none && v <= (double)limit && v == (double)(int64_t)v))
      luaL_error(L, "index %d is not an integer in %d..%f", (int)(i + 1),
                 none ? 0 : 1, (double)limit);
    idx[i] = (int64_t)v - 1;
  }
  return idx;
}

void dyn_pushstrings(lua_State *L, ptrdiff_t n, dyn_string_at get,
                     const void *ud) {
  lua_createtable(L, (int)n, 0);
  for (ptrdiff_t i = 0; i < n; i++) {
    lua_pushstring(L, get(ud, i));
    lua_rawseti(L, -2, (int)(i + 1));
  }
}

/* ---- tensors on the stack ----------------------------------------------- */

dyn_tensor *dyn_pushtensor(lua_State *L) {
  dyn_tensor *t = lua_newuserdatauv(L, sizeof *t, 0);
  *t = (dyn_tensor){0}; /* valid for __gc before anything can fail */
  luaL_getmetatable(L, DYN_TENSOR);
  lua_setmetatable(L, -2);
  return t;
}

/* Storage and a finalizer for a small tensor, whose class is on top. */
static dyn_tensor *settle(lua_State *L, int arg, dyn_tensor *t) {
  dyn_err e;
  dyn_status st = dyn_tensor_settle(t, &e);
  if (st != DYN_OK) dyn_result(L, st, &e, 0);
  lua_setmetatable(L, arg);
  return t;
}

dyn_tensor *dyn_testtensor(lua_State *L, int arg) {
  dyn_tensor *t = luaL_testudata(L, arg, DYN_TENSOR);
  if (t || !DYN_LATE_GC) return t;
  t = luaL_testudata(L, arg, DYN_SMALL);
  if (!t || !t->st) return t;
  arg = lua_absindex(L, arg);
  luaL_getmetatable(L, DYN_TENSOR);
  return settle(L, arg, t);
}

dyn_tensor *dyn_checktensor(lua_State *L, int arg) {
  dyn_tensor *t = dyn_testtensor(L, arg);
  if (!t) t = luaL_checkudata(L, arg, DYN_TENSOR); /* raises */
  luaL_argcheck(L, t->st, arg, "tensor was closed");
  return t;
}

const dyn_tensor *dyn_argtensor(lua_State *L, int arg, dyn_type type) {
  if (lua_type(L, arg) == LUA_TNUMBER) {
    dyn_err e;
    dyn_tensor *t = dyn_pushtensor(L);
    dyn_result(L, dyn_tensor_new(t, type, 0, NULL, &e), &e, 0);
    dyn_tensor_set(t, 0, lua_tonumber(L, arg));
    lua_replace(L, arg);
  }
  return dyn_checktensor(L, arg);
}

/* ---- results ------------------------------------------------------------ */

/*
** The collector does not see tensor memory. When that has grown by 'growth'
** since the last full collection, collect. Called only here, where a new object
** has just been made, never from inside the core. Collecting early keeps the
** blocks of temporaries in the cache and collecting late is less work: the
** growth follows what the collections cost, between LEAST and as much as is in
** use or 4 LEAST. (A fixed floor of 64 MB was slower: results of a megabyte then
** pass through 64 MB of memory that no cache holds, and take 1.6 times as long.)
** A heuristic: races are harmless.
*/
enum {
  LEAST = 16 << 20,
  YOUNG = 4 << 20
};
static size_t growth = LEAST, worth = LEAST;
static size_t before, seen; /* in use after the last step, the last result */
static size_t kept;         /* in use after the last collection */
static size_t worth_under;  /* the memory limit 'worth' was made for */
static double last;         /* seconds: end of the last collection */

static void adapt(double start) {
  double now = omp_get_wtime(), share = (now - start) / (now - last);
  size_t live = dyn_live(), most = live > 4u * LEAST ? live : 4u * LEAST;
  if (share > 0.05) growth *= 2;
  if (share < 0.02) growth /= 2;
  if (growth < LEAST) growth = LEAST;
  if (growth > most) growth = most;
  kept = live, worth = live + growth;
  last = now;
}

/*
** Temporaries die young. Where the collector is generational (Lua 5.4's) a step
** looks at new objects only and costs little, so that the next result finds the
** memory of the last one in the cache; an incremental one just moves on. What is
** there in two steps is old and stays for long, so that a few results as large
** as this one lie between two.
*/
static void collect_young(lua_State *L) {
  size_t live = dyn_live(), result = live > seen ? live - seen : 0;
  seen = live;
  if (live < before) before = live;
  if (live - before <= YOUNG || live - before <= 2 * result) return;
  lua_gc(L, LUA_GCSTEP, 0);
  before = seen = dyn_live();
}

static void collect(lua_State *L) {
  size_t most = dyn_memory_limit(), bound;
  collect_young(L);
  if (most != worth_under) worth_under = most, worth = LEAST, kept = 0;
  bound = worth;
  /* under a ceiling garbage gets half of what is left: it makes nobody fail,
  ** and what is kept, however much, costs no collection per call */
  if (kept < most && bound > kept + (most - kept) / 2)
    bound = kept + (most - kept) / 2;
  if (dyn_live() <= bound) return;
  double start = omp_get_wtime();
  lua_gc(L, LUA_GCCOLLECT, 0);
  adapt(start);
}

void dyn_from_one(lua_State *L, dyn_tensor *r) {
  dyn_err e;
  float f = 1;
  double d = 1;
  void *data = r->type == DYN_F32 ? (void *)&f : &d;
  const dyn_tensor one = {.type = r->type, .data = data};
  dyn_result(L, dyn_map2_(r, DYN_ADD, &one, &e), &e, 0);
}

/* Say which limit it was, if there is one. */
static void push_message(lua_State *L, dyn_status st, const char *msg) {
  size_t most = dyn_memory_limit();
  if (st != DYN_ENOMEM || !most) {
    lua_pushstring(L, msg);
    return;
  }
  lua_pushfstring(L, "%s (max_memory is %f MB, %f MB are in use)", msg,
                  (lua_Number)(most >> 20), (lua_Number)(dyn_live() >> 20));
}

/* Trouble a script may want to tell apart, unlike a wrong argument. */
static bool structured(dyn_status st) {
  return st == DYN_ENOMEM || st == DYN_EIO || st == DYN_EFORMAT ||
         st == DYN_ENOCONV || st == DYN_ECANCEL;
}

int dyn_result(lua_State *L, dyn_status st, const dyn_err *e, int nres) {
  if (st == DYN_OK) {
    collect(L);
    return nres;
  }
  if (st == DYN_ENOMEM && dyn_memory_limit()) /* for the next call */
    lua_gc(L, LUA_GCCOLLECT, 0);
  if (!structured(st)) return luaL_error(L, "%s", e->msg);
  lua_createtable(L, 0, 2);
  lua_pushstring(L, dyn_status_name(st));
  lua_setfield(L, -2, "code");
  push_message(L, st, e->msg);
  lua_setfield(L, -2, "message");
  luaL_getmetatable(L, DYN_ERROR);
  lua_setmetatable(L, -2);
  return lua_error(L);
}

static int error_text(lua_State *L) {
  lua_getfield(L, 1, "message");
  return 1;
}

static int watched(void *ud, int64_t done, int64_t total) {
  dyn_watch *w = ud;
  if (lua_gethook(w->L) != w->hook) return 1;
  double now = omp_get_wtime();
  if (w->report && (now - w->last > 0.1 || done >= total)) {
    w->last = now;
    lua_pushvalue(w->L, w->report);
    lua_pushnumber(w->L, (lua_Number)done);
    lua_pushnumber(w->L, (lua_Number)total);
    bool failed = lua_pcall(w->L, 2, 0, 0) != 0;
    if (failed) lua_pop(w->L, 1); /* the computation is stopped below */
    return failed;
  }
  return 0;
}

void dyn_watch_start(dyn_watch *w, lua_State *L, int report) {
  if (report && !lua_isfunction(L, report)) report = 0;
  *w = (dyn_watch){.L = L, .hook = lua_gethook(L), .report = report};
  w->poll = (dyn_poll){watched, w};
  luaL_checkstack(L, 4, "progress report");
}

/* ---- opening ------------------------------------------------------------ */

void dyn_newclass(lua_State *L, const char *name, const luaL_Reg *meta,
                  const luaL_Reg *meth) {
  luaL_newmetatable(L, name);
  luaL_setfuncs(L, meta, 0);
  lua_newtable(L);
  luaL_setfuncs(L, meth, 0);
  lua_setfield(L, -2, "__index");
  lua_pushstring(L, name); /* scripts cannot reach __gc */
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

static int live(lua_State *L) { /* bytes of tensors, graphs, tapes */
  lua_pushnumber(L, (lua_Number)dyn_live());
  return 1;
}

static int fail_after(lua_State *L) { /* for tests: see dyn_fail_after */
  dyn_fail_after = (long)dyn_checkint(L, 1);
  return 0;
}

/* The metatable of errors is a plain one: Lua code raises them as well. */
static void open_error(lua_State *L) {
  luaL_newmetatable(L, DYN_ERROR);
  lua_pushcfunction(L, error_text);
  lua_setfield(L, -2, "__tostring");
  lua_setfield(L, -2, "Error");
}

static int memory_limit(lua_State *L) { /* memory_limit([bytes]) */
  if (!lua_isnoneornil(L, 1)) {
    ptrdiff_t n = dyn_checkint(L, 1);
    luaL_argcheck(L, n >= 0, 1, "negative limit");
    dyn_set_memory_limit((size_t)n);
  }
  lua_pushnumber(L, (lua_Number)dyn_memory_limit());
  return 1;
}

static const luaL_Reg funcs[] = {
    {"live", live},
    {"memory_limit", memory_limit},
    {"fail_after", fail_after},
    {NULL, NULL},
};

int luaopen_dynamo_core(lua_State *L) {
  luaL_checkversion(L);
  lua_newtable(L);
  luaL_setfuncs(L, funcs, 0);
  open_error(L);
  dyn_open_tensor(L);
  dyn_open_inplace(L);
  dyn_open_sparse(L);
  dyn_open_tape(L);
  dyn_open_optim(L);
  dyn_open_operator(L);
  dyn_open_response(L);
  dyn_open_graph(L);
  dyn_open_embed(L);
  dyn_open_network(L);
  dyn_open_picture(L);
  dyn_open_words(L);
  dyn_open_h5ad(L);
  dyn_open_model(L);
  dyn_open_table(L);
  dyn_open_array(L);
  dyn_open_prepare(L);
  dyn_open_eval(L);
  dyn_open_simulate(L);
  dyn_open_sys(L);
  return 1;
}
