#!/bin/bash
# OpenSC's pkcs11-tool: its self-test, and keys made, used, listed and deleted one by one; openssl verifies.
. "$(dirname "$0")/client.sh"
need pkcs11-tool

tool() { pkcs11-tool --module "$P11_MODULE" --token-label "$P11_TOKEN" "$@"; }
user() { tool --login --pin "$P11_PIN" "$@"; }
# Slot and serial numbers, points and values are the token's own.
stable() {
  grep -vE '^Using slot|serial( num|: )|uri:|SoftHSM slot ID' |
    sed -E 's/^Slot [0-9]+ .*/Slot …/; s/^(Data object) [0-9]+/\1 …/; s/(EC_POINT|VALUE): .*/\1: …/; s/0x[0-9a-f]{6,}/0x…/g' || true
}
# A module lists objects in any order: sorts them, each with its indented lines.
sorted() { sed -E 's/^ +/\x01&/' | tr '\n' '\t' | sed 's/\t\x01/\x01/g' | tr '\t' '\n' | sort | tr '\001' '\n'; }
# attempt COMMAND...: one whose failure, if it fails, is part of the transcript.
attempt() {
  local status=0
  "$@" 2>&1 | stable || status=$?
  echo "ended with $status"
}

echo "== token"
tool --list-token-slots | stable
tool --list-mechanisms | stable

echo "== self-test with no key, an EC key, an RSA key"
attempt user --test
user --keypairgen --key-type EC:prime256v1 --id 02 --label ec --usage-sign | stable
attempt user --test
for type in privkey pubkey; do
  user --delete-object --type $type --id 02 | stable
done
user --keypairgen --key-type rsa:2048 --id 01 --label rsa | stable
attempt user --test
attempt tool --test-hotplug
attempt user --test-fork

echo "== keys"
user --keypairgen --key-type EC:prime256v1 --id 02 --label ec --usage-sign | stable
user --keypairgen --key-type EC:prime256v1 --id 03 --label ecdh --usage-derive | stable
user --keygen --key-type aes:32 --id 04 --label aes --extractable | stable
user --list-objects | stable | sorted
tool --list-objects | stable | sorted

echo "== sign, verified by openssl"
head -c 3000 /dev/urandom >data
openssl dgst -sha256 -binary data >hash
for key in rsa:01 ec:02; do
  tool --read-object --type pubkey --id "${key#*:}" --output-file "${key%:*}.der" | stable
  openssl pkey -pubin -inform DER -in "${key%:*}.der" -out "${key%:*}.pem"
done
user --sign --mechanism SHA256-RSA-PKCS --id 01 -i data -o rsa.sig | stable
openssl dgst -sha256 -verify rsa.pem -signature rsa.sig data
user --sign --mechanism SHA256-RSA-PKCS-PSS --id 01 -i data -o pss.sig | stable
openssl dgst -sha256 -verify rsa.pem -sigopt rsa_padding_mode:pss -signature pss.sig data
user --sign --mechanism ECDSA --signature-format openssl --id 02 -i hash -o ec.sig | stable
openssl dgst -sha256 -verify ec.pem -signature ec.sig data
tool --verify --mechanism SHA256-RSA-PKCS --id 01 -i data --signature-file rsa.sig | stable

echo "== a changed message"
echo >>data
openssl dgst -sha256 -verify rsa.pem -signature rsa.sig data || true
tool --verify --mechanism SHA256-RSA-PKCS --id 01 -i data --signature-file rsa.sig 2>&1 | stable || true

echo "== decrypt what openssl encrypted"
openssl pkeyutl -encrypt -pubin -inkey rsa.pem -in hash -out hash.enc
user --decrypt --mechanism RSA-PKCS --id 01 -i hash.enc -o hash.dec | stable
same "RSA plaintext" hash hash.dec

echo "== agree on a secret with openssl"
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out peer.pem
openssl pkey -in peer.pem -pubout -outform DER -out peer.der
tool --read-object --type pubkey --id 03 --output-file ecdh.der | stable
openssl pkeyutl -derive -inkey peer.pem -peerkey ecdh.der -peerform DER -out theirs
user --derive --mechanism ECDH1-COFACTOR-DERIVE --id 03 -i peer.der -o ours 2>&1 | stable ||
  user --derive --mechanism ECDH1-DERIVE --id 03 -i peer.der -o ours 2>&1 | stable
same "ECDH secret" theirs ours

echo "== AES with openssl"
iv=00112233445566778899aabbccddeeff
user --read-object --type secrkey --id 04 --output-file aes.raw | stable || true
user --encrypt --mechanism AES-CBC-PAD --iv $iv --id 04 -i data -o data.enc | stable
user --decrypt --mechanism AES-CBC-PAD --iv $iv --id 04 -i data.enc -o data.dec | stable
same "AES plaintext" data data.dec

echo "== hash, random, data objects, certificate"
tool --hash --mechanism SHA256 -i data -o hash.token | stable
openssl dgst -sha256 -binary data >hash
same "SHA-256" hash hash.token
tool --generate-random 64 --output-file random 2>&1 | stable
wc -c <random
attempt user --write-object data --type data --label note --private
if [ "$P11_BACKEND" != nss ]; then
  user --read-object --type data --label note --output-file note | stable
  same "private data object" data note
fi
openssl req -x509 -newkey rsa:2048 -nodes -keyout other.pem -subj /CN=client -days 9 -outform DER -out cert.der 2>/dev/null
user --write-object cert.der --type cert --id 05 --label cert | stable
tool --read-object --type cert --id 05 --output-file cert.back | stable
same "certificate" cert.der cert.back

echo "== delete"
for type in privkey pubkey; do
  user --delete-object --type $type --id 01 | stable
done
user --list-objects | grep -c 'Object; RSA' || true

echo "== self-test that makes an EC key"
attempt user --session-rw --test-ec --id 09 --key-type EC:secp384r1

echo "== wrong PIN, wrong slot"
tool --login --pin 000000 --list-objects 2>&1 | stable || true
pkcs11-tool --module "$P11_MODULE" --token-label nowhere --list-objects 2>&1 | stable || true
