#include "bind/bind.h"

void dyn_open_embed(lua_State *L) { (void)L; }
