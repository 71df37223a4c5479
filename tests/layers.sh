#!/bin/sh
# tests/layers.sh object ... -- who may include whom, and who must be silent.
{
  awk '
    BEGIN {
      may["embed"] = may["learn"] = may["eval"] = may["io"] = may["simulate"] = "core"
      may["koopman"] = "core learn"
      may["abi"] = "core embed learn koopman eval io"
      may["bind"] = "core embed learn koopman eval io simulate"
      only["hdf5"] = "src/io/h5_lib.h"
      only["cblas"] = only["lapacke"] = "src/core/linalg.c"
    }
    function bad(why) { printf "not ok - %s:%d: %s\n", FILENAME, FNR, why }
    FNR == 1 { split(FILENAME, path, "/"); room = path[2] }
    /^#include "/ {
      split($2, used, /["\/]/)
      if (used[2] != room && !index(" " may[room] " ", " " used[2] " ") &&
          !(room == "app" && $2 == "\"bind/open.h\""))
        bad(room " includes " $2)
    }
    /^#include </ {
      name = $2
      gsub(/[<>]|\.h/, "", name)
      if (name ~ /^(lua|lauxlib|lualib)$/ && room !~ /^(bind|app)$/) bad("Lua")
      if ((name in only) && FILENAME != only[name]) bad("only in " only[name])
    }' src/*/*
  nm -A "$@" | awk '
    BEGIN { loud = "^_*(v?f?printf(_chk)?|puts|putchar|stdout|stderr|exit|abort)$" }
    $2 == "U" && $3 ~ loud { print "not ok - " $1 " prints or exits: " $3 }'
} | awk '{ print; f++ } END { printf "%d passed, %d failed\n", !f, f; exit f > 0 }'
