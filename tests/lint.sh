#!/bin/sh
# tests/lint.sh [object folder] -- what can be found without running anything: Lua files that one of the two parsers
# refuses, globals that are not Lua's, what cppcheck finds, and warnings of gcc and clang. What is not installed is
# skipped, with its name.
cd "$(dirname "$0")/.." || exit 1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0

have() { command -v "$1" > /dev/null || { echo "# skip $2: no $1"; return 1; }; }
# verdict NAME FILE: good if the file with complaints is empty
verdict() {
  if [ -s "$2" ]; then
    failed=$((failed + 1)); echo "not ok - $1"; sed 's/^/# /' "$2" | head -40
  else
    passed=$((passed + 1)); echo "ok - $1"
  fi
}

files=$(find lua tests examples tools -name '*.lua' 2> /dev/null | LC_ALL=C sort)

if have luac5.4 "Lua 5.4's parser"; then
  for f in $files; do luac5.4 -p "$f"; done > "$tmp/54" 2>&1
  verdict "Lua 5.4 parses every Lua file" "$tmp/54"
fi
if have luajit "LuaJIT's parser"; then
  for f in $files; do luajit -bl "$f" > /dev/null; done > "$tmp/jit" 2>&1
  verdict "LuaJIT parses every Lua file" "$tmp/jit"
fi

# Names of the common subset of both, and what tests/lua/run.lua gives to specs. In examples `dynamo` is required.
std="_VERSION _G arg assert collectgarbage coroutine debug dofile error getmetatable io ipairs jit load loadfile loadstring
math next os package pairs pcall print rawequal rawget rawset require select setmetatable string table tonumber tostring
type unpack utf8 xpcall"
# globals_of ALLOWED FILES...: every other global that is read, every one that is set
globals_of() {
  allowed=$1
  shift
  for f; do
    luac5.4 -l -p "$f" | awk -v f="$f" -v allowed="$allowed" '
      BEGIN { n = split(allowed, a, /[ \n]+/); for (i = 1; i <= n; i++) ok[a[i]] = 1 }
      /[GS]ETTABUP.*_ENV "/ {
        name = $0; sub(/.*_ENV "/, "", name); sub(/".*/, "", name)
        line = $2; gsub(/[^0-9]/, "", line)
        if (/SETTABUP/ || !(name in ok)) print f ":" line ": global " (/SETTABUP/ ? "set" : "read") ": " name
      }'
  done
}
if have luac5.4 "globals"; then
  # shellcheck disable=SC2046
  globals_of "$std" $(echo "$files" | grep -v '^tests/lua/') > "$tmp/globals"
  # shellcheck disable=SC2046
  globals_of "$std test raises near" $(echo "$files" | grep '^tests/lua/.*_spec') >> "$tmp/globals"
  verdict "no globals but Lua's own" "$tmp/globals"
fi

# Left out: what this version gets wrong (hexadecimal floats, aligned storage as bytes, bounds of an enum).
if have cppcheck "cppcheck"; then
  cppcheck --quiet --std=c11 --language=c --enable=warning,portability --inline-suppr --error-exitcode=0 -j 2 -Isrc \
    --suppress=incorrectLogicOperator --suppress=invalidPointerCast --suppress=arrayIndexOutOfBoundsCond \
    --suppress=missingIncludeSystem --suppress=preprocessorErrorDirective --template='{file}:{line}: {id}: {message}' \
    src > "$tmp/cppcheck" 2>&1
  verdict "cppcheck finds nothing" "$tmp/cppcheck"
fi

# Everything, C tests included, from nothing: a compiler that says anything has found something.
for cc in gcc clang; do
  have $cc "warnings of $cc" || continue
  ${MAKE:-make} -s -j2 DEPS=skip CC=$cc BUILD="$tmp/$cc" CFLAGS='-O1 -g' lint-build > "$tmp/out" 2> "$tmp/$cc.txt" ||
    echo "$cc: the build failed" >> "$tmp/$cc.txt"
  verdict "no warning from $cc" "$tmp/$cc.txt"
done

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
