#!/bin/sh
# Files that lie, made by hostile.py: status, one sentence, time and memory of each.
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export HOME="$tmp" DYNAMO_QUIET=1
if ! command -v python3 > /dev/null; then echo "# skip hostile files: no python3"; echo "0 passed, 0 failed"; exit 0; fi
python3 "$(dirname "$0")/hostile.py" "${DYNAMO:-build/dynamo}" "$tmp"
