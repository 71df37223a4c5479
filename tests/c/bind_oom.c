/*
** Runs scripts in states whose own allocator fails at the 1st, 2nd, 3rd ...
** allocation and at all that follow. Whatever a binding was doing, it ends in
** an error of Lua and nothing is left behind. The scripts make an object of every
** class, which a run without failures checks: a new class without a line here
** fails.
*/
#include <lualib.h>
#include <string.h>
#include <unistd.h>

#include "bind/open.h"
#include "test.h"

static long left; /* allocations until failure */
static long count;

static void *alloc(void *ud, void *p, size_t osize, size_t nsize) {
  (void)ud;
  if (nsize == 0) return free(p), NULL;
  if (!p || nsize > osize) {
    count++;
    if (left-- <= 0) return NULL;
  }
  return realloc(p, nsize);
}

/* Tensors, tapes, parameters. */
static const char arrays[] =
    "local d = ...\n"
    "local t = d.tensor({{1,2},{3,4}}, 'double')\n"
    "local u = (t:rows(2,2):t() * 2 + t):tanh():sum():to('float')\n"
    "local s = d.sparse(2, 2, {1,2}, {2,1}, {1,3})\n"
    "local tape = d.tape()\n"
    "local x = tape:leaf(t, true)\n"
    "local w, v = (x:matmul(x:t()) + d.eye(2, 'double')):eigh()\n"
    "local y = (s:matmul(v) + w):max(1):sum() + x:index(2, {2,1}):norm()\n"
    "y:backward()\n"
    "local g = x:grad() + x:sort():value() + x:masked_select(t:gt(1)):sum():value()\n"
    "local a, at = t:topk(1) a = t:unique() a = t:quantile({.1, .5}, 1) a = t:nonzero()\n"
    "a = t:exp_():clamp_(0, 9):index(1, {2}) a = t:select(1,1):argsort()\n"
    "a = d.where(t:gt(1), t, 0):scatter_add_(1, d.tensor({{1,1}}), t:rows(1,1))\n"
    "local q, r = d.qr(t) local l = d.solve(t, t) local n = d.svd(t)\n"
    "pcall(function() return t + d.tensor{1,2,3} end)\n"
    "pcall(d.tensor, {{1,2},{3}})\n"
    "pcall(t.index, t, 1, {5})\n"
    "local p = d.params({{'w', 2, 2}, {'b', 2}}, 'double')\n"
    "local o = d.adamw(p, {groups = {b = {decay = false}}})\n"
    "tape = d.tape()\n"
    "local b = p:bind(tape)\n"
    "b.w:matmul(t):square():mean():backward()\n"
    "p:collect() o:step()\n"
    "return tostring(g) .. tostring(o) .. tostring(s:t():topk(1)) .. #s:csr():totable()\n";

/* Networks, operators, the model, simulated data. */
static const char models[] =
    "local d = ...\n"
    "local g = d.graph({'a','b','c'}, {'a','b'}, {'b','c'}, nil, {directed = false})\n"
    "local m = g:adjacency{direction = 'both'} local h = g:union(g):component()\n"
    "local e = d.node2vec(g, {dim = 4, walks = 1, length = 4, window = 2, seed = 1})\n"
    "local names, weights = g:neighbours('b')\n"
    "local k = d.operator(d.zeros(2,1), d.zeros(2,1) + 1, d.zeros(2), {name = 'k'})\n"
    "local c = d.compose({k, k}, 'product') local z = c:apply(d.zeros(2, 'double'))\n"
    "pcall(d.compose, {k, 1})\n"
    "local spec = {dim = 2, latent = 2, rank = 1, hidden = 2, genes = 3}\n"
    "local p = d.params(d.response_layout(spec)) d.response_init(p, spec, 1)\n"
    "local sim = d.simulate_screen{genes = 40, perturbed = 4, doubles = 1, cells = 80}\n"
    "local f = d.terms({'a b', 'b c'}) local bh = d.bh(d.tensor({.1,.2}))\n"
    "local s = d.sparse_cat({m, m}):rows({1,2}):cols({1})\n"
    "return tostring(g) .. tostring(k) .. tostring(s) .. tostring(e)\n";

/* Files: read what 'prepare' wrote. */
static const char files[] =
    "local d, folder = ...\n"
    "local f = d.h5_open(folder .. '/x.h5ad')\n"
    "local x, c = f:matrix(), f:column('obs', 'condition')\n"
    "local n, l = f:names('var'), f:describe() f:close()\n"
    "x = d.npy_read(folder .. '/x.npy')\n"
    "x = d.npz_read(folder .. '/x.npz')\n"
    "x = d.read_table(folder .. '/x.tsv')\n"
    "x = d.model_read(folder .. '/x.dynamo')\n"
    "x = d.mtx_read(folder .. '/x.mtx')\n"
    "x = d.safetensors_read(folder .. '/x.safetensors')\n"
    "pcall(d.h5ad_write, folder .. '/no/x.h5ad', {x = d.zeros(1, 1), obs_names = {'a'}, var_names = {'g'}})\n"
    "pcall(d.model_write, folder .. '/no/x', {lists = {a = {'b'}}})\n"
    "pcall(d.npy_read, folder .. '/x.tsv')\n"
    "return #d.listdir(folder)\n";

static const char prepare[] =
    "local d, folder = ...\n"
    "d.h5ad_write(folder .. '/x.h5ad', {x = d.sparse(2, 2, {1,2}, {2,1}), obs_names = {'a','b'}, var_names = {'g','h'},\n"
    "  obs = {{name = 'condition', values = {'p','q'}, categorical = true}}})\n"
    "d.npy_write(folder .. '/x.npy', {'text', 'list'})\n"
    "d.npz_write(folder .. '/x.npz', {'v', 'w'}, {d.zeros(2), {'q'}})\n"
    "d.safetensors_write(folder .. '/x.safetensors', {'v'}, {d.zeros(2)}, {'k'}, {'v'})\n"
    "d.model_write(folder .. '/x.dynamo', {strings = {a = 'b'}, lists = {l = {'x','y'}}, tensors = {t = d.eye(2)}})\n"
    "d.write_file(folder .. '/x.tsv', 'gene\\tvalue\\nA\\t1\\nB\\t2\\n')\n"
    "d.write_file(folder .. '/x.mtx', '%%MatrixMarket matrix coordinate integer general\\n2 2 1\\n1 2 5\\n')\n";

/* Objects of every class that were finalised, in the table at 'seen'. */
static const char watch[] =
    "local seen = ...\n"
    "for name, class in pairs(debug.getregistry()) do\n"
    "  if type(name) == 'string' and name:match '^dynamo%.' and class.__gc then\n"
    "    seen[name] = seen[name] or false\n"
    "    local gc = class.__gc\n"
    "    class.__gc = function(o) seen[name] = true return gc(o) end\n"
    "  end\n"
    "end\n";

static char folder[] = "/tmp/bind_oom_XXXXXX";

static void load(lua_State *L, const char *text) {
  if (luaL_loadstring(L, text) != LUA_OK) lua_error(L);
}

/* script(core, folder), the text a light userdata at 1 */
static int body(lua_State *L) {
  const char *text = lua_touserdata(L, 1);
  luaL_openlibs(L);
  lua_pushcfunction(L, luaopen_dynamo_core);
  lua_call(L, 0, 1);
  load(L, text);
  lua_insert(L, -2);
  lua_pushstring(L, folder);
  lua_call(L, 2, 0);
  return 0;
}

/* One run with 'n' allocations; the status of Lua. */
static int run(const char *text, long n) {
  left = n;
  count = 0;
  lua_State *L = lua_newstate(alloc, NULL);
  if (!L) return LUA_ERRMEM;
  lua_pushcfunction(L, body);
  lua_pushlightuserdata(L, (void *)text);
  int st = lua_pcall(L, 1, 0, 0);
  if (st != LUA_OK && st != LUA_ERRMEM)
    printf("# after %ld allocations: %s\n", n, lua_tostring(L, -1));
  left = 1000000;
  lua_close(L);
  return st;
}

/* Allocations that opening the libraries takes. */
static long opening(void) {
  if (run("", 1000000) != LUA_OK) exit(2);
  return count;
}

static void survives(const char *name, const char *text, long from) {
  int st = LUA_ERRMEM;
  bool clean = true;
  long n = from;
  for (; st == LUA_ERRMEM && n < from + 20000; n++) {
    st = run(text, n);
    clean = clean && dyn_live() == 0;
  }
  printf("# %s survive %ld failures of Lua's allocator\n", name, n - 1 - from);
  ok_(st == LUA_OK && clean, name, __FILE__, __LINE__);
}

/* Every class that has a finaliser is used by one of the scripts. */
static void every_class(void) {
  const char *const all[] = {arrays, models, files};
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  lua_pushcfunction(L, luaopen_dynamo_core);
  lua_call(L, 0, 1);
  lua_newtable(L); /* seen, at 2 */
  load(L, watch);
  lua_pushvalue(L, 2);
  lua_call(L, 1, 0);
  for (int k = 0; k < 3; k++) {
    load(L, all[k]);
    lua_pushvalue(L, 1);
    lua_pushstring(L, folder);
    lua_call(L, 2, 0);
  }
  lua_gc(L, LUA_GCCOLLECT, 0);
  lua_gc(L, LUA_GCCOLLECT, 0);
  lua_pushnil(L);
  while (lua_next(L, 2)) {
    ok_(lua_toboolean(L, -1), lua_tostring(L, -2), __FILE__, __LINE__);
    lua_pop(L, 1);
  }
  lua_close(L);
}

static void clean_up(void) {
  static const char *const name[] = {"x.h5ad",       "x.npy", "x.npz",
                                     "x.tsv",        "x.mtx", "x.dynamo",
                                     "x.safetensors"};
  char path[64];
  for (size_t k = 0; k < sizeof name / sizeof *name; k++) {
    snprintf(path, sizeof path, "%s/%s", folder, name[k]);
    unlink(path);
  }
  rmdir(folder);
}

int main(void) {
  if (!mkdtemp(folder)) return EXIT_FAILURE;
  if (run(prepare, 1000000) != LUA_OK) exit(2);
  every_class();
  long from = opening();
  survives("libraries", "", 0);
  survives("arrays", arrays, from);
  survives("models", models, from);
  survives("files", files, from);
  clean_up();
  return done_testing();
}
