#include "bind/bind.h"

void dyn_open_simulate(lua_State *L) { (void)L; }
