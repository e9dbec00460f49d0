#!/bin/sh
# Makes the manual pages from what the programs say of themselves, into build/man.
set -eu
cd "$(dirname "$0")/.."
mkdir -p build/man
page() {
  help2man --no-info --section "$1" --name "$3" --output "build/man/$2.$1" "build/bin/$2"
}
page 8 proxyd 'PKCS#11 proxy daemon'
page 1 shimctl 'control a running proxyd, or run one for a command'
