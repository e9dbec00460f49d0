#!/bin/bash
# clang-tidy with the checks of .clang-tidy: scripts/tidy.sh [FILE.cpp...]
# Without files: the sources that differ from where this branch left main. `--all`: every one. Needs a configured build/.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ ! -e build/compile_commands.json ]; then
  echo "tidy: build first: scripts/build.sh release programs" >&2
  exit 1
fi

files=("$@")
if [ "${1:-}" = --all ]; then
  mapfile -t files < <(git ls-files '*.cpp')
elif [ $# -eq 0 ]; then
  base=$(git merge-base HEAD main)
  mapfile -t files < <(git diff --name-only --diff-filter=d "$base" -- '*.cpp'
    git ls-files --others --exclude-standard '*.cpp')
fi
if [ ${#files[@]} -eq 0 ]; then
  echo "tidy: no source differs from main"
  exit 0
fi

# What this configuration does not build (bench, a missing package) has no command to be read with.
mapfile -t built < <(for file in "${files[@]}"; do
  grep -qF "\"file\": \"$(realpath "$file")\"" build/compile_commands.json && echo "$file"
done)
skipped=$((${#files[@]} - ${#built[@]}))
if [ $skipped -ne 0 ]; then
  echo "tidy: $skipped of ${#files[@]} files are not built by this configuration and were not looked at" >&2
  case ${1:-} in '' | --all) ;; *) exit 1 ;; esac
fi
[ ${#built[@]} -ne 0 ] || exit 0
printf '%s\0' "${built[@]}" |
  xargs -0 -n 1 -P "$(nproc)" clang-tidy-14 -p build --quiet --warnings-as-errors='*' --extra-arg=-Wno-unknown-warning-option
