#!/bin/sh
# fetch: against a server of our own that stalls, truncates and lies. No network.
. "$(dirname "$0")/frame.inc"
server=
cleanup='kill $server 2> /dev/null'
export XDG_CACHE_HOME="$tmp/cache" DYNAMO_QUIET=1 no_proxy='*'
if ! command -v curl > /dev/null || ! command -v python3 > /dev/null; then
  echo "# skip fetch: no curl or no python3"; echo "0 passed, 0 failed"; exit 0
fi
python3 "$(dirname "$0")/fetch_server.py" "$tmp/all.json" "$tmp/log" 2> "$tmp/errors" &
server=$!
for _ in $(seq 100); do [ -s "$tmp/all.json" ] && break; sleep 0.1; done

fetch() { "$dynamo" -q fetch --catalogue "$tmp/all.json" --timeout 2 "$@"; }
visits() { grep -c "^/$1 " "$tmp/log"; }
# left FOLDER: what a failed download leaves behind
left() { ls -A "$tmp/cache/dynamo/$1" 2> /dev/null | tr '\n' ' '; echo "."; }

is "a file is downloaded" 0 "^$tmp/cache/dynamo/good/file.bin$" fetch good
is "and comes from the cache then" 0 '^1$' sh -c "$dynamo -q fetch --catalogue $tmp/all.json good > /dev/null; grep -c '^/good ' $tmp/log"
is "nothing else stays" 0 '^file.bin file.bin.json [.]$' left good
printf x | dd of="$tmp/cache/dynamo/good/file.bin" bs=1 seek=9 conv=notrunc 2> /dev/null
fetch --check good > /dev/null; is "--check finds a changed byte and repairs it" 0 '^2$' visits good
is "its digest is the published one" 0 '^true$' "$dynamo" -e "local c = require('dynamo.json').decode(io.open('$tmp/all.json'):read '*a')
  print(dynamo.sha256_file '$tmp/cache/dynamo/good/file.bin' == c.good.files[1].sha256)"
fetch --refresh good > /dev/null; is "--refresh downloads again" 0 '^3$' visits good
is "MD5 is checked where that is published" 0 'md5/file.bin$' fetch md5
is "the folder can be chosen" 0 "^$tmp/here/text/net.csv$" fetch -o "$tmp/here" text
is "a line that reads it" 0 'read it: dynamo.graph.read."[^"]*net.csv", [{] min_score = 0.5 [}].$' \
  "$dynamo" fetch --catalogue "$tmp/all.json" text
is "and reads it" 0 '^Graph net.csv: 2 edges' "$dynamo" -q -e "print(dynamo.graph.read((dynamo.fetch('text', { catalogue = '$tmp/all.json' }))))"
is "several files of one entry" 0 'two/b$' fetch two
is "packed files are unpacked" 0 '^TP53,CDKN1A,1$' sh -c "$dynamo -q fetch --catalogue $tmp/all.json packed > /dev/null; cat $tmp/cache/dynamo/packed/net.csv"

is "a server that breaks off: goes on where it stopped" 0 'drop/file.bin$' fetch drop
is "in pieces" 0 '^/drop bytes=180000-$' cat "$tmp/log"
is "a server that stalls" 0 'stall/file.bin$' fetch stall
is "after its pause" 0 '^/stall bytes=50000-$' cat "$tmp/log"
is "a server that cannot go on where it stopped" 0 'norange/file.bin$' fetch norange
is "a server that is busy twice" 0 'busy/file.bin$' fetch busy
is "a file that changed in between" 0 'changed/file.bin$' fetch changed
is "a redirection" 0 'moved/file.bin$' fetch moved

bad() {
  is "$@"
  if [ "$(printf '%s\n' "$out" | wc -l)" != 1 ] || [ "${out#dynamo: }" = "$out" ]; then
    failed=$((failed + 1)); echo "not ok - $1: one sentence"
    printf '%s\n' "$out" | sed 's/^/# /'
  fi
}
bad "a promise that is never kept" 74 'the server stopped before the end .tried 5 times.' fetch short
bad "more than the catalogue says, without a length" 65 'sends more than the catalogue says' fetch long
bad "more than the catalogue says" 65 'larger than the catalogue says' fetch larger
bad "less than the catalogue says" 65 '1000 bytes came, 200000 were expected' fetch smaller
bad "other bytes" 65 'SHA-256 differs from the published one' fetch wrong
is "nothing of them stays" 0 '^[.]$' left wrong
bad "other bytes, MD5" 65 'MD5 differs from the published one' fetch badmd5
bad "a web page" 65 'a web page came in place of the file' fetch page
bad "an empty file" 65 'the file is empty' fetch empty
bad "no gzip file where one was promised" 65 'not a gzip file, or damaged' fetch notpacked
bad "not there" 66 'HTTP 404, not found' fetch gone
bad "a redirection to a local file" 74 'curl ended|redirect|no such' fetch local
bad "a ring of redirections" 74 'too many redirections' fetch loop
bad "nobody answers" 74 'no connection .tried 5 times.' fetch nobody
bad "an unknown name" 2 "nothing is called 'godd'; did you mean 'good'" fetch godd
bad "no such catalogue" 66 'none.json: cannot open' "$dynamo" fetch --catalogue "$tmp/none.json" x
# each: a word of the message, an entry
while IFS='|' read -r word text; do
  echo "$text" > "$tmp/bad.json"
  bad "a catalogue with $word" 65 "$word" "$dynamo" fetch --catalogue "$tmp/bad.json" x
done << 'L'
not valid JSON|{
plain name|{"../x":{"files":[{"name":"a","url":"http://h/"}]}}
list of files|{"x":{"files":[]}}
letters, digits|{"x":{"files":[{"name":"../../etc/passwd","url":"http://h/"}]}}
no address|{"x":{"files":[{"name":"a","url":"file:///etc/passwd"}]}}
no address|{"x":{"files":[{"name":"a","url":"http://h/'; touch y; '"}]}}
hexadecimal|{"x":{"files":[{"name":"a","url":"http://h/","sha256":"12"}]}}
size is a number|{"x":{"files":[{"name":"a","url":"http://h/","size":-1}]}}
unpack is|{"x":{"files":[{"name":"a","url":"http://h/","unpack":"sh"}]}}
L
is "the list" 0 '^norman2019 .* 698.7 MB .*CC BY 4.0' "$dynamo" fetch --list
is "all about one" 0 'MD5 c870e6967d91c017d9da827bab183cd6' "$dynamo" fetch --list norman2019
mkdir -p "$tmp/none"
is "without curl" 74 'curl is not installed .try: apt-get install curl' env PATH="$tmp/none:$(dirname "$(command -v sh)")/none" \
  "$(cd "$(dirname "$dynamo")" && pwd)/dynamo" -q fetch --catalogue "$tmp/all.json" --refresh good
finish
