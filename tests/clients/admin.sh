#!/bin/bash
# Administration with pkcs11-tool and softhsm2-util: a fresh token initialised in the module's empty slot, its PIN set by the
# security officer, changed by the user, unlocked; a token initialised again loses its keys; a key imported.
. "$(dirname "$0")/client.sh"
need pkcs11-tool softhsm2-util

tool() { pkcs11-tool --module "$P11_MODULE" "$@"; }
# A real token's slot may move when it is initialised; a virtual one stays where it is.
stable() { grep -vE '^Using slot' | sed -E 's/0x[0-9a-f]{6,}/0x…/g; s/[0-9]{5,}/…/g; s/(slot|Slot) [0-9]+/\1 …/; s/(initialized) .*slot …/\1/' || true; }
attempt() {
  local status=0
  "$@" 2>&1 | stable || status=$?
  echo "ended with $status"
}
empty_slot() {
  tool --list-slots | grep -B 1 'uninitialized' | sed -nE 's/^Slot [0-9]+ \((0x[0-9a-f]+)\).*/\1/p' | head -n 1
}
labels() { tool --list-token-slots | sed -nE 's/^  token label *: (.*)/\1/p' | sort; }

echo "== a new token"
attempt tool --slot "$(empty_slot)" --init-token --label fresh --so-pin 12345678
labels
attempt tool --token-label fresh --init-pin --login --login-type so --so-pin 12345678 --new-pin 4321
attempt tool --token-label fresh --init-pin --login --login-type so --so-pin 00000000 --new-pin 4321
attempt tool --token-label fresh --login --pin 4321 --keypairgen --key-type EC:prime256v1 --label kept --id 07 | grep -v EC_POINT:
attempt tool --token-label fresh --list-objects --type pubkey | grep -v EC_POINT:

echo "== PINs"
attempt tool --token-label fresh --login --pin 4321 --change-pin --new-pin 98765
attempt tool --token-label fresh --login --pin 4321 --list-objects --type privkey
attempt tool --token-label fresh --login --pin 98765 --list-objects --type privkey
attempt tool --token-label fresh --init-pin --login --login-type so --so-pin 12345678 --new-pin 1111
attempt tool --token-label fresh --login --pin 98765 --list-objects --type privkey
attempt tool --token-label fresh --login --pin 1111 --list-objects --type privkey
attempt tool --token-label fresh --login --login-type so --so-pin 12345678 --change-pin --new-pin 87654321
attempt tool --token-label fresh --login --login-type so --so-pin 12345678 --list-objects --type privkey
attempt tool --token-label fresh --login --login-type so --so-pin 87654321 --list-objects --type privkey
attempt tool --token-label fresh --login --pin 123 --change-pin --new-pin 98765

echo "== initialised again"
slot=$(tool --list-token-slots | grep -B 1 'label *: fresh' | sed -nE 's/^Slot [0-9]+ \((0x[0-9a-f]+)\).*/\1/p')
attempt tool --slot "$slot" --init-token --label wrong --so-pin 00000000
attempt tool --slot "$slot" --init-token --label again --so-pin 87654321
labels
attempt tool --token-label again --list-objects

echo "== softhsm2-util"
attempt softhsm2-util --module "$P11_MODULE" --init-token --free --label another --pin 1234 --so-pin 12345678
labels
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out imported.pem 2>/dev/null
attempt softhsm2-util --module "$P11_MODULE" --import imported.pem --token another --label imported --id 0a --pin 1234
echo 'some text' >data
attempt tool --token-label another --login --pin 1234 --sign --mechanism SHA256-RSA-PKCS --id 0a -i data -o data.sig
openssl pkey -in imported.pem -pubout -out imported.pub
openssl dgst -sha256 -verify imported.pub -signature data.sig data
