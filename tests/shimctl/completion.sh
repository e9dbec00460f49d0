#!/bin/sh
# The shells' completions: bash as a user would press the key, zsh and fish as far as they are installed.
set -eu
command -v softhsm2-util >/dev/null || exit 77
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/tokens"
printf 'directories.tokendir = %s/tokens\nlog.level = ERROR\n' "$folder" >"$folder/softhsm2.conf"
export SOFTHSM2_CONF="$folder/softhsm2.conf" PIN=1234 PATH="$P11TEST_BUILD_DIR/bin:$PATH"
module=${SOFTHSM2_MODULE:-/usr/lib/softhsm/libsofthsm2.so}
softhsm2-util --init-token --free --label test --pin 1234 --so-pin 5678 >/dev/null
shimctl --module "$module" --token test --pin-from env:PIN key gen --label 'signing key' >/dev/null

# expect WANTED WORD…: what bash proposes for the last word.
expect() {
  wanted=$1
  shift
  found=$(bash -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _shimctl; printf "%s\n" "${COMPREPLY[@]}"' \
    bash "$P11TEST_SOURCE_DIR/completions/shimctl.bash" shimctl "$@")
  if [ "$found" != "$wanted" ]; then
    echo "for '$*' bash proposes '$found', not '$wanted'"
    exit 1
  fi
}
expect 'token' tok
expect 'show' key sh
expect '--subject' key csr k --sub
expect 'ndjson' -o nd
expect 'test' --module "$module" --token te
expect 'signing\ key' --module "$module" --token test key show sig
expect 'signing\ key' --module "$module" --token test sign --key sig
expect '' --module /none --token te

if command -v zsh >/dev/null; then zsh -n "$P11TEST_SOURCE_DIR/completions/_shimctl"; fi
if command -v fish >/dev/null; then fish -n "$P11TEST_SOURCE_DIR/completions/shimctl.fish"; fi
