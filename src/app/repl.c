/*
** repl.c -- one line of input. GNU readline is found at run time: the program
** neither needs its headers nor the library. What an entry means is decided in
** lua/dynamo/repl.lua.
*/
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/app.h"

static struct {
  void (*install)(const char *, void (*)(char *)), (*remove)(void);
  void (*read_char)(void), (*history)(const char *);
  void (*free_line_state)(void), (*sigcleanup)(void);
  void (*replace_line)(const char *, int), (*redisplay)(void);
  int (*on_new_line)(void);
  char *(**generator)(const char *, int);
  const char **word_breaks, **name;
  char **line;
  int *catch_signals, *append;
} rl;

static int state; /* 0 not tried, 1 loaded, -1 absent */
static lua_State *asking;
static char *got;
static bool have;

static char *complete(const char *word, int again);

static bool load(void) {
  const char *term = getenv("TERM");
  if (!isatty(0) || !isatty(1) || !term || !strcmp(term, "dumb")) return false;
  void *h = dlopen("libreadline.so.8", RTLD_NOW | RTLD_LOCAL);
  if (!h) h = dlopen("libreadline.so", RTLD_NOW | RTLD_LOCAL);
  if (!h) return false;
  const struct {
    void *to;
    const char *symbol;
  } need[] = {
      {&rl.install, "rl_callback_handler_install"},
      {&rl.remove, "rl_callback_handler_remove"},
      {&rl.read_char, "rl_callback_read_char"},
      {&rl.history, "add_history"},
      {&rl.free_line_state, "rl_free_line_state"},
      {&rl.sigcleanup, "rl_callback_sigcleanup"},
      {&rl.replace_line, "rl_replace_line"},
      {&rl.redisplay, "rl_redisplay"},
      {&rl.on_new_line, "rl_on_new_line"},
      {&rl.generator, "rl_completion_entry_function"},
      {&rl.word_breaks, "rl_completer_word_break_characters"},
      {&rl.name, "rl_readline_name"},
      {&rl.line, "rl_line_buffer"},
      {&rl.catch_signals, "rl_catch_signals"},
      {&rl.append, "rl_completion_append_character"},
  };
  for (size_t i = 0; i < sizeof need / sizeof *need; i++) {
    void *symbol = dlsym(h, need[i].symbol);
    if (!symbol) return false;
    memcpy(need[i].to, &symbol, sizeof symbol);
  }
  *rl.catch_signals = 0;
  *rl.append = 0;
  *rl.name = "dynamo";
  *rl.generator = complete;
  *rl.word_breaks = " \t\n\"'()[]{}=<>+-*/^%#,;~";
  return true;
}

static bool editing(void) {
  if (!state) state = load() ? 1 : -1;
  return state > 0;
}

int app_editing(lua_State *L) {
  lua_pushboolean(L, editing());
  return 1;
}

int app_remember(lua_State *L) {
  const char *line = luaL_checkstring(L, 1);
  if (editing()) rl.history(line);
  return 0;
}

int app_completer(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_setfield(L, LUA_REGISTRYINDEX, "dynamo.completer");
  return 0;
}

/* Readline asks for one candidate after the other, and frees them. */
static char *complete(const char *word, int again) {
  static int next;
  lua_State *L = asking;
  if (!L || !lua_checkstack(L, 8)) return NULL;
  if (!again) {
    next = 1;
    lua_getfield(L, LUA_REGISTRYINDEX, "dynamo.completer");
    lua_pushstring(L, *rl.line);
    lua_pushstring(L, word);
    if (lua_pcall(L, 2, 1, 0) != LUA_OK || !lua_istable(L, -1)) {
      lua_pop(L, 1);
      lua_newtable(L);
    }
    lua_setfield(L, LUA_REGISTRYINDEX, "dynamo.candidates");
  }
  lua_getfield(L, LUA_REGISTRYINDEX, "dynamo.candidates");
  if (!lua_istable(L, -1)) return lua_pop(L, 1), NULL;
  lua_rawgeti(L, -1, next++);
  const char *s = lua_tostring(L, -1);
  char *copy = s ? strdup(s) : NULL;
  lua_pop(L, 2);
  return copy;
}

static void on_line(char *line) {
  rl.remove(); /* so that what the entry prints starts on a clean terminal */
  got = line;
  have = true;
}

/* 1: a line in 'got'; 0: end of input; -1: Ctrl-C. */
static int edit(const char *prompt) {
  have = false;
  got = NULL;
  rl.install(prompt, on_line);
  while (!have) {
    struct pollfd p = {0, POLLIN, 0};
    int r = poll(&p, 1, -1); /* a signal always ends it */
    if (app_pressed()) {
      rl.free_line_state();
      rl.sigcleanup();
      rl.replace_line("", 0);
      rl.remove();
      fputs("^C\n", stdout);
      return -1;
    }
    if (r > 0) rl.read_char();
    if (r < 0 && errno != EINTR) break;
  }
  return got ? 1 : 0;
}

/* The same without the library. */
static int plain(const char *prompt) {
  if (isatty(0)) {
    fputs(prompt, stdout);
    fflush(stdout);
    if (!app_pressed()) { /* a buffered line needs no waiting */
      struct pollfd p = {0, POLLIN, 0};
      poll(&p, 1, -1);
    }
    if (app_pressed()) {
      fputs("\n", stdout);
      return -1;
    }
  }
  size_t room = 0;
  got = NULL;
  ssize_t n = getline(&got, &room, stdin);
  if (n < 0) {
    free(got);
    return 0;
  }
  if (n > 0 && got[n - 1] == '\n') got[n - 1] = 0;
  return 1;
}

int app_readline(lua_State *L) {
  const char *prompt = luaL_checkstring(L, 1);
  asking = L;
  fflush(stdout);
  app_prompting(isatty(0));
  int r = editing() ? edit(prompt) : plain(prompt);
  if (r < 0) lua_pushboolean(L, 0);
  if (r == 0) lua_pushnil(L);
  if (r > 0) {
    lua_pushstring(L, got); /* out of memory here leaks one line */
    free(got);
  }
  return 1;
}
