#!/bin/bash
# Go: the test suite that github.com/miekg/pkcs11 (the module under Vault, step-ca and many others) runs on SoftHSM.
# One of its tests asks only for the library's name, which is the shim's own (docs/differences.md).
. "$(dirname "$0")/client.sh"
package=github.com/miekg/pkcs11
need go gcc "/usr/share/gocode/src/$package"

suite="$P11_SHARED/pkcs11.test"
[ -x "$suite" ] || GO111MODULE=off GOFLAGS= GOPATH=/usr/share/gocode GOCACHE="$P11_SHARED/go" go test -c -o "$suite" $package
# The suite looks for SoftHSM's configuration in its working directory.
[ -z "${SOFTHSM2_CONF:-}" ] || cp "$SOFTHSM2_CONF" softhsm2.conf
SOFTHSM_LIB=$P11_MODULE "$suite" -test.v -test.timeout 60s >results 2>&1 || true
cat results >&2
grep -E '^ *--- |^=== RUN' results | grep -v TestGetInfo | sed -E 's/ \([0-9.]+s\)//'
