// Runs a piece of an application against fresh copies of a backend's tokens: on the module directly, or through
// the shim and a proxyd of its own. Every run begins with the same tokens.
#pragma once

#include <optional>

#include "child_process.h"
#include "private_directory.h"
#include "proxy_process.h"

namespace p11shim::compare {

// What the application's process is told.
struct Scene {
  const Backend& backend;
  std::string module;              // what the application loads
  std::string library_parameters;  // what it gives to C_Initialize
};

// The tokens that every run begins with: made once, copied for each.
class FreshTokens {
 public:
  // Throws std::runtime_error if the module cannot make them.
  FreshTokens(const Backend& backend, const std::string& module);

  const Backend& backend() const { return backend_; }
  const std::string& module() const { return module_; }
  // Copies them to `directory`, which must not exist.
  void copy_to(const std::filesystem::path& directory) const;

 private:
  const Backend& backend_;
  std::string module_;
  PrivateDirectory directory_;
};

class Side {
 public:
  // Without programs, applications load the module themselves. Borrows the tokens.
  Side(const FreshTokens& tokens, std::optional<ProxyPrograms> programs)
      : tokens_(tokens), programs_(std::move(programs)) {}

  // A transcript (see run_in_child), with the proxy's log behind the failure if there is one.
  ChildEnd run(const std::function<void(const Scene&, int fd)>& application,
               std::chrono::seconds deadline = std::chrono::seconds(60)) const;

  // A set of fresh tokens and, on the proxied side, a running proxyd: for tests that need it for longer than one application.
  class Stage;

 private:
  const FreshTokens& tokens_;
  std::optional<ProxyPrograms> programs_;
};

class Side::Stage {
 public:
  explicit Stage(const Side& side);
  Scene scene() const;
  Environment environment() const;
  std::string log() const { return proxy_ ? proxy_->log() : std::string(); }

 private:
  const Side& side_;
  PrivateDirectory directory_;
  std::optional<ProxyProcess> proxy_;
};

}  // namespace p11shim::compare
