#include "bind/bind.h"

void dyn_open_operator(lua_State *L) { (void)L; }
