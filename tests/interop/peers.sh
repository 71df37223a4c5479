#!/bin/sh
# tests/interop/peers.sh [program] -- GEARS and scGen against PyTorch; skipped without Debian's python3-torch.
cd "$(dirname "$0")/../.." || exit 1
if [ ! -x /usr/bin/python3 ]; then
  echo "# skip: no /usr/bin/python3 (apt-get install python3-torch)"
  echo "0 passed, 0 failed"
  exit 0
fi
exec /usr/bin/python3 tests/interop/torch_peers.py "${1:-build/dynamo}"
