#include "bind/bind.h"

void dyn_open_tape(lua_State *L) { (void)L; }
