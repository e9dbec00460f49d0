#!/bin/bash
# OpenSSL's pkcs11 engine: requests, certificates, signatures, decryption, CMS, and TLS handshakes with the key in
# the token; plain openssl checks every result.
. "$(dirname "$0")/client.sh"
need openssl pkcs11-tool curl

engine_configuration engine.cnf
with_token() { OPENSSL_CONF=engine.cnf openssl "$1" -engine pkcs11 "${@:2}"; }

make_key rsa 01 rsa:2048
make_key ec 02 EC:prime256v1
head -c 5000 /dev/urandom >data

for key in rsa ec; do
  private=$(uri $key private)
  echo "== $key: request, certificate, signature"
  with_token req -new -x509 -sha256 -days 30 -subj /CN=localhost -key "$private" -keyform engine -out $key.crt
  openssl verify -CAfile $key.crt $key.crt
  with_token req -new -subj /CN=asks -key "$private" -keyform engine -out $key.csr
  openssl req -in $key.csr -noout -verify 2>&1
  openssl x509 -in $key.crt -noout -pubkey >$key.pem
  with_token pkey -pubin -in "$(uri $key public)" -inform engine -pubout -out $key.token.pem
  same "public key in certificate and token" $key.pem $key.token.pem
  with_token dgst -sha384 -sign "$private" -keyform engine -out $key.sig data
  openssl dgst -sha384 -verify $key.pem -signature $key.sig data
  with_token cms -sign -nodetach -binary -in data -signer $key.crt -inkey "$private" -keyform engine -outform DER -out $key.cms
  openssl cms -verify -inform DER -in $key.cms -CAfile $key.crt -purpose any -out $key.cms.data
  same "CMS content" data $key.cms.data
done

echo "== RSA: PSS, decryption, CMS envelope"
with_token dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 \
  -sign "$(uri rsa private)" -keyform engine -out pss.sig data
openssl dgst -sha256 -sigopt rsa_padding_mode:pss -verify rsa.pem -signature pss.sig data
openssl cms -encrypt -binary -in data -aes256 -outform DER -out envelope.cms rsa.crt
with_token cms -decrypt -inform DER -in envelope.cms -recip rsa.crt -inkey "$(uri rsa private)" -keyform engine -out opened
same "CMS envelope" data opened

# serve KEY OPTION...: a TLS server with that key of the token, which asks for a client certificate; its pid is $!.
serve() {
  rm -f server.sock
  : >server.log
  OPENSSL_CONF=engine.cnf openssl s_server -engine pkcs11 -keyform engine -key "$(uri "$1" private)" -cert "$1.crt" \
    -unix server.sock -Verify 1 -verify_return_error -CAfile ec.crt "${@:2}" >server.log &
  await grep -q ACCEPT server.log
}
# tls KEY VERSION: the client's key is in the token too.
tls() {
  serve "$1" -naccept 2 -rev
  for _ in 1 2; do
    printf 'hello from the client\nCLOSE\n' |
      OPENSSL_CONF=engine.cnf timeout 30 openssl s_client -unix server.sock -engine pkcs11 -keyform engine \
        -key "$(uri ec private)" -cert ec.crt -CAfile "$1.crt" -verify_return_error "$2" -quiet -brief 2>&1 |
      grep -oE 'Verification: .*|Protocol version: .*|tneilc eht morf olleh'
  done
  wait $!
}
echo "== TLS"
tls rsa -tls1_2
tls rsa -tls1_3
tls ec -tls1_2
tls ec -tls1_3

echo "== curl with a client key in the token"
serve rsa -naccept 1 -www
OPENSSL_CONF=engine.cnf curl --silent --show-error --max-time 30 --unix-socket server.sock --cacert rsa.crt \
  --engine pkcs11 --key-type ENG --key "$(uri ec private)" --cert ec.crt https://localhost/ | grep -oE 'Subject: .*'
wait $!
