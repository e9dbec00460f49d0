// A directory that only we can enter, removed with all that is in it when this object goes.
#pragma once

#include <filesystem>

namespace p11shim {

class PrivateFolder {
 public:
  // In $TMPDIR, or in /tmp if a socket's path would become too long there. Throws Failure.
  PrivateFolder();
  ~PrivateFolder();
  PrivateFolder(const PrivateFolder&) = delete;
  PrivateFolder& operator=(const PrivateFolder&) = delete;

  std::filesystem::path operator/(const char* name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace p11shim
