#!/bin/sh
# tests/example.sh program FILE ... -- every example in quick mode (DYNAMO_QUICK=1): it asserts its claim, so it has to
# end with 0. Those on real data are skipped where the data are not (DYNAMO_TEST_DATA, ../shared/data).
cd "$(dirname "$0")/.." || exit 1
dynamo=$1
shift
data=${DYNAMO_TEST_DATA:-../shared/data}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export DYNAMO_QUICK=1 HOME="$tmp"
passed=0 failed=0

for file; do
  name=$(basename "$file" .lua)
  set -- # settings
  if grep -q 'shared/data' "$file"; then
    if [ ! -d "$data" ]; then
      echo "# skip $file: no $data"
      continue
    fi
    [ -z "${DYNAMO_TEST_DATA:-}" ] || set -- "data=$data"
  fi
  if grep -q '^return ' "$file"; then # a file that returns an experiment
    "$dynamo" -q run "$file" --out "$tmp/$name" "$@"
  else
    "$dynamo" -q "$file" "$@"
  fi > "$tmp/out" 2>&1
  status=$?
  if [ $status = 0 ]; then
    passed=$((passed + 1)); echo "ok - $file"
  else
    failed=$((failed + 1)); echo "not ok - $file ended with status $status"; tail -30 "$tmp/out" | sed 's/^/# /'
  fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
