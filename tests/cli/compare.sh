#!/bin/sh
# compare: from files and from a Lua file, the same bytes for 1 and 2 threads, bad input.
. "$(dirname "$0")/frame.inc"
export DYNAMO_QUIET=1

"$dynamo" -q simulate --out "$tmp/sim" genes=60 perturbed=24 doubles=0 cells=1500 > "$tmp/sim.log" 2>&1 || cat "$tmp/sim.log"
small="model.members=1 model.latent=4 model.hidden=8 model.rank=2 train.epochs=2 draws=200 report=false"
compare() { # compare THREADS OUT
  "$dynamo" -q --threads "$1" compare "$tmp/sim/line_a.h5ad" --graph "$tmp/sim/network.tsv" --coexpression -o "$2" $small
}
is "files are compared with their controls" 0 '^netmf - rewired:netmf: [+-][0-9.]+ .* Holm ' compare 1 "$tmp/c1"
is "and with random vectors" 0 '^coexpression - random: ' printf '%s\n' "$out"
is "at most 120 columns" 0 '^0$' sh -c "printf '%s\n' '$out' | awk 'length > 120' | wc -l"
compare 2 "$tmp/c2" > /dev/null 2>&1
is "two threads, the same bytes" 0 '^same$' sh -c "cmp '$tmp/c1/compare.csv' '$tmp/c2/compare.csv' && echo same"
cat > "$tmp/two.lua" <<'L'
local dynamo = require "dynamo"
return dynamo.compare { name = "two", data = "sim/line_a.h5ad", controls = {},
  embeddings = { dynamo.embed.coexpression { dim = 4 }, dynamo.embed.random { dim = 4, seed = 5 } } }
L
is "a Lua file; data beside it" 0 '^random-2 - random: ' "$dynamo" -q compare "$tmp/two.lua" $small -o "$tmp/c3"
is "compare.csv is there" 0 '^comparison,context,metric,scope,embedding,versus,' head -1 "$tmp/c3/compare.csv"
is "costs beside it" 0 '^embedding,dim,own vector,neighbours,mean,build s,peak MB,fit s$' head -1 "$tmp/c1/compare_cost.csv"
is "tables in Markdown" 0 '^\| netmf \|' cat "$tmp/c1/compare.md"
is "nothing to compare" 2 'compare: nothing to compare; give --graph' "$dynamo" -q compare "$tmp/sim/line_a.h5ad"
is "no such file" 66 'none.lua: cannot open: no such file' "$dynamo" -q compare "$tmp/none.lua"
echo 'return 3' > "$tmp/three.lua"
is "a file that returns something else" 65 'returns 3, expected dynamo.compare' "$dynamo" -q compare "$tmp/three.lua"
is "an unknown key" 2 "unknown.*'epoch'|epochs" "$dynamo" -q compare "$tmp/two.lua" train.epoch=2
# picture: vectors in the plane
cat > "$tmp/vectors.lua" <<'L'
local dynamo = require "dynamo"
local g = dynamo.graph.read(arg[1])
dynamo.embed.netmf(g, { dim = 8 }):write(arg[2])
local names = g:names()
local f = io.open(arg[3], "w")
f:write("few\tx\t", table.concat(names, "\t", 1, 9), "\nnone\tx\tQ1\tQ2\n")
f:close()
L
"$dynamo" -q "$tmp/vectors.lua" "$tmp/sim/network.tsv" "$tmp/v.emb" "$tmp/s.gmt"
is "a picture in the terminal" 0 '^A  few \([1-9] genes\)$' "$dynamo" -q picture "$tmp/v.emb" --set "$tmp/s.gmt:few"
is "its trustworthiness" 0 '^Picture of v.emb: [0-9]+ genes, divergence [0-9.]+, trustworthiness 0.[0-9]+$' printf '%s\n' "$out"
is "coordinates" 0 '^wrote .*v.tsv$' "$dynamo" -q --threads 1 picture "$tmp/v.emb" -o "$tmp/v.tsv"
"$dynamo" -q --threads 2 picture "$tmp/v.emb" -o "$tmp/v2.tsv" > /dev/null
is "the same with two threads" 0 '^same$' sh -c "cmp '$tmp/v.tsv' '$tmp/v2.tsv' && echo same"
if command -v gnuplot > /dev/null; then
  is "a drawing" 0 '^<svg|</svg>$' sh -c "'$dynamo' -q picture '$tmp/v.emb' -o '$tmp/v.svg' > /dev/null && cat '$tmp/v.svg'"
else
  echo "# skip a drawing: no gnuplot"
fi
is "a set that is not there" 65 "no gene set 'fw'; did you mean 'few'" "$dynamo" -q picture "$tmp/v.emb" --set "$tmp/s.gmt:fw"
is "a set of other genes" 65 "no gene of set 'none' has a vector" "$dynamo" -q picture "$tmp/v.emb" --set "$tmp/s.gmt:none"
is "half a set" 2 'picture: --set few: FILE.gmt:NAME expected' "$dynamo" -q picture "$tmp/v.emb" --set few
is "no such vectors" 66 'none.emb: No such file' "$dynamo" -q picture "$tmp/none.emb"
is "another kind of file" 2 'must end in .svg, .png or .tsv' "$dynamo" -q picture "$tmp/v.emb" -o "$tmp/v.gif"
is "a perplexity of words" 2 "'much': integer expected|malformed argument 'much'" "$dynamo" -q picture "$tmp/v.emb" --perplexity much
finish
