#!/bin/bash
# Apache with its key in the token (mod_ssl, OpenSSL's pkcs11 engine), pre-forking: the parent loads the module twice,
# as Apache reads its configuration twice, and the children sign with what they inherited.
. "$(dirname "$0")/client.sh"
need apache2 openssl unshare ip
own_network

make_key rsa 01 rsa:2048
engine_configuration openssl.cnf
export OPENSSL_CONF="$PWD/openssl.cnf"
openssl req -engine pkcs11 -new -x509 -days 30 -subj /CN=localhost -key "$(uri rsa private)" -keyform engine -out rsa.crt

modules=/usr/lib/apache2/modules
mkdir web
echo 'hello from apache' >web/index.html
cat >apache.conf <<CONF
ServerRoot $PWD
ServerName localhost
Listen 127.0.0.1:4443
PidFile $PWD/apache.pid
ErrorLog $PWD/error.log
LogLevel notice
LoadModule mpm_prefork_module $modules/mod_mpm_prefork.so
LoadModule authz_core_module $modules/mod_authz_core.so
LoadModule dir_module $modules/mod_dir.so
LoadModule socache_shmcb_module $modules/mod_socache_shmcb.so
LoadModule ssl_module $modules/mod_ssl.so
Mutex file:$PWD default
StartServers 4
MinSpareServers 4
MaxRequestWorkers 128
DocumentRoot $PWD/web
<Directory $PWD/web>
  Require all granted
</Directory>
SSLCryptoDevice pkcs11
SSLEngine on
SSLSessionCache none
SSLCertificateFile $PWD/rsa.crt
SSLCertificateKeyFile "$(uri rsa private)"
CONF

# Apache's children may not be root, and the test's directories are the test's alone.
apache() { as_somebody apache2 -f "$PWD/apache.conf" "$@" >&2; }

get() {
  printf 'GET / HTTP/1.0\r\n\r\n' |
    OPENSSL_CONF=/dev/null timeout 60 openssl s_client -connect 127.0.0.1:4443 -CAfile rsa.crt -verify_return_error \
      "$@" -quiet -brief 2>&1 |
    grep -oE 'Protocol version: .*|Verification: .*|hello from apache'
}
serves() {
  echo "== $1"
  get -tls1_2
  get -tls1_3
  local clients=()
  for client in $(seq 40); do
    get >answer.$client 2>&1 &
    clients+=($!)
  done
  wait "${clients[@]}"
  echo "40 requests at once: $(cat answer.* | grep -c 'hello from apache') answered"
}

apache -k start
await test -s apache.pid
parent=$(cat apache.pid)
trap 'kill $parent 2>/dev/null || true; stop_servers' EXIT
serves "children forked from a parent that had logged in"

apache -k graceful
restarted() { [ "$(grep -c 'resuming normal operations' error.log)" -ge 2 ]; }
await restarted
serves "after a graceful restart"

kill -TERM "$parent"
await test ! -e apache.pid
echo "== stopped"
grep -oE '\[[a-z_]+:(emerg|alert|crit|error)\].*' error.log | sed 's/\[pid [^]]*\]//' || true
