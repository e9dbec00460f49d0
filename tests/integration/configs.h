// Configurations that several tests share: one pool, slot 0, over SoftHSM's token "first" or over the mock's first token.
#pragma once

#include <unistd.h>

#include <string>

#include "compare/side.h"
#include "compare/softhsm_backend.h"
#include "mock/control_file.h"
#include "private_proxyd.h"
#include "tests/places.h"

namespace p11shim {

inline std::string me() { return "uid:" + std::to_string(::getuid()); }

inline std::string pool_config(const std::string& token, const std::string& member_options,
                               const std::string& pool_options) {
  return "[[member]]\nname = \"hsm\"\nmodule = \"module\"\ntoken_label = \"" + token +
         "\"\nrestart_backoff = { min = \"1ms\", max = \"20ms\" }\n" + member_options +
         "\n[[pool]]\nname = \"pool\"\nslot = 0\nmembers = [\"hsm\"]\n" + pool_options + "\n";
}

// A SoftHSM directory of a test's own, with the tokens "first" and "second".
class SofthsmTokens {
 public:
  static bool installed() { return !compare::SofthsmBackend().module().empty(); }
  SofthsmTokens() { fresh().copy_to(path()); }
  [[nodiscard]] std::filesystem::path path() const { return directory_.path() / "t"; }

  [[nodiscard]] std::string module_config(const std::string& options = {}) const {
    return "[[module]]\nname = \"module\"\npath = \"" + backend().module() + "\"\nenvironment = { SOFTHSM2_CONF = \"" +
           (path() / "softhsm2.conf").string() + "\" }\n" + options + "\n";
  }
  [[nodiscard]] std::string config(const std::string& member_options = {}, const std::string& pool_options = {}) const {
    return module_config() + pool_config("first", member_options, pool_options);
  }

 private:
  static const compare::SofthsmBackend& backend() {
    static const compare::SofthsmBackend softhsm;
    return softhsm;
  }
  // Made once for all tests of the program: slow.
  static const compare::FreshTokens& fresh() {
    static const compare::FreshTokens tokens(backend(), backend().module());
    return tokens;
  }
  compare::PrivateDirectory directory_;
};

// The mock, steered by `rules`.
class MockModule {
 public:
  [[nodiscard]] std::string module_config(const std::string& options = {}) const {
    return "[[module]]\nname = \"module\"\npath = \"" + build_dir() +
           "/tests/libp11mock.so\"\ncheck_owner = false\nenvironment = { P11MOCK_CONTROL = \"" + rules.path().string() +
           "\" }\n" + options + "\n";
  }
  [[nodiscard]] std::string config(const std::string& member_options = {}, const std::string& pool_options = {},
                                   const std::string& limits = {}) const {
    return "[limits]\n" + limits + "\n" + module_config() + pool_config("mock-0", member_options, pool_options);
  }
  [[nodiscard]] std::filesystem::path file(const std::string& name) const { return directory_.path() / name; }

 private:
  compare::PrivateDirectory directory_;

 public:
  ControlFile rules{directory_.path()};
};

inline constexpr char kMockPin[] = "1234";

}  // namespace p11shim
