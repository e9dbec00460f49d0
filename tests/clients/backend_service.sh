# A proxyd of one's own for run_client.sh, in front of SoftHSM: as installed for many users, its socket is open to all.

. "$here/backend_softhsm.sh"
chmod 711 "$work"

proxied() {
  cat >"$work/proxyd.toml" <<TOML
[listen]
unix = "$work/proxyd.sock"
mode = "0666"
[control]
unix = "$work/control.sock"
[state]
directory = "$work/state"
[[module]]
name = "softhsm"
path = "$softhsm"
tokens = "*"
environment = { SOFTHSM2_CONF = "$SOFTHSM2_CONF" }
TOML
  # A starting proxyd listens before it is ready to answer: ask it.
  "$build/bin/proxyd" --config "$work/proxyd.toml" >"$work/proxyd.log" 2>&1 &
  local proxyd=$! status=0 deadline=$((SECONDS + 60))
  until P11SHIM_CONTROL="$work/control.sock" "$build/bin/shimctl" ping >/dev/null 2>&1; do
    if ! kill -0 $proxyd || [ $SECONDS -ge $deadline ]; then
      kill $proxyd
      cat "$work/proxyd.log" >&2
      return 1
    fi
    sleep 0.05
  done
  env -u SOFTHSM2_CONF P11SHIM_ENDPOINT="unix:$work/proxyd.sock" P11_MODULE="$build/lib/libpkcs11-shim.so" "$@" || status=$?
  kill $proxyd
  wait $proxyd
  return $status
}
