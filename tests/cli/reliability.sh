#!/bin/sh
# What goes wrong around a program: full disks, closed pipes, things that are no files, names of every sort, kills, and
# several processes in one folder.
. "$(dirname "$0")/frame.inc"
cleanup='umount "$tmp/small" 2> /dev/null'
export DYNAMO_QUIET=1

"$dynamo" -q simulate --out "$tmp/sim" genes=60 perturbed=24 doubles=6 cells=1500 > /dev/null 2>&1
a="$tmp/sim/line_a.h5ad"
cat > "$tmp/tiny.lua" <<'L'
local dynamo = require "dynamo"
local folder = dynamo.setting("data", "nowhere", "folder with the simulated files")
local R = dynamo.data.read(folder .. "/line_a.h5ad"):responses()
return dynamo.experiment { name = "tiny", data = R:select(R:singles()), split = dynamo.split.unseen_genes { validate = 0 },
  embedding = dynamo.embed.random { dim = 8 }, report = false, draws = 200, ceiling = false,
  model = dynamo.model.koopman { members = 1, latent = 4, hidden = 8, rank = 2 }, train = { epochs = 3 } }
L
run() { "$dynamo" -q run "$tmp/tiny.lua" data="$tmp/sim" "$@"; }
all='manifest.json model.dynamo perturbations.csv predictions.h5ad results.csv'
run out="$tmp/good" > /dev/null

# ---- what is no file
mkfifo "$tmp/pipe"
ln -s loop "$tmp/loop"
mkdir "$tmp/dir.h5ad"
is "a pipe" 65 'pipe: a pipe, not a file' "$dynamo" inspect "$tmp/pipe"
is "a pipe for the doctor" 65 'a pipe, not a file' "$dynamo" doctor "$tmp/pipe"
is "a pipe for a model" 65 'not a dynamo model' "$dynamo" predict "$tmp/pipe" --genes A -o "$tmp/x.h5ad"
is "a pipe for controls" 65 'a pipe, not a file' "$dynamo" predict "$tmp/good/model.dynamo" --genes G0001 \
  --controls "$tmp/pipe" -o "$tmp/x.h5ad"
is "a pipe as network, matrix and safetensors" 0 '^3$' "$dynamo" -e "
  local n = 0
  for _, f in ipairs { dynamo.read_edges, dynamo.read_matrix, dynamo.safetensors_info } do
    n = n + (pcall(f, '$tmp/pipe', {}) and 0 or 1)
  end
  print(n)"
is "a device without an end" 65 '/dev/zero: a device, not a file' "$dynamo" inspect /dev/zero
is "a link to itself" 66 'loop: cannot open: Too many levels of symbolic links' "$dynamo" inspect "$tmp/loop"
is "a folder as data" 65 'a folder, not a file' "$dynamo" inspect "$tmp/dir.h5ad"
is "a folder as experiment" 66 'a folder, not a file' "$dynamo" run "$tmp/dir.h5ad"
is "a file as folder" 66 'no such file' "$dynamo" inspect "$a/x"
is "a name that is too long" 66 'File name too long' "$dynamo" inspect "$(printf 'x%.0s' $(seq 300))"

# ---- text from everywhere
printf '\357\273\277perturbation\tgene\tvalue\r\nA\tx\t1\r\nB\tx\t2\r\n' > "$tmp/crlf.tsv"
is "a mark of byte order and lines of Windows" 0 "^  gene +column 'gene'$" "$dynamo" inspect "$tmp/crlf.tsv"
printf 'perturbation\rgene\rvalue\r' > "$tmp/cr.tsv"
is "carriage returns alone" 0 '^  hint +save it with Unix or Windows line ends' "$dynamo" inspect "$tmp/cr.tsv"
printf 'gene\377\t1\t2\nB\t1\t2\n' > "$tmp/latin.tsv"
is "names that are not UTF-8" 65 'line 1: name is not UTF-8' "$dynamo" inspect "$tmp/latin.tsv"
head -c 20000000 /dev/zero | tr '\0' x > "$tmp/long.tsv"
is "a line of 20 MB" 0 'long.tsv: ' "$dynamo" inspect "$tmp/long.tsv"
odd="$tmp/$(printf 'f\377 \047$(x)\n;o')"
mkdir "$odd"
cp "$tmp/crlf.tsv" "$odd/t.tsv"
cp "$tmp/tiny.lua" "$odd/"
is "a folder with every sort of byte in its name" 0 "^  gene +column 'gene'$" "$dynamo" inspect "$odd/t.tsv"
is "a run in such a folder" 0 'no_change' "$dynamo" -q run "$odd/tiny.lua" data="$tmp/sim" out="$odd/run"
is "all its files" 0 "^$all $" sh -c "ls -A \"\$1\" | tr '\n' ' '" sh "$odd/run"

# ---- streams that end early
is "inspect into head" 0 'AnnData' sh -c "'$dynamo' inspect '$a' | head -1"
is "run into head" 0 'tiny, line_a' sh -c "'$dynamo' -q run '$tmp/tiny.lua' data='$tmp/sim' out='$tmp/h' | head -1"
is "no standard output" 74 'standard output cannot be written' sh -c "'$dynamo' inspect '$a' >&-"
is "a full standard output" 74 'standard output cannot be written' sh -c "'$dynamo' inspect '$a' > /dev/full"
is "a run whose output is full has its files" 0 "^$all $" sh -c "
  '$dynamo' -q run '$tmp/tiny.lua' data='$tmp/sim' out='$tmp/full' > /dev/full 2>&1; ls -A '$tmp/full' | tr '\n' ' '"

# ---- disks and folders that take nothing
is "a file where the folder should be" 74 'cannot be created: File exists' \
  "$dynamo" -q run "$tmp/tiny.lua" data="$tmp/sim" out="$tmp/tiny.lua"
is "a folder that nothing can be made in" 73 'cannot be created' \
  "$dynamo" -q run "$tmp/tiny.lua" data="$tmp/sim" out=/proc/nowhere/x
mkdir "$tmp/small"
if mount -t tmpfs -o size=32k tmpfs "$tmp/small" 2> /dev/null; then
  is "a disk that is full" 74 'cannot be written.*No space left on device' \
    "$dynamo" -q run "$tmp/tiny.lua" data="$tmp/sim" out="$tmp/small/r"
  is "nothing of it is left" 0 '^0$' sh -c "find '$tmp/small' -type f | wc -l"
  is "another file can be written after it" 0 '^false.true.3$' "$dynamo" -e "
    local genes, cells = {}, {}
    for i = 1, 300 do genes[i] = 'g' .. i end
    local function write(path, n)
      for i = 1, n do cells[i] = 'c' .. i end
      return (pcall(dynamo.h5ad_write, path, { x = dynamo.rand(1, n, 300), obs_names = cells, var_names = genes, obs = {} }))
    end
    local full = write('$tmp/small/a.h5ad', 100)
    for i = 4, 100 do cells[i] = nil end
    local good = write('$tmp/b.h5ad', 3)
    print(full, good, (dynamo.h5_open '$tmp/b.h5ad':size()))"
  umount "$tmp/small"
else
  echo "# skip full disk: mount is not allowed here"
fi

# ---- stopped, and side by side
run out="$tmp/killed" > /dev/null
cp -r "$tmp/killed" "$tmp/before"
for wait in 0.05 0.15 0.3 0.6; do
  run seed=2 out="$tmp/killed" > /dev/null 2>&1 &
  sleep "$wait"
  kill -9 $! 2> /dev/null
  wait $! 2> /dev/null
done
is "killed at any time, a folder with a manifest has all its files" 0 '^whole$' sh -c "
  [ ! -e '$tmp/killed/manifest.json' ] && echo whole && exit
  for f in $all; do [ -s '$tmp/killed/'\$f ] || echo missing \$f; done; echo whole"
for seed in 1 2 3 4; do run seed=$seed out="$tmp/many" > /dev/null 2> "$tmp/many$seed.err" & done
wait
is "four processes in one folder: none fails" 0 '^0$' sh -c "cat '$tmp'/many?.err | wc -c"
is "and the folder has the files of one of them" 0 '^one$' "$dynamo" -e "
  local json = require 'dynamo.json'
  local h = io.open('$tmp/many/manifest.json')
  local m = json.decode(h:read 'a')
  for _, f in ipairs(m.identity.outputs) do
    assert(dynamo.sha256_file('$tmp/many/' .. f.name) == f.sha256, f.name)
  end
  print(#m.identity.outputs == 4 and 'one')"
is "with nothing beside them" 0 "^$all $" sh -c "ls -A '$tmp/many' | tr '\n' ' '"

finish
