#!/bin/bash
# strongSwan's pki makes a certificate authority with the token's key. With SoftHSM in its own process it crashes as it
# exits, before its output is written; through the shim it must not.
. "$(dirname "$0")/client.sh"
need pki openssl

make_key rsa 01 rsa:2048
make_key ec 02 EC:prime256v1
cat >strongswan.conf <<CONF
libstrongswan {
  plugins {
    pkcs11 {
      modules {
        tested {
          path = $P11_MODULE
        }
      }
    }
  }
}
CONF
export STRONGSWAN_CONF="$PWD/strongswan.conf"

# pki reads the PIN from its standard input.
with_token() { printf '%s\n' "$P11_PIN" | pki "$@"; }

with_token --pub --type rsa --keyid 01 --outform pem >rsa.pem
openssl pkey -pubin -in rsa.pem -noout && echo "public key read"
with_token --self --type rsa --keyid 01 --dn CN=ca --ca --lifetime 9 --outform pem >ca.pem
openssl verify -CAfile ca.pem ca.pem
openssl genpkey -algorithm RSA -out user.key 2>/dev/null
openssl pkey -in user.key -pubout -out user.pem
with_token --issue --cacert ca.pem --cakeyid 01 --in user.pem --dn CN=user --lifetime 5 --outform pem >user.crt
openssl verify -CAfile ca.pem user.crt
