#include "bind/bind.h"

void dyn_open_sys(lua_State *L) { (void)L; }
