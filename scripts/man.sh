#!/bin/sh
# Makes the manual pages into build/man: shimctl writes its own, proxyd's is made from what it says of itself.
set -eu
cd "$(dirname "$0")/.."
mkdir -p build/man
help2man --no-info --section 8 --name 'PKCS#11 proxy daemon' --help-option --help --output build/man/proxyd.8 build/bin/proxyd
build/bin/shimctl manual >build/man/shimctl.1
