# NSS softokn for run_client.sh: a fresh certificate database.
#
# softokn refuses C_Initialize without parameters of its own, which an ordinary client cannot give. A worker gives
# them (library_parameters), and for the direct run tests/nss_module.so does (nss_module.cpp).

softokn=${SOFTOKN:-/usr/lib/$(gcc -print-multiarch)/libsoftokn3.so}
export P11_BACKEND=nss P11_TOKEN='NSS Certificate DB' P11_PIN=1234

new_token() {
  printf %s "$P11_PIN" >"$1/pin"
  certutil -N -d "sql:$1" -f "$1/pin"
  nss_parameters="configdir='sql:$1' certPrefix='' keyPrefix='' secmod='secmod.db' flags="
}

direct() { P11TEST_NSS_PARAMETERS=$nss_parameters P11_MODULE=$build/tests/nss_module.so "$@"; }

proxied() { "$build/bin/shimctl" run --module "$softokn" --library-parameters "$nss_parameters" -- "$@"; }
