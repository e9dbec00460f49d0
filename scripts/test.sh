#!/bin/bash
# The tests, by stages: the sources' format, the release build, the same tests under ASan+UBSan and under TSan, and a
# clang build with a short fuzz run. Without arguments all of them. Every stage named is run, so that one report shows
# all that is wrong; the closing lines come last, those of the release at the end.
#
#   scripts/test.sh [--core] [format|release|asan|tsan|fuzz]...
#
# --core: of the sanitizer builds only what sees an application's bytes: shim, wire, proxyd and worker, with those tests
# that drive them without shimctl, contract and walks included; of clang's only the fuzz targets. The rest of such builds
# takes longer than all of that.
#
# P11SHIM_JOBS: how many tests run side by side (default: the number of processors).
set -uo pipefail
cd "$(dirname "$0")/.."
jobs=${P11SHIM_JOBS:-$(nproc)}
private=$(mktemp -d)
trap 'rm -rf "$private"' EXIT
mkdir "$private/home"
failed=0

# What the user has configured for real work must not reach a test.
unset P11SHIM_CONF P11SHIM_ENDPOINT P11SHIM_LOG P11_MODULE SOFTHSM2_CONF

format() {
  echo "== format"
  if scripts/format.sh --check; then
    echo "every source is as clang-format writes it" >"$private/format"
  else
    echo "scripts/format.sh would change some sources" >"$private/format"
    failed=1
  fi
}

core=''
core_targets=(proxyd proxyd-worker pkcs11-shim
  shim_test shim_proxyd_test shim_parts_test wire_test calls_test calls_mechanism_test proxyd_test pool_chaos
  chaos_test two_applications_test contract_suite walk real_sessions_test ring_watch_test socket_io_test waiting_test
  kept_pin_test journal_test object_directory_test audit_log_test control_test)
core_tests='^(shim(_proxyd|_parts)?_test|wire_test|calls(_mechanism)?_test|proxyd_test|pool_chaos|chaos_test'
core_tests+='|two_applications_test|real_sessions_test|ring_watch_test|socket_io_test|waiting_test|kept_pin_test'
core_tests+='|journal_test|object_directory_test|audit_log_test|control_test'
core_tests+='|contract_(softhsm|nss)|contract_softhsm_without_rings|walk_.*)$'

stage() {
  local preset=$1 build="build-$1" targets=() around=() select=()
  case $preset in
    release) build=build ;;
    asan) select=(-LE clients) ;;
    # gcc 12's ThreadSanitizer cannot place its shadow where the kernel randomises more than 28 bits.
    tsan)
      select=(-LE clients)
      setarch -R true 2>/dev/null && around=(setarch -R)
      ;;
    fuzz)
      targets=(fuzz_targets)
      [ -n "$core" ] || targets+=(programs)
      select=(-L fuzz)
      ;;
  esac

  if [ -n "$core" ] && { [ "$preset" = asan ] || [ "$preset" = tsan ]; }; then
    targets=("${core_targets[@]}")
    select+=(-R "$core_tests")
  fi

  echo "== $preset: build"
  if ! scripts/build.sh "$preset" "${targets[@]}"; then
    echo "the build failed" >"$private/$preset"
    failed=1
    return
  fi

  echo "== $preset: test"
  "${around[@]}" env HOME="$private/home" XDG_CONFIG_HOME="$private/home/.config" \
    ctest --test-dir "$build" --output-on-failure --no-tests=error -j "$jobs" "${select[@]}" 2>&1 |
    tee "$private/$preset.log" || failed=1
  sed -n '/tests passed,/,$p' "$private/$preset.log" >"$private/$preset"
}

if [ "${1:-}" = --core ]; then
  core=yes
  shift
fi
[ $# -gt 0 ] || set -- format release asan tsan fuzz
for preset; do
  if [ "$preset" = format ]; then format; else stage "$preset"; fi
done

for preset in format fuzz tsan asan release; do
  if [ -f "$private/$preset" ]; then
    printf '\n== %s\n' "$preset"
    cat "$private/$preset"
  fi
done
exit $failed
