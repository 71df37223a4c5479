#include "bind/bind.h"

void dyn_open_h5ad(lua_State *L) { (void)L; }
