#include "softhsm_backend.h"

#include <fstream>
#include <stdexcept>

#include "module.h"
#include "token_calls.h"

namespace p11shim::compare {

std::string SofthsmBackend::module() const {
  const char* path = "/usr/lib/softhsm/libsofthsm2.so";
  return std::filesystem::exists(path) ? path : "";
}

Environment SofthsmBackend::environment(const std::filesystem::path& directory) const {
  return {{"SOFTHSM2_CONF", (directory / "softhsm2.conf").string()}};
}

void SofthsmBackend::settle(const std::filesystem::path& directory) const {
  std::filesystem::create_directories(directory / "tokens");
  std::ofstream conf(directory / "softhsm2.conf");
  conf << "directories.tokendir = " << (directory / "tokens").string() << "\n"
       << "objectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n";
  if (!conf.flush()) throw std::runtime_error("cannot write softhsm2.conf");
}

void SofthsmBackend::populate(const std::filesystem::path& directory, const std::string& path) const {
  settle(directory);
  const Module module(path);
  CK_FUNCTION_LIST& functions = module.functions();
  for (const std::string& label : {token(), other_token()}) {
    // Loaded anew each time: the next uninitialised slot shows only then.
    must(functions.C_Initialize(nullptr), "C_Initialize");
    const CK_SLOT_ID slot = uninitialised_slot(functions);
    must(init_token(functions, slot, label), "C_InitToken");
    must(functions.C_Finalize(nullptr), "C_Finalize");

    must(functions.C_Initialize(nullptr), "C_Initialize");
    init_user_pin(functions, slot_of(functions, label), kSoPin);
    must(functions.C_Finalize(nullptr), "C_Finalize");
  }
}

}  // namespace p11shim::compare
