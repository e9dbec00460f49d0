#!/bin/bash
# What systemd says of the installed units, users and directories.
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
need systemd-analyze
. "$(dirname "${BASH_SOURCE[0]}")/stage.sh"

# As if the programs were where the units say.
mkdir "$work/units"
for unit in "$units"/*; do
  sed "s|${prefix#"$stage"}/|$prefix/|g" "$unit" >"$work/units/${unit##*/}"
done
for unit in proxyd.service proxyd.socket shimctl-rotate.service shimctl-rotate.timer; do
  SYSTEMD_UNIT_PATH=$work/units: systemd-analyze verify --man=no --recursive-errors=no "$work/units/$unit" \
    >"$work/verify" 2>&1 || { cat "$work/verify" >&2; fail "$unit is wrong"; }
  # Some mistakes are only warnings: a directive that is misspelt, or in the wrong section.
  ! grep -F "$unit" "$work/verify" || fail "$unit is questionable"
  echo "$unit: in order"
done

# What an attacker would still have of the machine, 100 being all of it; the whole list is for the reader.
if systemd-analyze security --help 2>&1 | grep -q -- --offline; then
  systemd-analyze security --offline=true --no-pager --threshold=30 "$work/units/proxyd.service" ||
    fail "proxyd.service is more exposed than it was"
fi

if command -v systemd-sysusers >/dev/null; then
  mkdir -p "$work/root/etc"
  systemd-sysusers --root="$work/root" "$prefix/lib/sysusers.d/p11shim.conf"
  grep -q '^p11shim:' "$work/root/etc/passwd" || fail "sysusers makes no user p11shim"
  grep -q '^p11shim-clients:' "$work/root/etc/group" || fail "sysusers makes no group p11shim-clients"
  for who in $(sed -n 's/^\(User\|Group\|SocketUser\|SocketGroup\)=//p' "$units"/proxyd.*); do
    grep -q "^$who:" "$work/root/etc/group" || fail "a unit names $who, whom sysusers does not make"
  done
fi
