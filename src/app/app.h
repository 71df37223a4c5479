/* app.h -- what main.c, interrupt.c and repl.c know of each other. */
#ifndef DYN_APP_H
#define DYN_APP_H

#include <lauxlib.h>
#include <lua.h>
#include <signal.h>
#include <stdbool.h>

/*
** Install the handlers of SIGINT and SIGPIPE, and replace coroutine.resume and
** coroutine.wrap by versions that know which state is running.
*/
void app_interrupt_open(lua_State *L);
/*
** lua_pcall(L, nargs, nresults) during which Ctrl-C raises an error at the
** next instruction of Lua. On failure the error and, above it, the traceback
** are on the stack. '*stopped' says whether it was Ctrl-C.
*/
int app_call(lua_State *L, int nargs, int nresults, bool *stopped);
/* Whether the program waits for a line: Ctrl-C is then a question's answer. */
void app_prompting(bool on);
/* Ctrl-C since the last question, while nothing was being called. */
bool app_pressed(void);

/*
** One line of input, without its newline: a string; false after Ctrl-C; nil at
** the end of input. Argument: the prompt. GNU readline if the input is a
** terminal and the library is there.
*/
int app_readline(lua_State *L);
/* Whether app_readline edits lines; loads the library. */
int app_editing(lua_State *L);
/* Let the arrow keys find a line (string). */
int app_remember(lua_State *L);
/* Register function(line, word) -> list of completions. */
int app_completer(lua_State *L);

#endif
