#!/bin/sh
# Compares the module called directly, shim + proxyd and p11-kit, side by side: scripts/bench.sh [OPTION...]
# (p11shim-bench --help). Nothing of the user's configuration takes part.
set -eu
cd "$(dirname "$0")/.."
unset P11SHIM_CONF P11SHIM_ENDPOINT P11SHIM_LOG P11_MODULE SOFTHSM2_CONF
exec build/bin/p11shim-bench --json build/bench.json --html build/bench.html "$@"
