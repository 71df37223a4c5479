/* l_graph.h -- private to bind: the graph at a place of the stack. */
#ifndef DYN_L_GRAPH_H
#define DYN_L_GRAPH_H

#include "bind/compat.h"
#include "embed/graph.h"

/* The graph at 'arg'; closed ones are an error. */
const dyn_graph *dyn_checkgraph(lua_State *L, int arg);

#endif
