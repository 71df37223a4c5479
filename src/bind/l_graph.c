#include "bind/bind.h"

void dyn_open_graph(lua_State *L) { (void)L; }
