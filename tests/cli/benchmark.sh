#!/bin/sh
# benchmark: the command, resumed runs, bad words.
. "$(dirname "$0")/frame.inc"
export DYNAMO_QUIET=1

bench() {
  "$dynamo" -q benchmark P1 P3 --quick -o "$tmp/b" simulation.genes=60 simulation.perturbed=16 simulation.doubles=8 \
    simulation.cells=900 simulation.lines=1 train.epochs=2 peers=false "$@"
}
is "two protocols on simulated data" 0 '^P3-simulation-seen +line_a +[0-9.]+ ' bench
is "no unexplained cell" 0 '^0$' sh -c "awk -F, 'NR > 1 && \$10 == \"\" && \$16 == \"\"' '$tmp/b/benchmark.csv' | wc -l"
is "what is finished is kept" 0 '^P1-simulation +kept' bench
is "or run again" 0 '^P1-simulation +[0-9]+ s' bench --fresh
is "the tables are named" 0 'wrote .*/b/benchmark.md, .*/b/benchmark.tex, .*/b/benchmark.csv, .*/b/benchmark.html' bench
is "an unknown protocol" 2 "P9" "$dynamo" -q benchmark P9
is "an unknown key" 2 "did you mean 'seeds'" "$dynamo" -q benchmark seed=1
is "no such file" 66 'none.h5ad: cannot open' "$dynamo" -q benchmark "data=$tmp/none.h5ad" -o "$tmp/c"
is "a file of cells alone: genes are embedded by their co-expression" 0 '^P1-line_a +line_a ' \
  "$dynamo" -q benchmark P1 --quick "data=$tmp/b/data/line_a.h5ad" train.epochs=2 peers=false -o "$tmp/c"
finish
