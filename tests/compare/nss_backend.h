// NSS softokn: its database token holds keys and wants a login, its crypto token does everything without one.
#pragma once

#include "backend.h"

namespace p11shim::compare {

class NssBackend : public Backend {
 public:
  std::string name() const override { return "nss"; }
  bool fragile() const override { return true; }
  std::string module() const override;
  Environment environment(const std::filesystem::path& directory) const override;
  std::string library_parameters(const std::filesystem::path& directory) const override;
  void settle(const std::filesystem::path& directory) const override;
  void populate(const std::filesystem::path& directory, const std::string& module) const override;
  std::string token() const override { return "NSS Certificate DB"; }
  std::string other_token() const override { return "NSS Generic Crypto Services"; }
  std::string crypto_token() const override { return "NSS Generic Crypto Services"; }
};

}  // namespace p11shim::compare
