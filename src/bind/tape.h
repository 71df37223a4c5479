/* tape.h -- what l_tape.c and l_optim.c share. Private to bind/. */
#ifndef DYN_BIND_TAPE_H
#define DYN_BIND_TAPE_H

#include "bind/bind.h"
#include "learn/tape.h"

/* A tape and who holds it: its Tape, its variables, bound parameters. */
typedef struct dyn_taperef {
  dyn_tape *t; /* NULL: closed */
  int refs;
} dyn_taperef;

typedef struct dyn_var {
  dyn_taperef *s;
  int id;
} dyn_var;

/* Drop a reference; '*s' becomes NULL. */
void dyn_taperef_drop(dyn_taperef **s);
/* The open tape at 'arg'. */
dyn_taperef *dyn_checktape(lua_State *L, int arg);
/* Push an empty variable, and make it variable 'id' of a tape. */
dyn_var *dyn_pushvar(lua_State *L);
void dyn_adoptvar(dyn_var *v, dyn_taperef *s, int id);
/* The variable at 'arg', whose tape is open. */
dyn_var *dyn_checkvar(lua_State *L, int arg);
/* The number, tensor or variable at 'arg' on tape 's'; -1 if it is nil. */
int dyn_ontape(lua_State *L, int arg, dyn_taperef *s, dyn_type type);
/* Run 'op' on a tape; pushes the variable and returns 1. */
int dyn_runop(lua_State *L, dyn_taperef *s, dyn_opcode op, const int *in,
              int nin, const dyn_attr *a);
/* More methods of variables, for the class that dyn_open_tape made. */
void dyn_open_variable(lua_State *L);
/* s:matmul(v) of the Sparse at 1, transposed or not; pushes the result. */
int dyn_varsparse(lua_State *L, bool trans);
/* Arithmetic of two operands, one of them a variable; pushes the result. */
int dyn_vararith(lua_State *L, dyn_opcode op);
/* where(mask, a, b) with a variable among a and b. */
int dyn_varwhere(lua_State *L);

#endif
