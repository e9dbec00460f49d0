#!/bin/bash
# Runs one client twice, each time on a fresh token: on the vendor's module itself, and through shim and proxyd.
#
#   run_client.sh softhsm|nss CLIENT [ARGUMENT...]       (CLIENT is a file of this folder)
#
# Both runs must succeed and print the same transcript (their stdout); what they said is shown when they do not.
# The client finds its module in P11_MODULE and one initialised token, P11_TOKEN with P11_PIN, and has a home and a
# working directory of its own.
#
#   P11TEST_BUILD_DIR   where bin/shimctl and tests/nss_module.so are (default: build/)
#   ONLY                "direct" or "proxied": that run alone, shown as it goes
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
backend=$1
client=$here/$2
shift 2
build=$(realpath -m "${P11TEST_BUILD_DIR:-$here/../../build}")
work=$(mktemp -d "${TMPDIR:-/tmp}/p11-client.XXXXXX")
trap 'rm -rf "$work"' EXIT
for variable in OPENSSL_CONF SOFTHSM2_CONF P11SHIM_ENDPOINT P11SHIM_CONF P11SHIM_LOG P11_MODULE SSH_AUTH_SOCK; do
  unset $variable
done
export LC_ALL=C.UTF-8 PATH="$PATH:/usr/sbin:/sbin"
# A place that both runs share, for what is costly to build.
export P11_SHARED=$work

# Defines new_token DIRECTORY, direct COMMAND... and proxied COMMAND..., which give the command P11_MODULE.
. "$here/backend_$backend.sh"

# run direct|proxied CLIENT [ARGUMENT...]
run() {
  mkdir -p "$work/$1"/{token,home,cwd}
  cd "$work/$1/cwd"
  export HOME="$work/$1/home" XDG_CONFIG_HOME="$work/$1/home/.config"
  new_token "$work/$1/token"
  "$1" "$client" "${@:2}"
}

if [ -n "${ONLY:-}" ]; then
  run "$ONLY" "$@"
  exit
fi

for how in direct proxied; do
  status=0
  (run $how "$@") >"$work/$how.out" 2>"$work/$how.err" </dev/null || status=$?
  if [ $status -eq 77 ]; then
    echo "SKIPPED: $(tail -n 1 "$work/$how.err")"
    exit 77
  fi
  if [ $status -ne 0 ]; then
    echo "FAILED: the $how run ended with $status"
    sed 's/^/  out | /' "$work/$how.out"
    sed 's/^/  err | /' "$work/$how.err"
    exit 1
  fi
done

if ! diff -u --label direct --label proxied "$work/direct.out" "$work/proxied.out"; then
  echo "FAILED: the client saw a difference"
  sed 's/^/  err | /' "$work/proxied.err"
  exit 1
fi
echo "OK: $(wc -l <"$work/direct.out") transcript lines are the same"
