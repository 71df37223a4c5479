#!/bin/sh
# tools/cdef.sh -- the declarations of src/abi/abi.h, and what they need of core/base.h and core/version.h, as LuaJIT's FFI
# reads them: without comments and preprocessor. `sh tools/cdef.sh > lua/dynamo/ffi_cdef.lua` after a change of them;
# tests/cli/symbols.sh finds a copy that is out of date.
cd "$(dirname "$0")/.." || exit 1
echo "--- The declarations of dynamo's binary interface for LuaJIT's FFI: made by tools/cdef.sh from src/abi/abi.h."
echo "return [["
{
  sed -n '/^typedef enum dyn_status/,/^} dyn_status;/p; /^typedef struct dyn_err/,/^} dyn_err;/p' src/core/base.h
  cat src/core/version.h src/abi/abi.h
} | awk '
  { line = $0; out = "" }
  # comments, which may span lines
  {
    while (line != "") {
      if (inside) {
        at = index(line, "*/")
        if (!at) { line = ""; break }
        line = substr(line, at + 2); inside = 0
      } else {
        at = index(line, "/*")
        if (!at) { out = out line; line = ""; break }
        out = out substr(line, 1, at - 1); line = substr(line, at + 2); inside = 1
      }
    }
  }
  # preprocessor lines, which may go on
  goes_on { goes_on = out ~ /\\$/; next }
  out ~ /^#/ { goes_on = out ~ /\\$/; next }
  { gsub(/DYN_STATUS/, "dyn_status", out); sub(/[ \t]+$/, "", out) }
  out != "" { print out }'
echo "]]"
