#!/bin/bash
# Many processes at once on one token, each logging in for itself: signers, makers of keys, listers, and one with a wrong PIN.
# SoftHSM itself fails at random when processes start and log in together; through the shim they must not.
. "$(dirname "$0")/client.sh"
need pkcs11-tool openssl

tool() { pkcs11-tool --module "$P11_MODULE" --token-label "$P11_TOKEN" "$@"; }
make_key rsa 01 rsa:2048
tool --read-object --type pubkey --id 01 -o rsa.der >&2
crowd=()
for member in $(seq 1 8); do
  echo "message $member" >data.$member
  tool --login --pin "$P11_PIN" --sign --mechanism SHA256-RSA-PKCS --id 01 -i data.$member -o sig.$member >log.sign$member 2>&1 &
  crowd+=($!)
  tool --login --pin "$P11_PIN" --keypairgen --key-type EC:prime256v1 --label made$member --id 1$member >log.make$member 2>&1 &
  crowd+=($!)
  tool --login --pin "$P11_PIN" --list-objects >log.list$member 2>&1 &
  crowd+=($!)
  tool --list-objects --type pubkey >log.public$member 2>&1 &
  crowd+=($!)
done
tool --login --pin 9999 --list-objects >log.wrong 2>&1 &
wrong=$!
failed=0
for process in "${crowd[@]}"; do
  wait "$process" || failed=$((failed + 1))
done
echo "${#crowd[@]} processes, $failed failed"
wait "$wrong" && echo "a wrong PIN was accepted" || grep -o CKR_PIN_INCORRECT log.wrong
for member in $(seq 1 8); do
  openssl dgst -sha256 -keyform DER -verify rsa.der -signature sig.$member data.$member
done
tool --login --pin "$P11_PIN" --list-objects --type privkey | grep -c 'label: *made'
[ $failed -eq 0 ] || { grep -h '^error' log.* | sort | uniq -c >&2; exit 1; }
