#!/bin/sh
# Configures and builds one preset: scripts/build.sh PRESET [TARGET...]
set -eu
cd "$(dirname "$0")/.."
preset=$1
shift

launcher=''
if command -v ccache >/dev/null; then
  launcher=ccache
fi
cmake --preset "$preset" -DCMAKE_C_COMPILER_LAUNCHER="$launcher" \
  -DCMAKE_CXX_COMPILER_LAUNCHER="$launcher" >"${TMPDIR:-/tmp}/p11shim-configure.$$" 2>&1 || {
  cat "${TMPDIR:-/tmp}/p11shim-configure.$$" >&2
  rm -f "${TMPDIR:-/tmp}/p11shim-configure.$$"
  exit 1
}
rm -f "${TMPDIR:-/tmp}/p11shim-configure.$$"

build="build-$preset"
[ "$preset" = release ] && build=build
cmake --build "$build" ${*:+--target "$@"}
