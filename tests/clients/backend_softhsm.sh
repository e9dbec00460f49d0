# SoftHSM for run_client.sh: one token in a private directory.

softhsm=${SOFTHSM:-/usr/lib/softhsm/libsofthsm2.so}
export P11_BACKEND=softhsm P11_TOKEN=clients P11_PIN=1234

new_token() {
  printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n' "$1" >"$1/softhsm2.conf"
  export SOFTHSM2_CONF="$1/softhsm2.conf"
  softhsm2-util --module "$softhsm" --init-token --free --label "$P11_TOKEN" --pin "$P11_PIN" --so-pin 87654321 >&2
}

direct() { P11_MODULE=$softhsm "$@"; }

# The client itself gets no SOFTHSM2_CONF: it could not find the token except through proxyd.
proxied() { "$build/bin/shimctl" run --module "$softhsm" -- env -u SOFTHSM2_CONF "$@"; }
