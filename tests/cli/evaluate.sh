#!/bin/sh
# dynamo evaluate: files of predictions against measured data.
. "$(dirname "$0")/frame.inc"
export DYNAMO_QUIET=1

"$dynamo" -q simulate --out "$tmp" genes=40 perturbed=12 doubles=2 cells=600 > /dev/null
cat > "$tmp/make.lua" <<'L'
-- "half": half of each measured change, for four genes; "short": three of them, a gene less
local dynamo, core, folder = require "dynamo", require "dynamo.core", arg[1]
local R = dynamo.data.read(folder .. "/line_a.h5ad"):responses()
local function write(name, n, genes)
  local list, labels = {}, {}
  for _, i in ipairs(R:singles()) do if #list < n then list[#list + 1], labels[#labels + 1] = i, R.rows[i].perturbation end end
  local columns, names = {}, {}
  for j = 1, genes do columns[j], names[j] = j, R.genes[j] end
  local delta = (R.delta:index(1, list) * 0.5):index(2, columns)
  core.h5ad_write(folder .. "/" .. name .. ".h5ad", { x = (delta + R.control:index(2, columns)):to "float", obs_names = labels,
    var_names = names, obs = { { name = "perturbation", values = labels, categorical = true } } })
end
write("half", 4, #R.genes)
write("short", 3, #R.genes - 1)
L
"$dynamo" "$tmp/make.lua" "$tmp" || echo "# make.lua failed"

is "a table with baselines" 0 '^half +1\.000 ' "$dynamo" evaluate "$tmp/half.h5ad" --truth "$tmp/line_a.h5ad"
is "says what was scored" 0 '^40 genes, 4 tested perturbations; centroid of 10 \(those that no method predicts\)$' printf '%s\n' "$out"
is "the mean is there, and nothing at the centroid" 0 '^mean .* 0\.000 ' printf '%s\n' "$out"
is "columns by key, scores of each perturbation" 0 '^half,line_a/[a-zA-Z0-9]+,relerr@control/all,0\.5' \
  sh -c "'$dynamo' evaluate '$tmp/half.h5ad' -t '$tmp/line_a.h5ad' -m relerr@control/all -o '$tmp/s.csv' > /dev/null && cat '$tmp/s.csv'"
is "what one file lacks is an error" 65 "short has no prediction for '.*'.*missing" \
  "$dynamo" evaluate "$tmp/half.h5ad" "$tmp/short.h5ad" -t "$tmp/line_a.h5ad"
is "or filled, and said" 0 '^note: 1 missing predictions are the training mean$' \
  "$dynamo" evaluate "$tmp/half.h5ad" "$tmp/short.h5ad" -t "$tmp/line_a.h5ad" --missing mean
is "a gene that one file lacks leaves for all" 0 '^note: 1 of 40 genes are not in every method: left out for all$' printf '%s\n' "$out"
is "strict" 65 'short has no prediction for gene' \
  "$dynamo" evaluate "$tmp/half.h5ad" "$tmp/short.h5ad" -t "$tmp/line_a.h5ad" --missing mean --strict
is "wrong metric" 2 "unknown metric 'pearsn'; did you mean 'pearson'" \
  "$dynamo" evaluate "$tmp/half.h5ad" -t "$tmp/line_a.h5ad" -m pearsn
is "no truth" 2 "missing option '-t'" "$dynamo" evaluate "$tmp/half.h5ad"
is "the truth is not there" 66 'no such file' "$dynamo" evaluate "$tmp/half.h5ad" -t "$tmp/none.h5ad"

finish
