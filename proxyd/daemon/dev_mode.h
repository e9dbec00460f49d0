// proxyd --dev: an embedded default to try things on. Two fresh SoftHSM tokens, sockets and state live in a private
// directory that is removed at the end; nothing of the user's is touched.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "proxyd/config/config.h"

namespace p11shim {

class DevMode {
 public:
  // Makes the directory and the tokens. Throws std::runtime_error with words for the user.
  DevMode();
  ~DevMode();
  DevMode(const DevMode&) = delete;
  DevMode& operator=(const DevMode&) = delete;

  [[nodiscard]] Config config() const;
  // Prints what to paste into a shell and what to try.
  void greet(const std::vector<std::string>& endpoints) const;

 private:
  explicit DevMode(std::string directory) : directory_(std::move(directory)) {}
  void make_token(const char* label) const;

  std::string directory_;
};

}  // namespace p11shim
