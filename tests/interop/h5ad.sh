#!/bin/sh
# tests/interop/h5ad.sh [program] -- our files and theirs; skipped without Debian's python3-anndata.
cd "$(dirname "$0")/../.." || exit 1
if [ ! -x /usr/bin/python3 ]; then
  echo "# skip: no /usr/bin/python3 (apt-get install python3-anndata)"
  echo "0 passed, 0 failed"
  exit 0
fi
exec /usr/bin/python3 tests/interop/compare.py "${1:-build/dynamo}"
