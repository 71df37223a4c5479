#!/bin/sh
# The program as people start it: output, exit status, both streams.
. "$(dirname "$0")/frame.inc"
export XDG_STATE_HOME="$tmp/state"

# says NAME PATTERN entries: what the prompt answers
says() {
  printf '%s\n' "$3" > "$tmp/input"
  input="$tmp/input" is "$1" 0 "$2" "$dynamo"
}

is "version" 0 '^dynamo [0-9]+\.[0-9]+\.[0-9]+ \(Lua 5\.4, OpenBLAS' "$dynamo" --version
is "help fits a screen" 0 '^2[0-4]$|^1[0-9]$' sh -c "$dynamo --help | wc -l | tr -d ' '"
is "help of a command" 0 'Usage: dynamo run' "$dynamo" run --help
is "code" 0 '^a	b$' "$dynamo" -e 'print("a", "b")'
is "threads" 0 '^1$' "$dynamo" --threads 1 -e 'print(dynamo.threads())'
is "memory limit" 1 '^dynamo: .*memory' "$dynamo" --max-memory 1G -e 'dynamo.zeros(20000, 20000)'
is "a memory limit that is too small" 2 'max-memory 16M: the program itself takes [0-9]+M' "$dynamo" --max-memory 16M -e 'print(1)'

cat > "$tmp/s.lua" <<'L'
print(arg[0]:match "[^/]*$", arg[1], ..., dynamo.version ~= nil)
L
is "script with arguments" 0 '^s.lua	x	x	true$' "$dynamo" "$tmp/s.lua" x y
input="$tmp/s.lua" is "script on standard input" 0 '^-	x	x	true$' "$dynamo" - x
echo 'return { v = 7 }' > "$tmp/mine.lua"
echo 'print(require "mine".v)' > "$tmp/t.lua"
is "modules beside the script" 0 '^7$' "$dynamo" "$tmp/t.lua"
is "output into head is quiet" 0 '^1$' sh -c "$dynamo -e 'for i = 1, 1e6 do print(i) end' | head -1"
is "a full disk is an error" 74 'standard output cannot be written' sh -c "$dynamo -e 'print(1)' > /dev/full"

says "expressions" '^4$' 'local x = 3
x + 1'
says "several results" '^1   nil   "a"$' '1, nil, "a"'
says "entries over several lines" '^2$' 'for i = 1, 2 do
  print(i)
end'
says "unfinished expressions" '^7$' '3 +
4'
says "old way to ask" '^5$' '=5'
says "tables have sorted keys" '^\{ 1, "x", a = true, b = \{\} \}$' '{ 1, "x", b = {}, a = true }'
says "tensors" '^ +1.0000 +2.5000$' 'dynamo.tensor{{1,2.5}}'
says "silence" '^end$' '3;
print "end"'
says "the last value" '^12$' '11
_ + 1'
input="$tmp/input"; echo 'error("x")
print "not reached"' > "$input"
is "piped input ends at the first error" 1 '^error: stdin:1: x$' "$dynamo"
unset input

# Ctrl-C: a loop in Lua, one in a coroutine under pcall, one inside C
interrupted() {
  is "$1" 130 '^dynamo: interrupted$' python3 -c '
import signal, subprocess, sys, time
p = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True)
p.stdout.readline()
time.sleep(0.2)
p.send_signal(signal.SIGINT)
sys.exit(p.wait(10))' "$dynamo" -e "print 'go' io.stdout:flush() $2"
}
if command -v python3 > /dev/null; then
  interrupted "Ctrl-C stops a loop" 'while true do end'
  interrupted "Ctrl-C is not caught" 'while true do pcall(function() while true do end end) end'
  interrupted "Ctrl-C stops a coroutine" 'coroutine.wrap(function() while true do end end)()'
else
  echo "# skip Ctrl-C: no python3"
fi

finish
