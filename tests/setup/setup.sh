# What every script here shares: a private place, and nothing left running or lying about.
set -euo pipefail
source_dir=$(realpath "${P11TEST_SOURCE_DIR:-$(dirname "${BASH_SOURCE[0]}")/../..}")
build=$(realpath -m "${P11TEST_BUILD_DIR:-$source_dir/build}")
for variable in OPENSSL_CONF SOFTHSM2_CONF P11SHIM_ENDPOINT P11SHIM_CONTROL P11SHIM_CONF P11SHIM_LOG P11_MODULE; do
  unset $variable
done
export LC_ALL=C.UTF-8 PATH="$PATH:/usr/sbin:/sbin"
work=$(mktemp -d "${TMPDIR:-/tmp}/p11-setup.XXXXXX")
stop_and_remove() {
  local jobs
  jobs=$(jobs -p)
  [ -z "$jobs" ] || kill $jobs 2>/dev/null || true
  wait
  rm -rf "$work"
}
trap stop_and_remove EXIT

fail() { echo "FAILED: $*" >&2; exit 1; }
need() {
  local program
  for program in "$@"; do
    command -v "$program" >/dev/null || { echo "SKIPPED: $program is not installed"; exit 77; }
  done
}
# await COMMAND...: polls until it succeeds, for a minute at most.
await() {
  local deadline=$((SECONDS + 60))
  until "$@"; do
    [ $SECONDS -lt $deadline ] || fail "waited in vain for: $*"
    sleep 0.05
  done
}

# A user with tokens of his own.
export HOME="$work/home" XDG_CONFIG_HOME="$work/home/.config"
mkdir -p "$HOME/.config/softhsm2" "$HOME/.config/p11shim" "$HOME/tokens"
printf 'directories.tokendir = %s/tokens\nobjectstore.backend = file\n' "$HOME" >"$HOME/.config/softhsm2/softhsm2.conf"
printf 'endpoint = "unix:/nowhere/proxyd.sock"\nlog = "off"\n' >"$HOME/.config/p11shim/shim.toml"
picture_of() { (cd "$1" && find . -printf '%p %y %m %s %T@\n' | sort); }
