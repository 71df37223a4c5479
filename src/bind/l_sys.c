/* l_sys.c -- what Lua's own library lacks: clocks, folders, terminals. */
#include "bind/bind.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/linalg.h"
#include "core/packed.h"

#ifndef DYN_VERSION
#define DYN_VERSION "0"
#endif

static int fail_on(lua_State *L, const char *what, const char *path) {
  dyn_err e;
  dyn_status st =
      dyn_fail(&e, DYN_EIO, "%s: %s: %s", path, what, strerror(errno));
  return dyn_result(L, st, &e, 0);
}

/* ---- the machine -------------------------------------------------------- */

static int sys_blas(lua_State *L) {
  lua_pushstring(L, dyn_blas_config());
  return 1;
}

static int sys_bf16(lua_State *L) { /* is there bfloat16 arithmetic? */
  lua_pushboolean(L, dyn_bf16_supported());
  return 1;
}

static int sys_threads(lua_State *L) {
  if (!lua_isnoneornil(L, 1)) {
    ptrdiff_t n = dyn_checkint(L, 1);
    luaL_argcheck(L, 1 <= n && n <= 4096, 1, "1..4096 threads expected");
    dyn_set_threads((int)n);
  }
  lua_pushinteger(L, dyn_get_threads());
  return 1;
}

static int sys_time(lua_State *L) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  lua_pushnumber(L, (lua_Number)t.tv_sec + (lua_Number)t.tv_nsec * 1e-9);
  return 1;
}

static int sys_max_rss(lua_State *L) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  lua_pushnumber(L, (lua_Number)u.ru_maxrss * 1024);
  return 1;
}

/* Memory beyond the limit is refused by the system: malloc returns NULL. */
static int sys_max_memory(lua_State *L) {
  lua_Number v = luaL_checknumber(L, 1);
  luaL_argcheck(L, v >= 1 << 20 && v < 0x1p62, 1, "at least 1 MiB expected");
  struct rlimit r;
  getrlimit(RLIMIT_DATA, &r);
  r.rlim_cur = (rlim_t)v < r.rlim_max ? (rlim_t)v : r.rlim_max;
  if (setrlimit(RLIMIT_DATA, &r) != 0) return fail_on(L, "limit", "memory");
  return 0;
}

static int sys_env(lua_State *L) {
  lua_pushstring(L, getenv(luaL_checkstring(L, 1)));
  return 1;
}

/* ---- the terminal ------------------------------------------------------- */

static int sys_isatty(lua_State *L) {
  lua_pushboolean(L, isatty((int)dyn_checkint(L, 1)));
  return 1;
}

static int sys_term_width(lua_State *L) {
  const char *columns = getenv("COLUMNS");
  int n = columns ? atoi(columns) : 0;
  for (int fd = 2; n < 20 && fd >= 1; fd--) {
    struct winsize w;
    if (ioctl(fd, TIOCGWINSZ, &w) == 0) n = w.ws_col;
  }
  lua_pushinteger(L, n < 20 ? 80 : n);
  return 1;
}

/* ---- files and folders -------------------------------------------------- */

static int sys_stat(lua_State *L) {
  struct stat s;
  if (stat(luaL_checkstring(L, 1), &s) != 0) {
    lua_pushnil(L);
    lua_pushstring(L, errno == ENOENT || errno == ENOTDIR ? "no such file"
                                                          : strerror(errno));
    return 2;
  }
  lua_createtable(L, 0, 3);
  lua_pushstring(L, S_ISREG(s.st_mode)   ? "file"
                    : S_ISDIR(s.st_mode) ? "directory"
                                         : "other");
  lua_setfield(L, -2, "type");
  lua_pushnumber(L, (lua_Number)s.st_size);
  lua_setfield(L, -2, "size");
  lua_pushnumber(L, (lua_Number)s.st_mtime);
  lua_setfield(L, -2, "mtime");
  return 1;
}

/* A new folder with a name that no other process has, on any machine. */
static int sys_mkdtemp(lua_State *L) {
  size_t n;
  const char *before = luaL_checklstring(L, 1, &n);
  char *path = lua_newuserdatauv(L, n + 7, 0);
  memcpy(path, before, n);
  memcpy(path + n, "XXXXXX", 7);
  if (!mkdtemp(path)) return fail_on(L, "cannot be created", path);
  lua_pushstring(L, path);
  return 1;
}

/* Wait until no other process holds the open file; closing it lets it go. */
static int sys_flock(lua_State *L) {
  FILE *f = dyn_checkfile(L, 1);
  int held = -1;
  if (f) do
      held = flock(fileno(f), LOCK_EX);
    while (held != 0 && errno == EINTR);
  lua_pushboolean(L, held == 0);
  return 1;
}

static bool is_directory(const char *path) {
  struct stat s;
  return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

static int sys_mkdir(lua_State *L) {
  size_t n;
  const char *path = luaL_checklstring(L, 1, &n);
  char *part = dyn_scratch(L, n + 1, 1);
  for (size_t i = 0; i <= n; i++) {
    if (i > 0 && (path[i] == '/' || path[i] == 0)) {
      part[i] = 0;
      if (mkdir(part, 0777) != 0 && !is_directory(part))
        return fail_on(L, "cannot be created", part);
    }
    part[i] = path[i];
  }
  return 0;
}

/* A folder being read: closed by the collector if an error is raised. */
static int dir_gc(lua_State *L) {
  DIR **d = lua_touserdata(L, 1);
  if (*d) closedir(*d);
  *d = NULL;
  return 0;
}

static int sys_listdir(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  DIR **d = lua_newuserdatauv(L, sizeof *d, 0);
  *d = NULL;
  luaL_getmetatable(L, "dynamo.Folder");
  lua_setmetatable(L, -2);
  *d = opendir(path);
  if (!*d) return fail_on(L, "cannot be read", path);
  lua_newtable(L);
  int n = 0;
  for (struct dirent *f; (f = readdir(*d));) {
    if (!strcmp(f->d_name, ".") || !strcmp(f->d_name, "..")) continue;
    lua_pushstring(L, f->d_name);
    lua_rawseti(L, -2, ++n);
  }
  closedir(*d);
  *d = NULL;
  lua_getglobal(L, "table"); /* folders have no order of their own */
  lua_getfield(L, -1, "sort");
  lua_pushvalue(L, -3);
  lua_call(L, 1, 0);
  lua_pop(L, 1);
  return 1;
}

static int sys_rename(lua_State *L) {
  const char *from = luaL_checkstring(L, 1), *to = luaL_checkstring(L, 2);
  if (rename(from, to) != 0) return fail_on(L, "cannot be renamed", from);
  return 0;
}

static int sys_remove(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  if (remove(path) != 0 && errno != ENOENT)
    return fail_on(L, "cannot be removed", path);
  return 0;
}

/* All or nothing: a new file beside the old one, renamed when it is whole. */
static int sys_write_file(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  size_t n;
  const char *text = luaL_checklstring(L, 2, &n);
  const char *part = lua_pushfstring(L, "%s.%d.tmp", path, (int)getpid());
  FILE *f = fopen(part, "wb");
  if (!f) return fail_on(L, "cannot be written", path);
  bool good = fwrite(text, 1, n, f) == n;
  good = fclose(f) == 0 && good;
  if (good && rename(part, path) == 0) return 0;
  int why = errno;
  remove(part);
  errno = why;
  return fail_on(L, "cannot be written", path);
}

static const luaL_Reg funcs[] = {
    {"blas", sys_blas},
    {"bf16", sys_bf16},
    {"threads", sys_threads},
    {"time", sys_time},
    {"max_rss", sys_max_rss},
    {"max_memory", sys_max_memory},
    {"env", sys_env},
    {"isatty", sys_isatty},
    {"term_width", sys_term_width},
    {"stat", sys_stat},
    {"mkdir", sys_mkdir},
    {"mkdtemp", sys_mkdtemp},
    {"flock", sys_flock},
    {"listdir", sys_listdir},
    {"rename", sys_rename},
    {"remove", sys_remove},
    {"write_file", sys_write_file},
    {NULL, NULL},
};

void dyn_open_sys(lua_State *L) {
  static const luaL_Reg meta[] = {{"__gc", dir_gc}, {NULL, NULL}};
  static const luaL_Reg none[] = {{NULL, NULL}};
  dyn_newclass(L, "dynamo.Folder", meta, none);
  luaL_setfuncs(L, funcs, 0);
  lua_pushliteral(L, DYN_VERSION);
  lua_setfield(L, -2, "version");
}
