#!/bin/sh
# The names that libdynamo.so gives to programs are those of tests/golden/symbols.txt: a name that goes away is a new
# major version (before 1.0: minor), a new one a minor version. After a change that is meant: sh tests/cli/symbols.sh update
cd "$(dirname "$0")/../.." || exit 1
build=${BUILD:-build}
list=tests/golden/symbols.txt
tmp=$(mktemp)
trap 'rm -f "$tmp"' EXIT
nm -D --defined-only "$build/libdynamo.so" | awk '$2 != "A" { print $3 }' | LC_ALL=C sort > "$tmp"
if [ "${1:-}" = update ]; then
  cp "$tmp" $list
  exit 0
fi
if changes=$(diff $list "$tmp"); then
  echo "ok - the names of libdynamo.so are those of $list"
  echo "1 passed, 0 failed"
else
  echo "not ok - the names of libdynamo.so are those of $list (< gone, > new)"
  printf '%s\n' "$changes" | sed 's/^/# /'
  echo "0 passed, 1 failed"
  exit 1
fi
