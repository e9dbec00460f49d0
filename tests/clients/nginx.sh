#!/bin/bash
# nginx with its RSA and EC keys in the token (OpenSSL's pkcs11 engine). The master loads the keys, logs in and forks;
# its workers sign: they live on what they inherited. Then a reload, which does all of it again beside the old workers.
#
#   nginx.sh [USER]     the workers' user, if we are root (default: root, for whom the test's directories are)
. "$(dirname "$0")/client.sh"
need nginx openssl
user=${1:-root}
if [ "$(id -u)" != 0 ] && [ "$user" != root ]; then
  echo "only root can start workers as $user" >&2
  exit 77
fi

make_key rsa 01 rsa:2048
make_key ec 02 EC:prime256v1
engine_configuration openssl.cnf
export OPENSSL_CONF="$PWD/openssl.cnf"
for key in rsa ec; do
  openssl req -engine pkcs11 -new -x509 -days 30 -subj /CN=localhost -key "$(uri $key private)" -keyform engine \
    -out $key.crt
done

mkdir web tmp
chmod 711 "$PWD" ..
echo 'hello from nginx' >web/index.html
cat >nginx.conf <<CONF
$([ "$(id -u)" != 0 ] || echo "user $user;")
worker_processes 4;
daemon on;
pid $PWD/nginx.pid;
error_log $PWD/error.log notice;
env P11SHIM_ENDPOINT;   # nginx clears its environment
env P11SHIM_CONF;
env SOFTHSM2_CONF;
env P11TEST_NSS_PARAMETERS;
ssl_engine pkcs11;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path $PWD/tmp/1; proxy_temp_path $PWD/tmp/2; fastcgi_temp_path $PWD/tmp/3;
  uwsgi_temp_path $PWD/tmp/4; scgi_temp_path $PWD/tmp/5;
  server {
    listen unix:$PWD/rsa.sock ssl;
    listen unix:$PWD/ec.sock ssl;
    ssl_certificate $PWD/rsa.crt;
    ssl_certificate_key "engine:pkcs11:$(uri rsa private)";
    ssl_certificate $PWD/ec.crt;
    ssl_certificate_key "engine:pkcs11:$(uri ec private)";
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache off;
    ssl_session_tickets off;
    root $PWD/web;
  }
}
CONF

# get KEY OPTION...: one request over a connection of its own.
get() {
  local key=$1 algorithms=rsa_pss_rsae_sha256:RSA+SHA256
  shift
  [ "$key" = rsa ] || algorithms=ecdsa_secp256r1_sha256
  printf 'GET / HTTP/1.0\r\n\r\n' |
    OPENSSL_CONF=/dev/null timeout 60 openssl s_client -unix "$key.sock" -CAfile "$key.crt" -verify_return_error \
      -sigalgs $algorithms "$@" -quiet -brief 2>&1 |
    grep -oE 'Protocol version: .*|Peer certificate: .*|Signature type: .*|Verification: .*|hello from nginx'
}
serves() {
  echo "== $1"
  for key in rsa ec; do
    get $key -tls1_2
    get $key -tls1_3
  done
  local clients=()
  for client in $(seq 40); do
    get $([ $((client % 2)) = 0 ] && echo rsa || echo ec) >answer.$client 2>&1 &
    clients+=($!)
  done
  wait "${clients[@]}"
  echo "40 requests at once: $(cat answer.* | grep -c 'hello from nginx') answered"
}

nginx -p "$PWD" -c nginx.conf 2>&1 | grep -v 'could not open error log' >&2 || true
master=$(cat nginx.pid)
trap 'kill $master 2>/dev/null || true; stop_servers' EXIT
serves "workers forked from a master that had logged in"

kill -HUP "$master"
# The old workers have gone when all that remain were started by the reload.
await grep -q 'worker process.*exited with code 0' error.log
serves "after a reload"

kill -QUIT "$master"
await test ! -e nginx.pid
echo "== stopped"
grep -E '\[(emerg|alert|crit|error)\]' error.log | sed 's/^.*\[/[/' || true
