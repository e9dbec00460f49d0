#!/bin/bash
# `make demo`: an unchanged PKCS#11 client signs through shim, proxyd and worker in an HSM (two fresh SoftHSM tokens in a
# private directory), and openssl, which knows nothing of it, verifies. Leaves nothing behind; fails if any step does.
#
#   scripts/demo.sh [BUILD]      BUILD: a directory that is built already; otherwise build/ is made
set -euo pipefail
if [ $# -gt 0 ]; then
  bin=$(realpath "$1")/bin
else
  cd "$(dirname "${BASH_SOURCE[0]}")/.."
  scripts/build.sh release programs
  bin=$PWD/build/bin
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/p11shim-demo.XXXXXX")
proxyd=
leave() {
  local status=$?
  [ -z "$proxyd" ] || kill "$proxyd" 2>/dev/null || true
  wait
  [ $status -eq 0 ] || { echo; echo "demo: FAILED. proxyd said:"; sed 's/^/  /' "$work/proxyd.log" 2>/dev/null; } >&2
  rm -rf "$work"
}
trap leave EXIT
trap 'exit 130' INT TERM
cd "$work"

bold='' plain=''
if [ -t 1 ]; then
  bold=$'\e[1m' plain=$'\e[0m'
fi
step() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
show() {
  local command="$*"
  command=${command//$P11_MODULE/\$P11_MODULE}
  printf '  $ %s\n' "${command//$bin\//}"
  "$@" 2>&1 | sed 's/^/    /'
}
await_greeting() {
  local deadline=$((SECONDS + 60))
  until grep -q '^ *export P11_MODULE=' proxyd.log; do
    kill -0 "$proxyd" && [ $SECONDS -lt $deadline ] || return 1
    sleep 0.05
  done
}

step "1. proxyd starts, with two fresh SoftHSM tokens of its own. Nothing of yours is touched."
TMPDIR=$work "$bin/proxyd" --dev >proxyd.log 2>&1 &
proxyd=$!
await_greeting
exports=$(grep '^ *export ' proxyd.log)
eval "$exports"
printf '%s\n' "$exports" | sed 's/^ */    /'

step "2. An ordinary client loads the shim instead of the vendor's module, and sees the tokens."
token=(pkcs11-tool --module "$P11_MODULE" --token-label dev-1)
login=(--login --pin 1234)
show pkcs11-tool --module "$P11_MODULE" --list-token-slots

step "3. It makes an RSA key in the HSM …"
show "${token[@]}" "${login[@]}" --keypairgen --key-type rsa:2048 --label demo --id 01

step "4. … and signs with it. The private key never leaves the HSM."
echo 'Pay 100 to Alice.' >order
show "${token[@]}" "${login[@]}" --sign --mechanism SHA256-RSA-PKCS --id 01 -i order -o order.sig

step "5. openssl, which knows only the public key, verifies. A forged order does not pass."
show "${token[@]}" --read-object --type pubkey --id 01 -o demo.der
show openssl dgst -sha256 -keyform DER -verify demo.der -signature order.sig order
echo 'Pay 900 to Mallory.' >forged
if openssl dgst -sha256 -keyform DER -verify demo.der -signature order.sig forged >/dev/null 2>&1; then
  echo "demo: openssl accepted a forged order" >&2
  exit 1
fi
echo "    (forged order: refused)"

step "6. proxyd knows what was called, how often, how long it took and how it ended."
show "$bin/shimctl" stats
"$bin/shimctl" stats -o json >stats.json
grep -q C_Sign stats.json

step "7. proxyd stops, and everything is gone. To go on: build/bin/proxyd --dev"
kill "$proxyd"
wait "$proxyd"
proxyd=
[ ! -e "${P11SHIM_ENDPOINT#unix:}" ] || { echo "demo: proxyd left its socket behind" >&2; exit 1; }
