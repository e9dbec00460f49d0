#!/bin/bash
# p11-kit: a .module file makes the token known to every program that uses p11-kit; GnuTLS finds it without being told a
# provider, p11-kit-proxy.so offers it to others, and p11-kit server and client carry it further.
. "$(dirname "$0")/client.sh"
need p11-kit p11tool unshare
export GNUTLS_PIN=$P11_PIN

# p11-kit ignores a root user's own settings.
settings="$XDG_CONFIG_HOME/pkcs11"
mkdir -p "$settings/modules"
echo 'user-config: only' >"$settings/pkcs11.conf"
echo "module: $P11_MODULE" >"$settings/modules/tested.module"
token="pkcs11:token=${P11_TOKEN// /%20}"
libraries=/usr/lib/$(gcc -print-multiarch)
proxy=$libraries/p11-kit-proxy.so
client=$libraries/pkcs11/p11-kit-client.so
make_key rsa 01 rsa:2048

echo "== p11-kit list-modules"
as_somebody p11-kit list-modules | grep -A 9 "token: $P11_TOKEN" | sed '/serial-number/d'

echo "== GnuTLS by configuration alone"
as_somebody p11tool --list-token-urls | grep -o "token=${P11_TOKEN// /%20}"
as_somebody p11tool --login --list-all "$token" | grep -oE 'object=.*' | sort
as_somebody p11tool --login --test-sign "$(uri rsa private)" 2>&1

# sign NAME MODULE: signs with pkcs11-tool through another module, verifies with openssl.
sign() {
  head -c 999 /dev/urandom >data
  as_somebody pkcs11-tool --module "$2" --token-label "$P11_TOKEN" --login --pin "$P11_PIN" --sign --id 01 \
    --mechanism SHA256-RSA-PKCS -i data -o "$1.sig" >&2
  openssl dgst -sha256 -verify rsa.pem -signature "$1.sig" data
}
pkcs11-tool --module "$P11_MODULE" --token-label "$P11_TOKEN" --read-object --type pubkey --id 01 -o rsa.der >&2
openssl pkey -pubin -inform DER -in rsa.der -out rsa.pem

echo "== p11-kit-proxy.so"
sign proxy $proxy

echo "== p11-kit server"
p11-kit server --foreground --name "$PWD/p11-kit.sock" --provider "$P11_MODULE" "$token" >server.env &
await test -S p11-kit.sock
P11_KIT_SERVER_ADDRESS="unix:path=$PWD/p11-kit.sock" sign server $client
