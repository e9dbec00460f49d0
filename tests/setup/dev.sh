#!/bin/bash
# The lines that `proxyd --dev` prints work when a shell reads them, wherever temporary files are; and it takes everything
# with it when it is stopped.
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
need pkcs11-tool openssl softhsm2-util

before=$(picture_of "$HOME")
# A name that a shell would take apart.
export TMPDIR="$work/it's \$HOME & more"
mkdir "$TMPDIR"
: >"$work/out"
"$build/bin/proxyd" --dev >"$work/out" 2>"$work/log" </dev/null &
proxyd=$!
is_greeted() {
  kill -0 $proxyd 2>/dev/null || { cat "$work/log" >&2; fail "proxyd --dev has ended"; }
  grep -q '^ *export P11_MODULE=' "$work/out"
}
await is_greeted
exports=$(grep '^ *export ' "$work/out")
echo "$exports"
[ "$(echo "$exports" | wc -l)" -eq 3 ] || fail "three lines to paste are expected"

cd "$work"
for shell in bash dash; do
  command -v $shell >/dev/null || continue
  # As a user has it: nothing but HOME and what was pasted.
  printf 'set -eu\n%s\n%s\n' "$exports" '
    [ -S "${P11SHIM_ENDPOINT#unix:}" ] && [ -S "$P11SHIM_CONTROL" ] && [ -f "$P11_MODULE" ]
    pkcs11-tool --module "$P11_MODULE" --list-token-slots
    token="--token-label dev-2 --login --pin 1234 --id 02"
    pkcs11-tool --module "$P11_MODULE" $token --keypairgen --key-type EC:prime256v1 --label "$1"
    echo something >data
    openssl dgst -sha256 -binary -out hash data
    pkcs11-tool --module "$P11_MODULE" $token --sign --mechanism ECDSA --signature-format openssl -i hash -o signature
    pkcs11-tool --module "$P11_MODULE" --token-label dev-2 --id 02 --read-object --type pubkey -o public.der
    openssl dgst -sha256 -keyform DER -verify public.der -signature signature data
    pkcs11-tool --module "$P11_MODULE" $token --delete-object --type privkey
    pkcs11-tool --module "$P11_MODULE" $token --delete-object --type pubkey
    "$2" stats' |
    env -i HOME="$HOME" PATH="$PATH" $shell -s -- "key-$shell" "$build/bin/shimctl" >"$work/$shell.out" 2>&1 ||
    { cat "$work/$shell.out" "$work/log" >&2; fail "what was printed does not work in $shell"; }
  grep -q 'dev-1' "$work/$shell.out" && grep -q 'dev-2' "$work/$shell.out" || fail "$shell does not see both tokens"
  grep -q '^Verified OK$' "$work/$shell.out" || fail "no verified signature in $shell"
  grep -Eq ' C_Sign +[0-9]+ +0 ' "$work/$shell.out" || fail "no statistics in $shell"
done

# The other lines too, as they are printed.
sed -n '/^and try:/,$p' "$work/out" | grep '^  ' >"$work/try"
[ "$(wc -l <"$work/try")" -ge 4 ] || fail "nothing to try is printed"
(printf 'set -eu\n%s\n' "$exports"; cat "$work/try") |
  env -i HOME="$HOME" PATH="$PATH" sh >"$work/try.out" 2>&1 || { cat "$work/try.out" >&2; fail "what it says to try does not work"; }
grep -q mykey "$work/try.out" || fail "the key that was made is not listed"

kill $proxyd
status=0
wait $proxyd || status=$?
[ $status -eq 0 ] || { cat "$work/log" >&2; fail "proxyd --dev ended with $status"; }
[ -z "$(ls -A "$TMPDIR")" ] || fail "files are left: $(find "$TMPDIR")"
[ "$before" = "$(picture_of "$HOME")" ] || fail "something of the user's was touched: $(picture_of "$HOME")"
