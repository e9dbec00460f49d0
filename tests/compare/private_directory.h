// A directory of the test's own, removed with everything in it.
#pragma once

#include <filesystem>

namespace p11shim::compare {

class PrivateDirectory {
 public:
  // Throws std::system_error.
  PrivateDirectory();
  ~PrivateDirectory();
  PrivateDirectory(const PrivateDirectory&) = delete;
  PrivateDirectory& operator=(const PrivateDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace p11shim::compare
