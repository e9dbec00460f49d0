#!/bin/bash
# `make install` puts everything where GNUInstallDirs has it, and what lies there works.
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
. "$(dirname "${BASH_SOURCE[0]}")/stage.sh"
need readelf pkcs11-tool softhsm2-util

share=$prefix/share
doc=$share/doc/p11shim
expected=(
  "$bin"/{proxyd,proxyd-worker,shimctl} "$lib"/libpkcs11-{shim,trace}.so
  "$units"/{proxyd.service,proxyd.socket,shimctl-rotate.service,shimctl-rotate.timer}
  "$prefix"/lib/{sysusers.d,tmpfiles.d}/p11shim.conf
  "$share"/man/man1/shimctl.1 "$share"/bash-completion/completions/shimctl "$share"/zsh/site-functions/_shimctl
  "$share"/fish/vendor_completions.d/shimctl.fish
  "$doc"/{README.md,CHANGELOG.md,LICENSE,conf/proxyd.toml,conf/shim.toml,docs/install.md,docs/decisions/README.md})
[ ! -f "$build/man/proxyd.8" ] || expected+=("$share/man/man8/proxyd.8")
for file in "${expected[@]}"; do
  [ -f "$file" ] || fail "${file#"$stage"} is not installed; there are: $(cd "$stage" && find . -type f)"
done
# All of docs/ and conf/, and of the rest nothing else.
for folder in docs conf; do diff -r "$source_dir/$folder" "$doc/$folder" || fail "$folder is not whole"; done
others=$(find "$stage" -type f ! -path "$doc/docs/*" ! -path "$doc/conf/*" | sort)
[ "$others" = "$(printf '%s\n' "${expected[@]}" | grep -v "^$doc/docs/\|^$doc/conf/" | sort)" ] || fail "unexpected files: $others"

# Nobody but the owner may write; only programs may be run.
[ -z "$(find "$stage" -type f -perm /7022)" ] || fail "modes: $(find "$stage" -type f -perm /7022 -ls)"
for program in "$bin"/*; do [ -x "$program" ] || fail "$program cannot be run"; done
[ -z "$(find "$units" "$share" -type f -perm /111)" ] || fail "modes: $(find "$units" "$share" -type f -perm /111 -ls)"

# Nothing remembers where it was built, and units start what is installed.
for file in "$bin"/* "$lib"/*.so; do
  readelf -d "$file" >"$work/dynamic"
  ! grep -E 'RPATH|RUNPATH' "$work/dynamic" || fail "$file has a search path"
done
! grep -rlF "$build" "$units" "$share" || fail "something installed names the build directory"
for program in $(grep -h '^ExecStart' "$units"/*.service | sed 's/^[A-Za-z]*=//; s/ .*//'); do
  [ -x "$stage$program" ] || fail "a unit starts $program, which is not installed"
done
for file in $(grep -h '^Documentation=file:' "$units"/* | sed 's/.*=file://'); do
  [ -f "$stage$file" ] || fail "a unit names $file, which is not installed"
done

version=$("$bin/proxyd" --version)
case $("$bin/shimctl" --version) in *"${version##* }"*) ;; *) fail "shimctl is not of version ${version##* }" ;; esac
bash -n "$share/bash-completion/completions/shimctl"
if command -v man >/dev/null; then man -l "$share/man/man1/shimctl.1" >"$work/page" 2>&1 && grep -q shimctl "$work/page"; fi

# Wherever it lies, proxyd finds its worker, and shimctl finds proxyd and the shim.
module=$(ls /usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so 2>/dev/null | head -n 1)
softhsm2-util --init-token --free --label staged --pin 1234 --so-pin 12345678 >"$work/token.log"
"$bin/shimctl" run --module "$module" -- sh -c 'pkcs11-tool --module "$P11_MODULE" --list-token-slots; echo "$P11_MODULE"' >"$work/run.out"
grep -q staged "$work/run.out" || fail "the staged programs do not work together: $(cat "$work/run.out")"
[ "$(realpath "$(tail -n 1 "$work/run.out")")" = "$lib/libpkcs11-shim.so" ] || fail "not the staged shim: $(tail -n 1 "$work/run.out")"
