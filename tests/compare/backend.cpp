#include "backend.h"

#include "nss_backend.h"
#include "softhsm_backend.h"

namespace p11shim::compare {

std::unique_ptr<Backend> Backend::named(const std::string& name) {
  if (name == "softhsm") return std::make_unique<SofthsmBackend>();
  if (name == "nss") return std::make_unique<NssBackend>();
  return nullptr;
}

}  // namespace p11shim::compare
