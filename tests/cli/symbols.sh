#!/bin/sh
# The names that libdynamo.so gives to programs are those of tests/golden/symbols.txt: a name that goes away is a new
# major version (before 1.0: minor), a new one a minor version. The declarations for LuaJIT are those of the header, and
# every public function has a comment. After a change that is meant: sh tests/cli/symbols.sh update
cd "$(dirname "$0")/../.." || exit 1
build=${BUILD:-build}
list=tests/golden/symbols.txt
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0
nm -D --defined-only "$build/libdynamo.so" | awk '$2 != "A" { print $3 }' | LC_ALL=C sort > "$tmp/names"
if [ "${1:-}" = update ]; then
  cp "$tmp/names" $list
  sh tools/cdef.sh > lua/dynamo/ffi_cdef.lua
  exit 0
fi
# verdict NAME: good if the file with complaints is empty
verdict() {
  if [ -s "$tmp/bad" ]; then
    failed=$((failed + 1)); echo "not ok - $1"; sed 's/^/# /' "$tmp/bad" | head -40
  else
    passed=$((passed + 1)); echo "ok - $1"
  fi
}

diff $list "$tmp/names" > "$tmp/bad"
verdict "the names of libdynamo.so are those of $list (< gone, > new)"

sh tools/cdef.sh | diff lua/dynamo/ffi_cdef.lua - > "$tmp/bad"
verdict "the declarations for LuaJIT are those of src/abi/abi.h (made by tools/cdef.sh)"

sed -n 's/^.*\(dynamo_[a-z0-9_]*\)(.*/\1/p' src/abi/abi.h | LC_ALL=C sort -u > "$tmp/declared"
grep '^dynamo_' "$tmp/names" | diff "$tmp/declared" - > "$tmp/bad"
verdict "the library has the functions of abi.h, and no other that begin with dynamo_"

# A declaration after a blank line has no comment above it and is in no group that has one. What _free and _name
# mean stands in dynamo.h.
headers=$(${CC:-cc} -Isrc -D_GNU_SOURCE -MM src/dynamo.h | tr ' ' '\n' | grep '^src/.*\.h$')
# shellcheck disable=SC2086
awk 'FNR == 1 { blank = 0 }
  blank && /^[a-z_A-Z0-9]+ [a-z_0-9 *]*dyn(amo)?_[a-z0-9_]+\(/ && !/_(free|name)\(|\/\*|^(typedef|static|extern|#)/ {
    print FILENAME ":" FNR ": " $0
  }
  { blank = /^$/ }' $headers > "$tmp/bad"
verdict "every public function has a comment, alone or in its group"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
