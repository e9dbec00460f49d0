// Decides whether a vendor module may be loaded, before any of its code runs. The file is opened once, and
// all that is said is said of that open file; the directories above it are checked too, so that nobody
// untrusted can put another file in its place between the check and dlopen(real_path). Modules are not loaded by their
// descriptor: many find their own files beside their path.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "proxyd/config/config.h"

namespace p11shim {

struct ModuleFileRules {
  std::string sha256;              // expected, lower-case hexadecimal; empty: not computed
  bool check_owner = true;         // the file and each directory above it: a trusted owner, written by nobody else
  std::vector<uid_t> allow_owner;  // trusted besides root and this process's own user
};
ModuleFileRules rules_of(const ModuleConfig& module);

// Owns the open file.
class ModuleCheck {
 public:
  explicit ModuleCheck(std::string problem) : problem_(std::move(problem)) {}
  ModuleCheck(int fd, std::string real_path) : fd_(fd), real_path_(std::move(real_path)) {}
  ModuleCheck(ModuleCheck&& other) noexcept;
  ModuleCheck& operator=(ModuleCheck&&) = delete;
  ~ModuleCheck();

  bool ok() const noexcept { return problem_.empty(); }
  const std::string& problem() const noexcept { return problem_; }      // begins with the path
  int fd() const noexcept { return fd_; }                               // read-only, close-on-exec
  const std::string& real_path() const noexcept { return real_path_; }  // without symbolic links
  int release_fd() noexcept;

 private:
  int fd_ = -1;
  std::string real_path_;
  std::string problem_;
};

ModuleCheck check_module_file(const std::string& path, const ModuleFileRules& rules);

}  // namespace p11shim
