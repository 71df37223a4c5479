/*
** main.c -- the program: Lua 5.4 with the library and its Lua files inside.
** What a command line means is decided in lua/dynamo/cli.lua.
*/
#include <fcntl.h>
#include <locale.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/app.h"
#include "bind/open.h"
#include <embedded.h>

#define COUNT ((int)(sizeof embedded / sizeof *embedded))

/* ---- Lua files inside the program --------------------------------------- */

/* "dynamo.run.write" is dynamo/run/write.lua or dynamo/run/write/init.lua. */
static const struct embedded *find(lua_State *L, const char *module) {
  const char *base = luaL_gsub(L, module, ".", "/");
  const char *file = lua_pushfstring(L, "%s.lua", base);
  const char *init = lua_pushfstring(L, "%s/init.lua", base);
  const struct embedded *found = NULL;
  for (int i = 0; i < COUNT && !found; i++)
    if (!strcmp(embedded[i].path, file) || !strcmp(embedded[i].path, init))
      found = &embedded[i];
  lua_pop(L, 3);
  return found;
}

/* A file of the folder DYNAMO_LUA, for those who work on the Lua part. */
static bool load_outside(lua_State *L, const struct embedded *m) {
  const char *dir = getenv("DYNAMO_LUA");
  if (!dir || !*dir) return false;
  const char *path = lua_pushfstring(L, "%s/%s", dir, m->path);
  if (access(path, R_OK) != 0) return lua_pop(L, 1), false;
  if (luaL_loadfile(L, path) != LUA_OK) lua_error(L);
  lua_insert(L, -2);
  return true;
}

static int searcher(lua_State *L) {
  const struct embedded *m = find(L, luaL_checkstring(L, 1));
  if (!m) {
    lua_pushliteral(L, "no such module inside dynamo");
    return 1;
  }
  if (load_outside(L, m)) return 2;
  const char *chunk = lua_pushfstring(L, "@%s", m->path);
  if (luaL_loadbufferx(L, (const char *)m->data, m->size, chunk, "t") != LUA_OK)
    return lua_error(L);
  lua_pushstring(L, m->path);
  return 2;
}

/* Behind package.preload, before the folders: our own names are ours. */
static void add_searcher(lua_State *L) {
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "searchers");
  lua_Integer n = luaL_len(L, -1);
  for (lua_Integer i = n; i >= 2; i--) {
    lua_geti(L, -1, i);
    lua_seti(L, -2, i + 1);
  }
  lua_pushcfunction(L, searcher);
  lua_seti(L, -2, 2);
  lua_pop(L, 2);
}

/* sources() -> { path = text }: what help is made from. */
static int app_sources(lua_State *L) {
  lua_createtable(L, 0, COUNT);
  for (int i = 0; i < COUNT; i++) {
    lua_pushlstring(L, (const char *)embedded[i].data, embedded[i].size);
    lua_setfield(L, -2, embedded[i].path);
  }
  return 1;
}

/* ---- dynamo.app: what only the program has ------------------------------ */

/*
** call(f, ...) -> "ok", results... | "interrupted" | "error", error, traceback
*/
static int app_protected(lua_State *L) {
  bool stopped;
  luaL_checkany(L, 1);
  int st = app_call(L, lua_gettop(L) - 1, LUA_MULTRET, &stopped);
  if (stopped) {
    lua_settop(L, 0);
    lua_pushliteral(L, "interrupted");
    return 1;
  }
  lua_pushstring(L, st == LUA_OK ? "ok" : "error");
  lua_insert(L, 1);
  return lua_gettop(L);
}

/* append(path, text): for the history, readable by its owner alone. */
static int app_append(lua_State *L) {
  size_t n;
  const char *path = luaL_checkstring(L, 1);
  const char *text = luaL_checklstring(L, 2, &n);
  int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  bool good = fd >= 0 && write(fd, text, n) == (ssize_t)n;
  if (fd >= 0) close(fd);
  lua_pushboolean(L, good);
  return 1;
}

static int open_app(lua_State *L) {
  static const luaL_Reg funcs[] = {
      {"call", app_protected},      {"sources", app_sources},
      {"append", app_append},       {"readline", app_readline},
      {"editing", app_editing},     {"remember", app_remember},
      {"completer", app_completer}, {NULL, NULL},
  };
  luaL_newlib(L, funcs);
  return 1;
}

/* ---- start -------------------------------------------------------------- */

static int run(lua_State *L) {
  int argc = (int)lua_tointeger(L, 1);
  char **argv = lua_touserdata(L, 2);
  luaL_checkversion(L);
  luaL_openlibs(L);
  lua_gc(L, LUA_GCGEN, 0, 0); /* as lua5.4 does: temporaries go early */
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, luaopen_dynamo_core);
  lua_setfield(L, -2, "dynamo.core");
  lua_pushcfunction(L, open_app);
  lua_setfield(L, -2, "dynamo.app");
  add_searcher(L);
  app_interrupt_open(L);
  lua_settop(L, 0);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "dynamo.cli");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "main");
  lua_createtable(L, argc, 1);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i);
  }
  lua_call(L, 1, 1);
  return 1;
}

/* Output that did not reach its file is an error like any other. */
static int finish(int code) {
  if ((fflush(stdout) != 0 || ferror(stdout)) && code == 0) {
    fputs("dynamo: standard output cannot be written\n", stderr);
    code = 74;
  }
  return code;
}

/*
** Threads that spin while they wait are slower, not faster, where cores are
** shared. A little is worth it: between two loops of a training step it is less
** than what waking a thread costs (measured: a seventh of the step). OpenMP
** reads its settings before main, so the program starts again.
*/
static void wait_passively(char **argv) {
  if (getenv("OMP_WAIT_POLICY")) return;
  if (setenv("OMP_WAIT_POLICY", "passive", 1) == 0 &&
      setenv("GOMP_SPINCOUNT", "3000", 0) == 0)
    execv("/proc/self/exe", argv); /* no such file: go on as we are */
}

int main(int argc, char **argv) {
  wait_passively(argv);
  setlocale(LC_CTYPE, ""); /* for line editing; numbers stay as they are */
  lua_State *L = luaL_newstate();
  if (!L) {
    fputs("dynamo: not enough memory\n", stderr);
    return 1;
  }
  lua_pushcfunction(L, run);
  lua_pushinteger(L, argc);
  lua_pushlightuserdata(L, argv);
  int code = 1;
  if (lua_pcall(L, 2, 1, 0) == LUA_OK) {
    code = (int)lua_tointeger(L, -1);
  } else {
    const char *text = luaL_tolstring(L, -1, NULL);
    fprintf(stderr, "dynamo: %s\n", text);
  }
  lua_close(L);
  return finish(code);
}
