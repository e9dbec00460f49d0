// Checks 1 to 4: from the module's file to its function list.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "proxyd/config/elf_file.h"
#include "shim/config.h"
#include "tools/shimctl/doctor/module_trial.h"
#include "tools/shimctl/doctor/patient.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/run/installation.h"
#include "tools/shimctl/token/token_access.h"

namespace p11shim {

namespace {

std::string module_path(const Patient& patient, Examination& found) {
  if (!patient.proxied) return patient.invocation.token.module;
  try {
    return Installation::find_shim().string();
  } catch (const Failure& failure) {
    found.fail("module-file", failure.reason().what);
    return {};
  }
}

// A mere name is looked for by the loader.
bool examine_file(const std::string& path, Examination& found) {
  if (path.empty()) return false;
  if (path.find('/') == std::string::npos) return found.skip("module-file", path + " is found by the loader"), true;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return found.fail("module-file", path + ": " + std::strerror(errno)), false;
  const std::string problem = shared_object_problem(fd, "C_GetFunctionList");
  ::close(fd);
  if (!problem.empty()) return found.fail("module-file", path + " " + problem), false;
  return found.pass("module-file", path), true;
}

void examine_interface(const Patient& patient, Examination& found) {
  try {
    TokenAccess access(patient.invocation);
    const Module& module = access.module();
    const CK_INFO info = module.info();
    const std::string name = padded_text(info.libraryDescription) + " " + version_text(info.libraryVersion);
    const std::string interface = module.v3() == nullptr ? "2.40" : version_text(module.v3()->version);
    found.pass("module-interface", name + ", PKCS#11 " + interface);
  } catch (const std::exception& error) {
    found.skip("module-interface", error.what());
  }
}

}  // namespace

void examine_load_path(Patient& patient, Examination& found) {
  const std::string path = module_path(patient, found);
  bool loads = examine_file(path, found);
  if (loads) {
    const std::string problem = try_module(path, patient.invocation.token.library_parameters, patient.patience);
    loads = problem.empty();
    if (loads) found.pass("module-loads", "C_Initialize answers CKR_OK");
    else found.fail("module-loads", problem);
  } else {
    found.skip("module-loads", "there is no module to load");
  }
  if (loads) examine_interface(patient, found);
  else found.skip("module-interface", "the module does not load");

  if (!patient.proxied) return found.skip("shim-configuration", "the module is used without the shim");
  const ShimConfig config = load_shim_config(shim_config_sources(&::secure_getenv));
  for (const std::string& problem : config.problems) found.fail("shim-configuration", problem);
  if (config.problems.empty()) {
    std::string endpoints;
    for (const auto& endpoint : config.endpoints) endpoints += (endpoints.empty() ? "" : ", ") + to_string(endpoint);
    found.pass("shim-configuration", "endpoint " + endpoints);
  }
}

}  // namespace p11shim
