#!/bin/bash
# scripts/demo.sh succeeds, shows what it promises, and leaves no process, no file and nothing of the user's changed.
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
need pkcs11-tool openssl softhsm2-util setsid ps

before=$(picture_of "$HOME")
mkdir "$work/tmp" "$work/cwd"
cd "$work/cwd"
# In a session of its own: whoever is left over is found by it.
status=0
TMPDIR=$work/tmp setsid --wait sh -c 'echo $$ >"$1"; exec "$2" "$3"' sh "$work/session" \
  "$source_dir/scripts/demo.sh" "$build" >"$work/out" 2>&1 </dev/null || status=$?
sed 's/^/  | /' "$work/out"
[ $status -eq 0 ] || fail "the demo ended with $status"

grep -q '^ *Verified OK$' "$work/out" || fail "no verified signature is shown"
grep -q 'forged order: refused' "$work/out" || fail "the forged order is not refused"
grep -Eq ' C_Sign +1 +0 ' "$work/out" || fail "the statistics do not show C_Sign"

left=$(ps -o pid=,args= -s "$(cat "$work/session")" || true)
[ -z "$left" ] || fail "processes are left: $left"
[ -z "$(ls -A "$work/tmp" "$work/cwd" | grep -v ':$' | tr -d '\n')" ] || fail "files are left: $(find "$work/tmp" "$work/cwd")"
[ "$before" = "$(picture_of "$HOME")" ] || fail "something of the user's was touched: $(picture_of "$HOME")"
