#!/bin/sh
# How long shimctl's information commands take, on SoftHSM itself and through a proxyd: the mean of 20 runs of each, with
# what it takes to start a process. Prints measure, target and figure; ends with 1 if a target is missed.
#
# Build shimctl and the programs first (make bench-shimctl does). TARGET_MS is the target, 100 without it.
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
target=$2
shift 2
for command in --version info 'slot list' 'token list' 'token info' 'mech list' 'key list' 'key show k' 'key find k' \
  'explain error 0x30' 'explain mech CKM_ECDSA' 'explain check 13' 'bench list' 'status' 'pool list' 'stats'; do
  case "$way $command" in 'direct status' | 'direct pool list' | 'direct stats') continue ;; esac
  start=$(date +%s%N)
  for run in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    # shellcheck disable=SC2086
    "$@" --token test --pin-from env:PIN $command -o json >/dev/null
  done
  took=$((($(date +%s%N) - start) / 20000))
  verdict=ok
  [ "$took" -lt $((target * 1000)) ] || verdict=MISSED
  printf '%-40s < %3d ms %8d.%d ms   %s\n' "shimctl $command, $way" "$target" $((took / 1000)) $((took % 1000 / 100)) $verdict
done
MEASURE
target=${TARGET_MS:-100}
{
  sh "$folder/measure" direct "$target" "$shimctl" --module "$module"
  "$shimctl" run --module "$module" -- sh "$folder/measure" proxied "$target" "$shimctl"
} | tee "$folder/figures"
all=$(grep -c . "$folder/figures")
good=$(grep -c 'ok$' "$folder/figures" || true)
echo "bench_shimctl: $good of $all targets reached"
[ "$all" -gt 0 ] && [ "$good" -eq "$all" ]
