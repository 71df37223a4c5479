#!/bin/sh
# run, demo, predict, inspect: files, exit status, and one sentence for every kind of bad input.
. "$(dirname "$0")/frame.inc"
export DYNAMO_QUIET=1

# bad NAME STATUS PATTERN command...: the same, and nothing but one line that starts with "dynamo: "
bad() {
  is "$@"
  if [ "$(printf '%s\n' "$out" | wc -l)" != 1 ] || [ "${out#dynamo: }" = "$out" ]; then
    failed=$((failed + 1)); echo "not ok - $1: one sentence"
    printf '%s\n' "$out" | sed 's/^/# /'
  fi
}
code() { "$dynamo" -e "$1"; }

"$dynamo" -q simulate --out "$tmp/sim" genes=60 perturbed=24 doubles=6 cells=1500 > "$tmp/sim.log" 2>&1 || cat "$tmp/sim.log"
a="$tmp/sim/line_a.h5ad"
cat > "$tmp/tiny.lua" <<'L'
local dynamo = require "dynamo"
local folder = dynamo.setting("data", "nowhere", "folder with the simulated files")
local D = dynamo.data.read(folder .. "/line_a.h5ad")
local R = D:responses()
return dynamo.experiment { name = "tiny", data = R:select(R:singles()), split = dynamo.split.unseen_genes { validate = 0 },
  embedding = dynamo.embed.node2vec { graph = dynamo.graph.read(folder .. "/network.tsv"), dim = 8, walks = 2, length = 10 },
  model = dynamo.model.koopman { members = 1, latent = 4, hidden = 8, rank = 2 }, train = { epochs = 3 }, draws = 200 }
L

# ---- run
is "run prints the table, the reference points and the claim" 0 \
  '^koopman - [a-z_]+ \(best baseline\): [+-][0-9.]+ \[.*\] p .* at centroid$' \
  "$dynamo" -q run "$tmp/tiny.lua" "data=$tmp/sim" -o "$tmp/r1"
is "names the metric and both references" 0 'tiny, line_a: Pearson Delta' printf '%s\n' "$out"
is "all files are there and nothing else" 0 '^manifest.json model.dynamo perturbations.csv predictions.h5ad report.html results.csv $' \
  sh -c "ls -A '$tmp/r1' | tr '\n' ' '"
is "at most 100 columns" 0 '^0$' sh -c "printf '%s\n' '$out' | awk 'length > 100' | wc -l"
is "words of the command line" 0 '"epochs":2' \
  sh -c "'$dynamo' -q run '$tmp/tiny.lua' data='$tmp/sim' train.epochs=2 seeds=1..2 report=false out='$tmp/r2' > /dev/null &&
    cat '$tmp/r2/manifest.json'"
is "a row per seed and one for all" 0 '^1 2 all $' \
  sh -c "tail -n +2 '$tmp/r2/results.csv' | cut -d, -f5 | sort -u | tr '\n' ' '"
is "two threads, the same bytes" 0 '^same$' sh -c "
  for n in 1 2; do '$dynamo' -q --threads \$n run '$tmp/tiny.lua' data='$tmp/sim' report=false -o '$tmp/t'\$n > /dev/null; done
  cmp '$tmp/t1/results.csv' '$tmp/t2/results.csv' && cmp '$tmp/t1/predictions.h5ad' '$tmp/t2/predictions.h5ad' && echo same"
cat > "$tmp/stock.lua" <<'L'
package.path = "lua/?.lua;lua/?/init.lua;" .. package.path
require("dynamo.experiment").run_file(arg[1], { arg[2], arg[3], "report=false" }, { quiet = true, silent = true })
L
for lua in lua54:lua5.4 luajit:luajit; do
  if command -v "${lua#*:}" > /dev/null && [ -e "build/${lua%:*}/dynamo/core.so" ]; then
    is "${lua#*:}, the same bytes" 0 '^same$' sh -c "
      LUA_CPATH='build/${lua%:*}/?.so;;' ${lua#*:} '$tmp/stock.lua' '$tmp/tiny.lua' data='$tmp/sim' out='$tmp/${lua%:*}' &&
      cmp '$tmp/t1/results.csv' '$tmp/${lua%:*}/results.csv' &&
      cmp '$tmp/t1/predictions.h5ad' '$tmp/${lua%:*}/predictions.h5ad' && echo same"
  fi
done
is "--no-write writes nothing" 0 'koopman' sh -c "cd '$tmp' && '$(cd "$(dirname "$dynamo")" && pwd)/dynamo' -q run tiny.lua data=sim -n"
is "(no folder)" 0 '^none$' sh -c "[ ! -e '$tmp/runs' ] && echo none"

bad "experiment file missing" 66 'none.lua: cannot open: no such file' "$dynamo" run "$tmp/none.lua"
bad "unknown word" 2 "train.epoch: there is no 'epoch' in train; did you mean 'epochs'" \
  "$dynamo" -q run "$tmp/tiny.lua" "data=$tmp/sim" train.epoch=3
bad "wrong value of a word" 2 "model.rank: option 'rank' must be an integer" \
  "$dynamo" -q run "$tmp/tiny.lua" "data=$tmp/sim" model.rank=-1
echo 'return 7' > "$tmp/seven.lua"
echo 'local x = 1' > "$tmp/own.lua"
bad "a script that does its own work" 65 "own.lua: returns nothing, .*try: dynamo .*own.lua, if it does its own work" "$dynamo" run "$tmp/own.lua"
bad "a file that returns something else" 65 'seven.lua: returns 7, expected dynamo.experiment' "$dynamo" run "$tmp/seven.lua"
echo 'return dynamo.experiment { nmae = "x" }' > "$tmp/typo.lua"
bad "unknown option" 78 "experiment: unknown option 'nmae'; did you mean 'name'" "$dynamo" run "$tmp/typo.lua"
echo 'error "what the script says"' > "$tmp/raises.lua"
bad "an error of the script" 1 'what the script says' "$dynamo" run "$tmp/raises.lua"
sed 's/split = dynamo.split.unseen_genes { validate = 0 }/split = dynamo.split.given { train = { 1, 2, 3 }, test = { 3, 4 } }/' \
  "$tmp/tiny.lua" > "$tmp/leak.lua"
bad "a leak" 78 'is in both train and test' "$dynamo" -q run "$tmp/leak.lua" "data=$tmp/sim"
sed 's/train = { epochs = 3 }/train = { epochs = 3, lr = 1e30, clip = 0 }/' "$tmp/tiny.lua" > "$tmp/diverge.lua"
bad "divergence" 3 'epoch [0-9]+, batch [0-9]+' "$dynamo" -q run "$tmp/diverge.lua" "data=$tmp/sim" -n
: > "$tmp/plainfile"
bad "output that cannot be made" 74 'plainfile' "$dynamo" -q run "$tmp/tiny.lua" "data=$tmp/sim" -o "$tmp/plainfile/x"

# ---- input
bad "data missing" 66 'line_a.h5ad: cannot open: no such file' "$dynamo" -q run "$tmp/tiny.lua" "data=$tmp/nosuch"
bad "column missing" 65 "line_a.h5ad: obs column 'pertubation' not found .*did you mean 'perturbation'" \
  code "dynamo.data.read('$a', { perturbation = 'pertubation' })"
bad "column of the wrong kind" 65 "line_a.h5ad: obs column 'n_counts' holds numbers, text was expected" \
  code "dynamo.data.read('$a', { perturbation = 'n_counts' })"
bad "control label missing" 65 "control label 'contrl' not found; did you mean 'control'" \
  code "dynamo.data.read('$a', { control = 'contrl' })"
head -c 20000 "$a" > "$tmp/cut.h5ad"
bad "truncated h5ad" 65 'cut.h5ad: .*truncated' code "dynamo.data.read('$tmp/cut.h5ad')"
code "local x = dynamo.zeros(3, 2) x:set(0 / 0, 2, 1) dynamo.h5ad_write('$tmp/nan.h5ad', { x = x, obs_names = { 'a', 'b', 'c' },
  var_names = { 'G1', 'G2' }, obs = { { name = 'perturbation', values = { 'control', 'G1', 'G2' } } },
  var = {}, layers = {}, uns = {} })" > "$tmp/nan.log" 2>&1 || cat "$tmp/nan.log"
bad "NaN in X" 65 "nan.h5ad: X: 1 NaN or infinite, first at cell 'b', gene 'G1'" code "dynamo.data.read('$tmp/nan.h5ad')"
printf 'source\ttarget\nQQ1\tQQ2\nQQ2\tQQ3\n' > "$tmp/other.tsv"
sed "s|folder .. \"/network.tsv\"|\"$tmp/other.tsv\"|" "$tmp/tiny.lua" > "$tmp/other.lua"
bad "a graph without the perturbed genes" 65 'none of the [0-9]+ perturbed genes has a vector in node2vec other.tsv' \
  "$dynamo" -q run "$tmp/other.lua" "data=$tmp/sim" -n

# ---- predict
m="$tmp/r1/model.dynamo"
gene=$("$dynamo" -e "print(dynamo.load('$m').models.line_a.genes[1])")
is "predict" 0 "^$gene +seen " "$dynamo" -q predict "$m" --genes "$gene,NOPE" --controls "$tmp/sim/line_b.h5ad" -o "$tmp/p.h5ad"
is "its file" 0 'AnnData .* 2 cells x 60 genes' "$dynamo" inspect "$tmp/p.h5ad"
printf 'SET\tx\t%s\n' "$gene" > "$tmp/s.gmt"
is "predicted cells" 0 "wrote $tmp/cells.h5ad" "$dynamo" -q predict "$m" -g "$gene" --controls "$tmp/sim/line_b.h5ad" --cells 20 \
  -o "$tmp/cells.h5ad"
is "beside the controls they come from" 0 "control \(2[0-9] cells\)|control.*20" "$dynamo" inspect "$tmp/cells.h5ad"
is "cells of what?" 2 "\-\-cells needs \-\-controls" "$dynamo" -q predict "$m" -g "$gene" --cells 20 -o "$tmp/cells.h5ad"
is "a report of a prediction" 0 "r_genes.csv" "$dynamo" -q predict "$m" -g "$gene" -o "$tmp/p.h5ad" --report "$tmp/r.html" \
  --sets "$tmp/s.gmt"
is "a gene without a vector is named" 0 "dynamo: note: NOPE: no vector" "$dynamo" predict "$m" -g NOPE -o "$tmp/p.h5ad"
bad "no such model" 66 'none.dynamo: .*[Nn]o such file' "$dynamo" predict "$tmp/none.dynamo" -g A -o "$tmp/p.h5ad"
bad "not a model" 65 'line_a.h5ad: not a dynamo model' "$dynamo" predict "$a" -g A -o "$tmp/p.h5ad"
bad "unknown context" 65 "no control cells of context 'line_c'.*did you mean 'line_b'" \
  "$dynamo" predict "$m" -g "$gene" --controls "$tmp/sim/line_b.h5ad" --context line_c -o "$tmp/p.h5ad"
code "local x = dynamo.zeros(3, 2) + 1.5 dynamo.h5ad_write('$tmp/foreign.h5ad', { x = x, obs_names = { 'a', 'b', 'c' },
  var_names = { 'QQ1', 'QQ2' }, obs = {}, var = {}, layers = {}, uns = {} })"
bad "controls without a gene of the model" 65 'foreign.h5ad: no gene in common with the model' \
  "$dynamo" predict "$m" -g "$gene" --controls "$tmp/foreign.h5ad" -o "$tmp/p.h5ad"
bad "a name that is not .h5ad" 2 'a name ending in .h5ad expected' "$dynamo" predict "$m" -g "$gene" -o "$tmp/p.txt"
"$dynamo" -q run "$tmp/tiny.lua" "data=$tmp/sim" model.fallback=error report=false -o "$tmp/strict" > "$tmp/strict.log" 2>&1
if [ -e "$tmp/strict/model.dynamo" ]; then
  bad "fallback = error" 65 "gene 'NOPE' has no vector" "$dynamo" predict "$tmp/strict/model.dynamo" -g NOPE -o "$tmp/p.h5ad"
else # a tested gene has no vector: the run itself says so
  is "fallback = error" 0 "has no vector" cat "$tmp/strict.log"
fi
is "inspect a model" 0 'model' "$dynamo" inspect "$m"

# ---- demo
is "demo prints three claims" 0 '^3\. second cell line: .*: (yes|NO)$' "$dynamo" -q demo -o "$tmp/demo" genes=60 \
  perturbed=24 doubles=6 cells=1500 seeds=1 train.epochs=2 model.members=1 report=false embedding.dim=8 draws=200
is "and writes one table of all" 0 '^doubles second_line unseen_genes $' \
  sh -c "tail -n +2 '$tmp/demo/results.csv' | cut -d, -f1 | sort -u | tr '\n' ' '"
bad "unknown word for the demo" 2 "there is no 'genez'" "$dynamo" -q demo -o "$tmp/demo" genez=60 genes=60 perturbed=24 \
  doubles=6 cells=1500

finish
