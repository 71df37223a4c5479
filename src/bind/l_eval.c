#include "bind/bind.h"

void dyn_open_eval(lua_State *L) { (void)L; }
