#!/bin/sh
# tools/embed.sh file.lua ... -- C arrays with the bytes of these files and of
# the packaged modules argparse and dkjson, and a table that names them.
set -e

# Where the packaged module $1 is; fails with the line that installs it.
packaged() {
  for dir in ${LUA_SHARE:-/usr/share/lua/5.4 /usr/local/share/lua/5.4 \
      /usr/share/lua/5.1}; do
    if [ -f "$dir/$1.lua" ]; then echo "$dir/$1.lua"; return; fi
  done
  echo "$1.lua not found: apt-get install lua-argparse lua-dkjson" >&2
  return 1
}

# lua/dynamo/run/write.lua is dynamo/run/write.lua for messages
emit() { # number file chunk
  printf 'static const unsigned char embedded_%d[] = {\n' "$1"
  od -An -v -tu1 "$2" | awk '{ gsub(/[ \t]+/, ","); sub(/^,/, "")
    sub(/,$/, ""); if ($0 != "") print $0 "," }'
  printf '0};\n'
  printf '{"%s", embedded_%d, sizeof embedded_%d - 1},\n' "$3" "$1" "$1" \
    >> "$rows"
}

argparse=$(packaged argparse)
dkjson=$(packaged dkjson)
rows=$(mktemp)
trap 'rm -f "$rows"' EXIT
echo '/* Written by tools/embed.sh. */'
n=0
for file; do
  n=$((n + 1))
  emit "$n" "$file" "${file#lua/}"
done
emit $((n + 1)) "$argparse" argparse.lua
emit $((n + 2)) "$dkjson" dkjson.lua
echo 'static const struct embedded {'
echo '  const char *path;'
echo '  const unsigned char *data;'
echo '  size_t size;'
echo '} embedded[] = {'
cat "$rows"
echo '};'
