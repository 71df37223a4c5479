#!/bin/sh
# make install into a folder of its own: the program, the modules in stock interpreters, the library in a C program;
# and make uninstall leaves nothing.
cd "$(dirname "$0")/../.." || exit 1
build=${BUILD:-build}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
stage=$tmp/stage root=$tmp/stage/opt/dynamo
passed=0 failed=0
unset LUA_PATH LUA_CPATH LUA_PATH_5_4 LUA_CPATH_5_4 DYNAMO_LUA

# is NAME PATTERN command...: ends with 0 and says that
is() {
  name=$1 pattern=$2
  shift 2
  if out=$("$@" 2>&1) && printf '%s\n' "$out" | grep -qE -e "$pattern"; then
    passed=$((passed + 1)); echo "ok - $name"
  else
    failed=$((failed + 1)); echo "not ok - $name"
    printf '%s\n' "$out" | sed 's/^/# /'
  fi
}
run_make() { MAKEFLAGS='' make -s DEPS=skip BUILD="$build" DESTDIR="$stage" PREFIX=/opt/dynamo "$@" > "$tmp/log" 2>&1; }
if ! run_make install; then
  sed 's/^/# /' "$tmp/log"
  echo "not ok - make install"
  echo "0 passed, 1 failed"
  exit 1
fi

is "the program runs from there" '^dynamo [0-9]' "$root/bin/dynamo" --version
is "and needs none of the files beside it" 'Thin SVD' sh -c "cd / && '$root/bin/dynamo' help svd"
is "the manual page" '^\.TH DYNAMO 1' cat "$root/share/man/man1/dynamo.1"
if command -v man > /dev/null; then
  is "the manual page has no mistakes" '^$' sh -c \
    "LC_ALL=C.UTF-8 MANROFFSEQ= man --warnings -E UTF-8 -l -Tutf8 -Z '$root/share/man/man1/dynamo.1' 2>&1 > /dev/null | grep -v 'cannot adjust\|break line'; echo"
else
  echo "# skip the manual page: no man"
fi

stock() { # version interpreter
  if ! command -v "$2" > /dev/null || [ ! -f "$root/lib/lua/$1/dynamo/core.so" ]; then
    echo "# skip $2: not there"
    return
  fi
  cat > "$tmp/stock.lua" <<L
package.path = "$root/share/lua/$1/?.lua;$root/share/lua/$1/?/init.lua;" .. package.path
package.cpath = "$root/lib/lua/$1/?.so;" .. package.cpath
local dynamo = require "dynamo"
local w = dynamo.eigh(dynamo.tensor({ { 2, 0 }, { 0, 5 } }, "double"))
local e = dynamo.embed.random({ "A", "B" }, { dim = 3 })
print(dynamo.version, w:get(2), e, (dynamo.help.page "embed.node2vec":match "Grover"))
L
  is "require \"dynamo\" in $2" '^[0-9.]+	5(\.0)?	Embedding random dim=3: 2 genes x 3	Grover$' sh -c "cd / && $2 '$tmp/stock.lua'"
}
stock 5.4 "${LUA:-lua5.4}"
stock 5.1 "${LUAJIT:-luajit}"

# The installed files hold the final paths: what is staged is found by telling pkg-config where.
openblas=$(echo /usr/lib/*/openblas-openmp/pkgconfig)
export PKG_CONFIG_PATH="$root/lib/pkgconfig:$openblas"
flags() { pkg-config --define-variable=prefix="$root" "$@" dynamo; }
is "pkg-config knows the version" '^0\.' pkg-config --modversion dynamo
# shellcheck disable=SC2046,SC2086
is "a C program with the static library" '^$' ${CC:-cc} -std=c11 -Wall -Wextra -Werror examples/c/hello.c \
  $(flags --cflags) "$root/lib/libdynamo.a" $(flags --libs --static | sed 's/-ldynamo//') -o "$tmp/hello"
is "says how far two genes commute" '^a after b moves .* \(1, 2\); \|\[a, b\]\| = 0\.3536$' "$tmp/hello"
# shellcheck disable=SC2046,SC2086
is "a C program with the shared library" '^$' ${CC:-cc} -std=c11 examples/c/hello.c $(flags --cflags --libs) \
  -o "$tmp/hello2"
is "which finds it" '0\.3536$' env LD_LIBRARY_PATH="$root/lib" "$tmp/hello2"

# shellcheck disable=SC2046,SC2086
is "a C program on handles alone" '^$' ${CC:-cc} -std=c11 -Wall -Wextra -Werror examples/c/embed.c \
  $(flags --cflags --libs) -o "$tmp/embed"
is "predicts genes that were never perturbed" 'A4 raises the first gene, B4 lowers the second$' \
  env LD_LIBRARY_PATH="$root/lib" "$tmp/embed"
is "the name of the library has the major version" 'SONAME.*\[libdynamo\.so\.0\]' readelf -d "$root/lib/libdynamo.so.0"
versions() {
  for part in MAJOR MINOR PATCH; do
    sed -n "s/^#define DYN_VERSION_$part *//p" "$root/include/dynamo/core/version.h"
  done | paste -sd.
  pkg-config --modversion dynamo
  LD_LIBRARY_PATH="$root/lib" "$tmp/embed" | sed 's/^dynamo \([0-9.]*\):.*/\1/'
  "$root/bin/dynamo" --version | sed -n '1s/^dynamo \([0-9.]*\).*/\1/p'
}
is "header, pkg-config, library and program have one version" '^[0-9]+\.[0-9]+\.[0-9]+$' sh -c \
  "test $(versions | sort -u | wc -l) = 1 && echo $(versions | head -1)"
if command -v "${LUAJIT:-luajit}" > /dev/null && [ -f "$root/lib/lua/5.1/dynamo/core.so" ]; then
  cat > "$tmp/ffi.lua" <<L
package.path = "$root/share/lua/5.1/?.lua;$root/share/lua/5.1/?/init.lua;" .. package.path
package.cpath = "$root/lib/lua/5.1/?.so;" .. package.cpath
local lib = require("dynamo").library.open()
print(lib.path, lib.reduce("sum", lib.tensor_new("double", 1, { 3 }, nil), -1):array()[1])
L
  is "LuaJIT's FFI finds the installed library" 'libdynamo\.so\.0	0$' sh -c "cd / && ${LUAJIT:-luajit} '$tmp/ffi.lua'"
else
  echo "# skip LuaJIT's FFI: not there"
fi

if run_make uninstall; then
  is "make uninstall leaves nothing" '^$' find "$stage" -type f -o -type l
else
  failed=$((failed + 1)); echo "not ok - make uninstall"; sed 's/^/# /' "$tmp/log"
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
