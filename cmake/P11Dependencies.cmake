# Everything that we do not write ourselves, all of it Debian packages
# (scripts/install-deps.sh names them). Targets, to be used by these names:
#
#   PkgConfig::nss        PKCS#11 definitions (headers only, see p11shim_headers)
#   PkgConfig::uv         event loop                PkgConfig::systemd   sd_notify, sd_listen_fds
#   PkgConfig::cmocka     tests of the C ABI        GTest::gtest GTest::gmock
#   msgpack-cxx           wire encoding             spdlog::spdlog       logging
#   tomlplusplus::tomlplusplus                      configuration
#   CLI11::CLI11          command lines             nlohmann_json::nlohmann_json
#   PkgConfig::yaml       YAML output and plans of shimctl
#   PkgConfig::sqlite     state of proxyd, jobs of shimctl      PkgConfig::gfshare  custodians of backups
#   OpenSSL::Crypto OpenSSL::SSL                    hashes, TLS

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(tomlplusplus REQUIRED)
pkg_check_modules(nss REQUIRED IMPORTED_TARGET nss)
pkg_check_modules(uv REQUIRED IMPORTED_TARGET libuv)
pkg_check_modules(yaml REQUIRED IMPORTED_TARGET yaml-cpp)
pkg_check_modules(sqlite REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(gfshare REQUIRED IMPORTED_TARGET libgfshare)
pkg_check_modules(systemd REQUIRED IMPORTED_TARGET libsystemd)

add_library(msgpack-cxx INTERFACE)
find_path(MSGPACK_INCLUDE_DIR msgpack.hpp REQUIRED)
target_include_directories(msgpack-cxx SYSTEM INTERFACE ${MSGPACK_INCLUDE_DIR})
target_compile_definitions(msgpack-cxx INTERFACE MSGPACK_NO_BOOST)

if(P11SHIM_TESTS)
  find_package(GTest REQUIRED)
  pkg_check_modules(cmocka REQUIRED IMPORTED_TARGET cmocka)
endif()
