#!/bin/sh
# The whole thing once, in a minute: proxyd in dev mode (two fresh SoftHSM tokens in a private
# directory), a client that generates a key and signs through the shim, openssl to verify, and
# shimctl to show what proxyd saw. Leaves nothing behind.
set -eu
cd "$(dirname "$0")/.."
scripts/build.sh release programs

work=$(mktemp -d)
build/bin/proxyd --dev >"$work/greeting" 2>"$work/log" &
proxyd=$!
stop() {
  status=$?
  kill "$proxyd" 2>/dev/null || true
  wait "$proxyd" || true
  [ $status -eq 0 ] || { echo "The demo failed; proxyd's log:" >&2; cat "$work/log" >&2; }
  rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT TERM

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
run() {
  echo "\$ $*"
  "$@"
}

# proxyd greets when it is ready to serve, with the lines to paste.
tries=0
until grep -q '^ *export P11_MODULE=' "$work/greeting"; do
  tries=$((tries + 1))
  kill -0 "$proxyd" && [ $tries -lt 600 ]
  sleep 0.1
done
eval "$(sed -n 's/^ *export /export /p' "$work/greeting")"

token() { run pkcs11-tool --module "$P11_MODULE" --token-label dev-1 --login --pin 1234 "$@" 2>"$work/stderr" || {
  cat "$work/stderr" >&2
  return 1
}; }

say "proxyd runs. An application loads $P11_MODULE and sees:"
run pkcs11-tool --module "$P11_MODULE" --list-token-slots

say "A key pair, made in the HSM:"
token --keypairgen --key-type rsa:2048 --label demo --id 01

say "A signature, made in the HSM:"
echo 'Hello, HSM.' >"$work/document"
token --sign --mechanism SHA256-RSA-PKCS --id 01 --input-file "$work/document" --output-file "$work/signature"

say "Openssl, which knows nothing of all this, verifies it with the exported public key:"
token --read-object --type pubkey --id 01 --output-file "$work/public.der"
run openssl dgst -sha256 -verify "$work/public.der" -keyform DER -signature "$work/signature" "$work/document"

say "What proxyd saw:"
run build/bin/shimctl stats

say "That was all. To go on: build/bin/proxyd --dev"
