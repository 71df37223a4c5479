#include "bind/bind.h"

void dyn_open_table(lua_State *L) { (void)L; }
