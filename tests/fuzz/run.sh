#!/bin/sh
# tests/fuzz/run.sh FOLDER SECONDS JOBS target ... -- each parser for SECONDS of its own processor time, JOBS at a time: the
# seeds and the files of old findings (found/TARGET-*), then new inputs. What is found stays in FOLDER/found, and that parser
# stops. FOLDER/corpus_TARGET keeps the inputs that reached something new. They take turns of a minute; FOLDER/turns_TARGET
# has a line for each turn (seconds, executions, edges of the program reached, corpus), so that a run that was interrupted
# goes on where it was. With FRESH=1 the time starts again from nothing.
folder=$1 seconds=$2 jobs=$3
shift 3
here=$(dirname "$0")
turn=60

had() { awk '{ s += $1 } END { print int(s) }' "$folder/turns_$1" 2> /dev/null || echo 0; }

fuzz() { # target, argument ...
  fuzzer=$folder/$1
  shift
  # the HDF5 library keeps what it has for the next file, which looks like a leak
  case $fuzzer in */h5ad) leaks=0 ;; *) leaks=1 ;; esac
  ASAN_OPTIONS=detect_leaks=$leaks "$fuzzer" -timeout=10 -rss_limit_mb=2048 "$@"
}

# A turn of one target; says "not ok" if there is a finding, else writes its line.
one() {
  target=$1 log=$folder/$1.log
  corpus=$folder/corpus_$target
  mkdir -p "$corpus" "$folder/found"
  seeds=$here/seeds/$target
  [ "$target" = sniff ] && seeds=$(echo "$here"/seeds/*)
  old=$(ls "$here/found/$target"-* 2> /dev/null)
  most=65536
  [ "$target" = h5ad ] && most=400 # bytes of changes to a good file
  left=$((seconds - $(had "$target")))
  [ "$left" -gt "$turn" ] && left=$turn
  # shellcheck disable=SC2086
  { [ -z "$old" ] || fuzz "$target" $old; } > "$log" 2>&1 &&
    FUZZ_CPU=$left fuzz "$target" -seed="$(($(had "$target") + $(ls "$corpus" | wc -l) + 1))" -max_len="$most" \
      -print_final_stats=1 -artifact_prefix="$folder/found/$target-" "$corpus" $seeds >> "$log" 2>&1
  status=$?
  if [ $status = 70 ]; then # over 10 s by the clock: a finding only if it is again
    late=$(ls -t "$folder/found/$target"-timeout-* | head -1)
    fuzz "$target" "$late" >> "$log" 2>&1 && rm "$late" && status=0
  fi
  if [ $status != 0 ]; then
    echo "not ok - $target: see $log and $folder/found"
    tail -5 "$log" | sed 's/^/# /'
    return
  fi
  times > "$FUZZ_TMP/$target" # not in a pipe: that would be another shell's
  spent=$(awk 'END { split($1, u, /[ms]/); split($2, k, /[ms]/); print u[1] * 60 + u[2] + k[1] * 60 + k[2] }' "$FUZZ_TMP/$target")
  awk -v spent="$spent" '{ for (i = 1; i < NF; i++) { if ($i == "cov:") edges = $(i + 1); if ($i == "corp:") files = $(i + 1) } }
    /^stat::number_of_executed_units/ { runs = $2 }
    END { sub(/\/.*/, "", files); print spent, runs + 0, edges + 0, files + 0 }' "$log" >> "$folder/turns_$target"
}

say() { # what the turns of a target add up to
  awk -v target="$1" '{ s += $1; runs += $2; if ($3 > edges) { edges = $3; last = s } files = $4 }
    END { printf "ok - %s: %d s, %.0f executions, %d edges (the last new one by %d s), corpus of %d\n", target, s, runs, edges, last, files }' \
    "$folder/turns_$1"
}

if [ "${ONE:-}" ]; then one "$1"; exit 0; fi
FUZZ_TMP=$(mktemp -d "$([ -d /dev/shm ] && echo /dev/shm || echo /tmp)/dynamo-fuzz-XXXXXX") || exit 1
export FUZZ_TMP
trap 'rm -rf "$FUZZ_TMP"' EXIT
trap 'exit 130' INT TERM
for t; do [ "${FRESH:-}" ] && rm -f "$folder/turns_$t"; done
echo "# fuzz: $# parsers, $seconds s of processor time each, $jobs at a time"
found=$FUZZ_TMP/found
while :; do
  todo=
  for t; do [ "$(had "$t")" -lt "$seconds" ] && ! grep -qs "^not ok - $t:" "$found" && todo="$todo $t"; done
  [ "$todo" ] || break
  # shellcheck disable=SC2086
  printf '%s\n' $todo | ONE=1 xargs -P "$jobs" -I T sh "$0" "$folder" "$seconds" "$jobs" T >> "$found"
done
for t; do
  if grep -s -A 5 "^not ok - $t:" "$found"; then continue; fi
  say "$t"
done | awk '{ print } /^ok/ { p++ } /^not ok/ { f++ } END { printf "%d passed, %d failed\n", p, f; exit f > 0 }'
