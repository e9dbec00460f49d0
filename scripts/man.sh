#!/bin/sh
# Makes the manual pages from what the programs say of themselves, into build/man.
set -eu
cd "$(dirname "$0")/.."
mkdir -p build/man
page() {
  help2man --no-info --section "$1" --name "$3" --help-option "$4" --output "build/man/$2.$1" "build/bin/$2"
}
page 8 proxyd 'PKCS#11 proxy daemon' --help
page 1 shimctl 'a toolbox for PKCS#11 modules and their proxy' --help-all
