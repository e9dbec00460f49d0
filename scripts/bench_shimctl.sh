#!/bin/sh
# Prints how long shimctl's information commands take, on SoftHSM itself and through a proxyd: 20 runs of each. Ends with 1
# if one of them takes more than 100 ms on average.
set -eu
cd "$(dirname "$0")/.."
module=${SOFTHSM2_MODULE:-/usr/lib/softhsm/libsofthsm2.so}
shimctl=$PWD/build/bin/shimctl
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/tokens"
printf 'directories.tokendir = %s/tokens\nlog.level = ERROR\n' "$folder" >"$folder/softhsm2.conf"
export SOFTHSM2_CONF="$folder/softhsm2.conf" PIN=1234
softhsm2-util --init-token --free --label test --pin 1234 --so-pin 5678 >/dev/null
"$shimctl" --module "$module" --token test --pin-from env:PIN key gen --label k >/dev/null

cat >"$folder/measure" <<'MEASURE'
way=$1
shift
worst=0
for command in info 'slot list' 'token list' 'token info' 'mech list' 'key list' 'key show k' 'key find k' 'explain error 0x30' \
  'explain mech CKM_ECDSA'; do
  start=$(date +%s%N)
  for run in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    # shellcheck disable=SC2086
    "$@" --token test --pin-from env:PIN $command -o json >/dev/null
  done
  took=$((($(date +%s%N) - start) / 20000))
  printf '%-10s %-24s %6d us\n' "$way" "$command" "$took"
  [ "$took" -le "$worst" ] || worst=$took
done
printf '%-10s %-24s %6d us (limit 100000)\n' "$way" 'slowest' "$worst"
[ "$worst" -le 100000 ]
MEASURE
sh "$folder/measure" direct "$shimctl" --module "$module"
"$shimctl" run --module "$module" -- sh "$folder/measure" proxyd "$shimctl"
