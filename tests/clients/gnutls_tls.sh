#!/bin/bash
# GnuTLS over TLS: gnutls-serv with its key in the token, gnutls-cli with its own; also each against openssl.
# gnutls-serv listens on every address, hence the network of its own.
. "$(dirname "$0")/client.sh"
need gnutls-serv gnutls-cli certtool openssl unshare ip
own_network
export GNUTLS_PIN=$P11_PIN

make_key rsa 01 rsa:2048
make_key ec 02 EC:prime256v1
printf 'cn = "localhost"\ndns_name = "localhost"\nexpiration_days = 30\nsigning_key\nencryption_key\n' >template
for key in rsa ec; do
  certtool --provider "$P11_MODULE" --generate-self-signed --template template \
    --load-privkey "$(uri $key private)" --load-pubkey "$(uri $key public)" --outfile $key.crt >&2
done

port=4433
# serve KEY: an echo server with that key, asking for a client certificate.
serve() {
  : >server.log
  gnutls-serv --provider "$P11_MODULE" --port $port --echo --require-client-cert --x509cafile ec.crt \
    --x509certfile "$1.crt" --x509keyfile "$(uri "$1" private)" >server.log 2>&1 &
  await grep -q 'Server listening on IPv4 .*done' server.log
}
ask() {
  timeout 30 gnutls-cli --provider "$P11_MODULE" --port $port --x509cafile "$1.crt" --x509certfile ec.crt \
    --x509keyfile "$(uri ec private)" --priority "$2" localhost </dev/null 2>&1 |
    grep -E '^- (Status|Description|Handshake was completed|Successfully sent)' | sed 's/(X.509)//'
}
for key in rsa ec; do
  serve $key
  for version in 1.2 1.3; do
    echo "== $key key, TLS $version"
    ask $key "NORMAL:-VERS-ALL:+VERS-TLS$version"
    printf 'hello\n' | timeout 30 openssl s_client -connect 127.0.0.1:$port -CAfile $key.crt -brief -verify_return_error \
      2>&1 | grep -E '^(Verification|Protocol)' || true
  done
  kill %%
  wait %% || true
  port=$((port + 1))
done
