#!/bin/sh
# Formats every source file that git knows; `--check` only says which ones it would change.
set -eu
cd "$(dirname "$0")/.."
mode='-i'
[ "${1:-}" = --check ] && mode='--dry-run --Werror --ferror-limit=1'
# shellcheck disable=SC2086
git ls-files -z '*.h' '*.cpp' '*.c' | xargs -0 -r clang-format-14 $mode
