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
if ! log=$(cmake --preset "$preset" -DCMAKE_C_COMPILER_LAUNCHER="$launcher" \
  -DCMAKE_CXX_COMPILER_LAUNCHER="$launcher" 2>&1); then
  printf '%s\n' "$log" >&2
  exit 1
fi

build="build-$preset"
[ "$preset" = release ] && build=build
cmake --build "$build" ${*:+--target "$@"}
