// SoftHSM with two initialised tokens, "first" and "second" (and, as always, an uninitialised slot after them).
#pragma once

#include "backend.h"

namespace p11shim::compare {

class SofthsmBackend : public Backend {
 public:
  std::string name() const override { return "softhsm"; }
  std::string module() const override;
  Environment environment(const std::filesystem::path& directory) const override;
  std::string library_parameters(const std::filesystem::path&) const override { return {}; }
  void settle(const std::filesystem::path& directory) const override;
  void populate(const std::filesystem::path& directory, const std::string& module) const override;
  std::string token() const override { return "first"; }
  std::string other_token() const override { return "second"; }
  std::string crypto_token() const override { return "first"; }
};

}  // namespace p11shim::compare
