#!/bin/sh
# tests/fuzz/run.sh FOLDER SECONDS JOBS target ... -- run each: seeds and the files of old findings (found/TARGET-*) first,
# then SECONDS of new inputs. What is found stays in FOLDER/found. FOLDER/corpus_TARGET keeps the inputs that reached something
# new: the next run starts from them, with another seed.
folder=$1 seconds=$2 jobs=$3
shift 3
here=$(dirname "$0")
one() {
  target=$1
  corpus=$folder/corpus_$target
  mkdir -p "$corpus" "$folder/found"
  seeds=$here/seeds/$target
  [ "$target" = sniff ] && seeds=$(echo "$here"/seeds/*)
  old=$(ls "$here/found/$target"-* 2> /dev/null)
  leaks=1
  most=65536
  [ "$target" = h5ad ] && leaks=0 most=400 # the library keeps what it has for the next file; 400 bytes of changes
  seed=$(($(ls "$corpus" | wc -l) + 1))
  # shellcheck disable=SC2086
  if { [ -z "$old" ] || ASAN_OPTIONS=detect_leaks=$leaks "$folder/$target" $old; } > "$folder/$target.log" 2>&1 &&
    ASAN_OPTIONS=detect_leaks=$leaks "$folder/$target" -seed="$seed" -max_total_time="$seconds" -timeout=10 \
      -rss_limit_mb=2048 -max_len="$most" -print_final_stats=1 -verbosity=0 -artifact_prefix="$folder/found/$target-" \
      "$corpus" $seeds >> "$folder/$target.log" 2>&1
  then echo "ok - $target: $(sed -n 's/stat::number_of_executed_units: */executions /p' "$folder/$target.log")"
  else echo "not ok - $target: see $folder/$target.log"; tail -5 "$folder/$target.log" | sed 's/^/# /'; fi
}
if [ "${ONE:-}" ]; then one "$1"; exit 0; fi
echo "# fuzz: $# parsers, $seconds s each, $jobs at a time"
printf '%s\n' "$@" | ONE=1 xargs -P "$jobs" -I T sh "$0" "$folder" "$seconds" "$jobs" T | awk '
  { print; fflush() } /^ok/ { p++ } /^not ok/ { f++ } END { printf "%d passed, %d failed\n", p, f; exit f > 0 }'
