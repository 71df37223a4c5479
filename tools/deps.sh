#!/bin/sh
# tools/deps.sh [skip] -- install the Debian packages that are missing, through
# apt-get when we may, else print the line that does it.
# Only for those who change the code, and skipped where they are not: clang clang-format cppcheck valgrind man-db.
[ "$1" = skip ] && exit 0
need="gcc make pkg-config libc6-dev liblua5.4-dev lua5.4 libopenblas-openmp-dev liblapacke-dev
libhdf5-dev zlib1g-dev libdeflate-dev libzstd-dev libmd-dev lua-argparse lua-dkjson
luajit libluajit-5.1-dev gnuplot-nox curl python3-anndata python3-h5py python3-scipy
python3-sklearn python3-torch"
missing=
for p in $need; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing="$missing $p"
done
[ -z "$missing" ] && exit 0
run="apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" = 0 ]; then sudo=; elif sudo -n true 2>/dev/null; then sudo="sudo -n"; else
  echo "packages are missing; run this as root, then again:" >&2
  echo "  $run" >&2
  exit 1
fi
echo "installing:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
$sudo apt-get update -qq >&2 && $sudo env DEBIAN_FRONTEND=noninteractive $run >/dev/null
