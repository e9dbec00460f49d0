# What every client script shares: fail at the first error, leave no process behind.
# stdout is the transcript that must be the same with and without the shim; everything else belongs on stderr.
set -euo pipefail

stop_servers() {
  local servers
  servers=$(jobs -p)
  [ -z "$servers" ] || kill $servers 2>/dev/null || true
  wait
}
trap stop_servers EXIT

need() {
  local program
  for program in "$@"; do
    command -v "$program" >/dev/null || [ -e "$program" ] || { echo "$program is not installed" >&2; exit 77; }
  done
}

# same NAME A B: says NAME when the files are byte for byte the same.
same() {
  cmp "$2" "$3" >&2
  echo "same: $1"
}

# await COMMAND...: polls until it succeeds, for half a minute at most.
await() {
  local deadline=$((SECONDS + 30))
  until "$@"; do
    [ $SECONDS -lt $deadline ] || { echo "waited in vain for: $*" >&2; return 1; }
    sleep 0.05
  done
}

# RFC 7512 URI of an object on the test's token: uri OBJECT TYPE
uri() { echo "pkcs11:token=${P11_TOKEN// /%20};object=$1;type=$2"; }

# make_key LABEL ID TYPE: a key pair on the token.
make_key() {
  pkcs11-tool --module "$P11_MODULE" --token-label "$P11_TOKEN" --login --pin "$P11_PIN" \
    --keypairgen --label "$1" --id "$2" --key-type "$3" >&2
}

# own_network ARGUMENT...: starts the script again, once, in a network namespace that has nothing but loopback: there a
# port is free, and a server that insists on listening everywhere listens nowhere.
own_network() {
  if [ -z "${P11TEST_OWN_NETWORK:-}" ]; then
    unshare --map-root-user --net true 2>/dev/null || { echo "no network namespaces here" >&2; exit 77; }
    P11TEST_OWN_NETWORK=yes exec unshare --map-root-user --net "$0" "$@"
  fi
  ip link set lo up
}

# as_somebody COMMAND...: not as root: if we are, in a user namespace where we have another number.
as_somebody() {
  if [ "$(id -u)" = 0 ]; then
    unshare --user --map-user=1000 "$@"
  else
    "$@"
  fi
}

# engine_configuration FILE: an OpenSSL configuration that knows the engine, the module and the PIN.
engine_configuration() {
  cat >"$1" <<CNF
openssl_conf = init
[init]
engines = engines
[engines]
pkcs11 = pkcs11
[pkcs11]
engine_id = pkcs11
MODULE_PATH = $P11_MODULE
PIN = $P11_PIN
init = 0
[req]
distinguished_name = name
[name]
CNF
}
