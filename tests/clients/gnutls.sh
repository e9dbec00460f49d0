#!/bin/bash
# GnuTLS: p11tool lists, generates, writes, exports, signs and deletes by URI; certtool makes certificates with token keys;
# openssl verifies.
. "$(dirname "$0")/client.sh"
need p11tool certtool openssl
export GNUTLS_PIN=$P11_PIN GNUTLS_SO_PIN=87654321

token="pkcs11:token=${P11_TOKEN// /%20}"
tool() { p11tool --provider "$P11_MODULE" --batch "$@"; }
# Serial numbers are the token's own, and so are the public keys that p11tool prints.
stable() { sed -E 's/serial=[^;]*/serial=…/; s/(Serial|Expires|Activated|Key ID):.*/\1: …/; /^-----BEGIN/,/^-----END/d; /^$/d'; }
# Objects come in any order: sorts their blocks, which "Object N:" lines open.
sorted() { sed -E 's/^Object [0-9]+:/\x01/' | tr '\n\001' '\001\n' | sort | tr '\001' '\n'; }

echo "== tokens"
tool --list-tokens "$token" | stable | sed '/^Token [0-9]/d'
tool --list-token-urls | grep -o "token=${P11_TOKEN// /%20}" | sort -u
# Without their flags: SoftHSM adds them to whatever the caller's memory held, and p11tool does not clear it.
tool --list-mechanisms "$token" | grep -oE '.*(keysize range \([0-9, ]*\)|CKM_[A-Z0-9_]*)'

echo "== keys"
tool --login --generate-privkey rsa --bits 2048 --label rsa --id 01 --outfile rsa.pem "$token" | stable
tool --login --generate-privkey ecdsa --curve secp256r1 --label ec --id 02 --outfile ec.pem "$token" | stable
tool --login --list-all "$token" | stable | sorted
tool --list-privkeys --login "$token" | grep -c URL
tool --login --info "$(uri rsa private)" | stable | sorted

echo "== GnuTLS signs and verifies"
tool --login --test-sign "$(uri rsa private)" 2>&1 | stable
tool --login --test-sign --hash sha384 "$(uri ec private)" 2>&1 | stable
tool --login --test-sign --sign-params rsa-pss "$(uri rsa private)" 2>&1 | stable

echo "== public keys as openssl reads them"
for key in rsa ec; do
  tool --login --export-pubkey --outfile $key.token.pem "$(uri $key private)" | stable
  openssl pkey -pubin -in $key.pem -pubout -out $key.openssl.pem
  openssl pkey -pubin -in $key.token.pem -pubout -out $key.token.openssl.pem
  same "$key public key" $key.openssl.pem $key.token.openssl.pem
done

echo "== certificates"
cat >ca.cfg <<CFG
cn = "ca"
expiration_days = 30
ca
cert_signing_key
CFG
cat >leaf.cfg <<CFG
cn = "localhost"
dns_name = "localhost"
expiration_days = 30
signing_key
tls_www_server
CFG
certtool="certtool --provider $P11_MODULE"
$certtool --generate-self-signed --load-privkey "$(uri rsa private)" --load-pubkey rsa.token.pem --template ca.cfg --outfile ca.crt >&2
$certtool --generate-request --load-privkey "$(uri ec private)" --load-pubkey ec.token.pem --template leaf.cfg --outfile leaf.csr >&2
$certtool --generate-certificate --load-request leaf.csr --load-ca-certificate ca.crt \
  --load-ca-privkey "$(uri rsa private)" --template leaf.cfg --outfile leaf.crt >&2
openssl verify -CAfile ca.crt -purpose sslserver leaf.crt
openssl x509 -in ca.crt -outform DER -out ca.der

echo "== certificates in the token"
tool --login --write --load-certificate leaf.crt --label leaf --id 02 "$token" | stable
tool --export --outfile leaf.token.crt "$(uri leaf cert)" | stable
openssl x509 -in leaf.crt -out leaf.a
openssl x509 -in leaf.token.crt -out leaf.b
same "certificate" leaf.a leaf.b
tool --list-all-certs "$token" | grep -c URL

echo "== a secret key written and one generated"
tool --login --write --secret-key 00112233445566778899aabbccddeeff --label secret "$token" 2>&1 | stable
tool --generate-random 32 --outfile random "$token" >&2
wc -c <random

echo "== delete"
tool --login --delete "$(uri ec private)" 2>&1 | stable
tool --login --delete "$(uri leaf cert)" 2>&1 | stable
tool --login --list-all "$token" | grep -c URL
