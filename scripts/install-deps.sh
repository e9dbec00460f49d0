#!/bin/sh
# Installs the Debian 12 packages that are missing; does nothing, quickly and without root,
# when there are none.
#
#   scripts/install-deps.sh [build|all]
#
# build: enough for `make`, `make demo` and the unit tests. all (default): also what the
# whole test suite runs: clients, sanitizers, fuzzers.
set -eu

build_packages='
cmake
g++
libcli11-dev
libcmocka-dev
libgfshare-dev
libgmock-dev
libgtest-dev
libmsgpack-cxx-dev
libnss3-dev
libspdlog-dev
libsqlite3-dev
libssl-dev
libsystemd-dev
libtomlplusplus-dev
libuv1-dev
libyaml-cpp-dev
make
ninja-build
nlohmann-json3-dev
opensc
openssl
pkg-config
softhsm2
'

test_packages='
apache2-bin
caml-crush-clients
caml-crush-server
chromium
clang-14
clang-format-14
clang-tidy-14
curl
gnutls-bin
golang-github-miekg-pkcs11-dev
golang-go
help2man
iproute2
libclang-rt-14-dev
libengine-pkcs11-openssl
libhsm-bin
libnss3
libnss3-tools
libp11-kit-dev
libstrongswan-extra-plugins
libstrongswan-standard-plugins
nginx
openjdk-17-jdk-headless
openssh-client
p11-kit
p11-kit-modules
procps
python3
python3-pykcs11
strace
strongswan-pki
util-linux
valgrind
'

case "${1:-all}" in
  build) packages=$build_packages ;;
  all) packages="$build_packages $test_packages" ;;
  *) echo "usage: install-deps.sh [build|all]" >&2; exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null; then
  echo "install-deps: this is not Debian; install the equivalents of:" $packages >&2
  exit 1
fi

missing=''
for package in $packages; do
  case "$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)" in
    'install ok installed') ;;
    *) missing="$missing $package" ;;
  esac
done
[ -z "$missing" ] && exit 0

as_root=''
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "install-deps: run as root: apt-get install --no-install-recommends$missing" >&2
    exit 1
  fi
  as_root='sudo'
fi

echo "install-deps: installing$missing"
$as_root apt-get update
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing

# Debian starts what it installs. The tests want the programs, not a web server on port 80 or a proxy on 4444.
for service in nginx caml-crush-server; do
  case "$missing " in
    *" $service "*) [ ! -d /run/systemd/system ] || $as_root systemctl disable --now "$service" ;;
  esac
done
