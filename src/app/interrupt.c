/*
** interrupt.c -- Ctrl-C stops any loop in Lua and leaves the state usable.
**
** The handler puts a debug hook on the state that runs now; there is no hook
** before, so nothing gets slower. The hook stays until app_call returns: a
** pcall in a script catches the error but is interrupted again at its next
** instruction. Long computations in C compare hooks (dyn_watch).
*/
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "app/app.h"

#define EVERY (LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT)

static lua_State *volatile running;
static volatile sig_atomic_t pressed, calling, prompting;
static pthread_t main_thread;

static void stop(lua_State *L, lua_Debug *ar) {
  (void)ar;
  luaL_error(L, "interrupted");
}

static void on_interrupt(int sig) {
  if (!pthread_equal(pthread_self(), main_thread)) {
    pthread_kill(main_thread, sig); /* a thread of BLAS or OpenMP got it */
    return;
  }
  /* the second time, or nothing that could be stopped: no clean-up */
  if (calling ? pressed : !prompting) {
    signal(sig, SIG_DFL);
    raise(sig);
    return;
  }
  pressed = 1;
  if (calling && running) lua_sethook(running, stop, EVERY, 1);
}

void app_prompting(bool on) { prompting = on; }

bool app_pressed(void) {
  bool was = pressed;
  pressed = 0;
  return was;
}

/* The error stays below its traceback. */
static int with_trace(lua_State *L) {
  luaL_traceback(L, L, NULL, 1);
  lua_setfield(L, LUA_REGISTRYINDEX, "dynamo.traceback");
  return 1;
}

int app_call(lua_State *L, int nargs, int nresults, bool *stopped) {
  int base = lua_gettop(L) - nargs;
  lua_State *outer = running;
  int nested = calling;
  lua_pushcfunction(L, with_trace);
  lua_insert(L, base);
  if (!nested) pressed = 0;
  running = L;
  calling = 1;
  int st = lua_pcall(L, nargs, nresults, base);
  calling = nested;
  running = outer;
  *stopped = st != LUA_OK && pressed;
  if (!nested) {
    lua_sethook(L, NULL, 0, 0);
    pressed = 0;
  }
  lua_remove(L, base);
  if (st != LUA_OK) lua_getfield(L, LUA_REGISTRYINDEX, "dynamo.traceback");
  return st;
}

/* ---- coroutines --------------------------------------------------------- */

/* Number of results moved to L, or -1 with the error on top of L. */
static int resume(lua_State *L, lua_State *co, int nargs) {
  int nres = 0;
  if (!lua_checkstack(co, nargs)) {
    lua_pushliteral(L, "too many arguments to resume");
    return -1;
  }
  lua_xmove(L, co, nargs);
  lua_State *resumer = running;
  if (!pressed) lua_sethook(co, NULL, 0, 0); /* of an earlier Ctrl-C */
  running = co;
  int st = lua_resume(co, L, nargs, &nres);
  running = resumer;
  if (pressed && calling) lua_sethook(L, stop, EVERY, 1);
  if (st != LUA_OK && st != LUA_YIELD) {
    lua_xmove(co, L, 1);
    return -1;
  }
  if (!lua_checkstack(L, nres + 1)) {
    lua_pop(co, nres);
    lua_pushliteral(L, "too many results to resume");
    return -1;
  }
  lua_xmove(co, L, nres);
  return nres;
}

static int co_resume(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  luaL_argexpected(L, co, 1, "coroutine");
  int n = resume(L, co, lua_gettop(L) - 1);
  lua_pushboolean(L, n >= 0);
  lua_insert(L, -(n < 0 ? 2 : n + 1));
  return n < 0 ? 2 : n + 1;
}

static int wrapped(lua_State *L) {
  lua_State *co = lua_tothread(L, lua_upvalueindex(1));
  int n = resume(L, co, lua_gettop(L));
  if (n >= 0) return n;
  lua_resetthread(co); /* close its to-be-closed variables */
  return lua_error(L);
}

static int co_wrap(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_State *co = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  lua_pushcclosure(L, wrapped, 1);
  return 1;
}

void app_interrupt_open(lua_State *L) {
  main_thread = pthread_self();
  struct sigaction a = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};
  sigaction(SIGINT, &a, NULL);
  signal(SIGPIPE, SIG_DFL); /* `| head` ends us without a word */
  lua_getglobal(L, "coroutine");
  lua_pushcfunction(L, co_resume);
  lua_setfield(L, -2, "resume");
  lua_pushcfunction(L, co_wrap);
  lua_setfield(L, -2, "wrap");
  lua_pop(L, 1);
}
