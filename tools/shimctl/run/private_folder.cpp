#include "tools/shimctl/run/private_folder.h"

#include <cerrno>
#include <cstdlib>
#include <string>
#include <system_error>

#include "tools/shimctl/failure.h"

namespace p11shim {

namespace {

constexpr std::size_t kLongestParent = 64;  // a socket's path has 107 bytes in all

std::string parent() {
  const char* chosen = std::getenv("TMPDIR");
  const std::string folder = chosen == nullptr ? "" : chosen;
  return folder.starts_with('/') && folder.size() <= kLongestParent ? folder : "/tmp";
}

}  // namespace

PrivateFolder::PrivateFolder() {
  std::string name = parent() + "/shimctl-run.XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) {
    throw Failure(ExitCode::kConfiguration,
                  "cannot make a private directory " + name + ": " + std::generic_category().message(errno),
                  "set TMPDIR to a directory that you can write to");
  }
  path_ = name;
}

PrivateFolder::~PrivateFolder() {
  std::error_code ignored;  // what cannot be removed stays for the system's cleaning of temporary files
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace p11shim
