#!/bin/sh
# Installs the Debian 12 packages that building, testing and the demo need.
# Does nothing, quickly and without root, when all of them are there.
set -eu

packages='
apache2-bin
ccache
clang-14
clang-format-14
cmake
curl
g++
gnutls-bin
golang-github-miekg-pkcs11-dev
golang-go
iproute2
libbenchmark-dev
libclang-rt-14-dev
libcli11-dev
libcmocka-dev
libengine-pkcs11-openssl
libfmt-dev
libgmock-dev
libgtest-dev
libhsm-bin
libmsgpack-cxx-dev
libnss3
libnss3-dev
libnss3-tools
libp11-kit-dev
libseccomp-dev
libspdlog-dev
libsqlite3-dev
libssl-dev
libstrongswan-extra-plugins
libstrongswan-standard-plugins
libsystemd-dev
libtomlplusplus-dev
libuv1-dev
libyaml-cpp-dev
make
man-db
nginx
ninja-build
nlohmann-json3-dev
openjdk-17-jdk-headless
opensc
openssh-client
openssl
p11-kit
p11-kit-modules
pkg-config
procps
python3
python3-pykcs11
softhsm2
strace
strongswan-pki
util-linux
'

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
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
