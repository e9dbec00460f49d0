#include "nss_backend.h"

#include "initialize_arguments.h"
#include "module.h"
#include "tests/system_library.h"
#include "token_calls.h"

namespace p11shim::compare {

std::string NssBackend::module() const {
  const std::string path = system_library("libsoftokn3.so");
  return std::filesystem::exists(path) ? path : "";
}

Environment NssBackend::environment(const std::filesystem::path&) const {
  // The PIN's key derivation takes a noticeable time otherwise, at every login of every case. The cache is a copy of
  // the database that NSS makes where files are slow: other processes' changes do not show there.
  return {
      {"NSS_MIN_MP_PBE_ITERATION_COUNT", "1"}, {"NSS_MAX_MP_PBE_ITERATION_COUNT", "1"}, {"NSS_SDB_USE_CACHE", "no"}};
}

std::string NssBackend::library_parameters(const std::filesystem::path& directory) const {
  return "configdir='sql:" + (directory / "nssdb").string() +
         "' certPrefix='' keyPrefix='' secmod='' flags=noModDB updatedir='' updateCertPrefix='' "
         "updateKeyPrefix='' updateid='' updateTokenDescription=''";
}

void NssBackend::settle(const std::filesystem::path& directory) const {
  std::filesystem::create_directories(directory / "nssdb");
}

void NssBackend::populate(const std::filesystem::path& directory, const std::string& path) const {
  settle(directory);
  const Module module(path);
  CK_FUNCTION_LIST& functions = module.functions();
  InitializeArguments arguments(library_parameters(directory));
  must(functions.C_Initialize(arguments.get()), "C_Initialize");
  // A database that never had a PIN lets the SO in without one.
  init_user_pin(functions, slot_of(functions, token()), "");
  must(functions.C_Finalize(nullptr), "C_Finalize");
}

}  // namespace p11shim::compare
