// A pool of two kinds: SoftHSM and NSS softokn, both with the same imported P-256 key "ec" and RSA key "rsa".
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "compare/nss_backend.h"
#include "configs.h"
#include "tests/places.h"

namespace p11shim {

class MixedMembers {
 public:
  static bool installed() { return SofthsmTokens::installed() && !compare::NssBackend().module().empty(); }
  MixedMembers() {
    const compare::FreshTokens fresh(nss_, nss_.module());
    fresh.copy_to(nss_path());
    nss_.settle(nss_path());
    shell("openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pem");
    shell("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ec.pem");
    for (const char* key : {"rsa", "ec"}) {
      import({"--module", compare::SofthsmBackend().module(), "--token", "first"}, {{ "SOFTHSM2_CONF", conf() }}, key);
      import({"--module", nss_.module(), "--library-parameters", nss_.library_parameters(nss_path()), "--token",
              nss_.token()},
             nss_.environment(nss_path()), key);
    }
  }
  [[nodiscard]] std::string config(const std::string& pool_options = {}) const {
    std::string text = "[[module]]\nname = \"soft\"\npath = \"" + compare::SofthsmBackend().module() +
                       "\"\nenvironment = { SOFTHSM2_CONF = \"" + conf() +
                       "\" }\n[[module]]\nname = \"nss\"\npath = \"" + nss_.module() + "\"\nlibrary_parameters = \"" +
                       nss_.library_parameters(nss_path()) + "\"\nenvironment = { ";
    const char* comma = "";
    for (const auto& [name, value] : nss_.environment(nss_path()))
      text += comma + name + " = \"" + value + "\"", comma = ", ";
    return text +
           " }\n[[member]]\nname = \"soft\"\nmodule = \"soft\"\ntoken_label = \"first\"\nrestart_backoff = { min = "
           "\"1ms\", max = \"20ms\" }\n" +
           "[[member]]\nname = \"nss\"\nmodule = \"nss\"\ntoken_label = \"" + nss_.token() +
           "\"\nrestart_backoff = { min = \"1ms\", max = \"20ms\" }\n" +
           "[[pool]]\nname = \"pool\"\nslot = 0\nmembers = [\"soft\", \"nss\"]\n" + pool_options + "\n";
  }

 private:
  [[nodiscard]] std::string conf() const { return (tokens_.path() / "softhsm2.conf").string(); }
  [[nodiscard]] std::filesystem::path nss_path() const { return directory_.path() / "nss"; }
  static void must(Process& process) {
    if (process.wait() != 0) throw std::runtime_error(process.err);
  }
  void shell(const std::string& script) {
    Process process({"/bin/sh", "-c", "cd '" + directory_.path().string() + "' && " + script + " 2>/dev/null"});
    must(process);
  }
  void import(std::vector<std::string> words, Variables variables, const std::string& key) {
    words.insert(words.begin(), build_dir() + "/bin/shimctl");
    words.insert(words.end(), {"--pin-from", "env:PIN", "key", "import", (directory_.path() / (key + ".pem")).string(),
                               "--label", key, "--id", key == "ec" ? "02" : "01"});
    variables["PIN"] = compare::kUserPin;
    Process process(words, variables);
    must(process);
  }

  compare::NssBackend nss_;
  compare::PrivateDirectory directory_;
  SofthsmTokens tokens_;
};

}  // namespace p11shim
