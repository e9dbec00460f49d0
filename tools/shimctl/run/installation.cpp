#include "tools/shimctl/run/installation.h"

#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "tools/shimctl/failure.h"

namespace p11shim {

namespace fs = std::filesystem;

namespace {

fs::path first_existing(const std::vector<fs::path>& places, const char* what) {
  std::string looked;
  for (const auto& place : places) {
    std::error_code ignored;
    if (fs::is_regular_file(place, ignored)) return fs::canonical(place);
    looked += (looked.empty() ? "" : ", ") + place.lexically_normal().string();
  }
  throw Failure(ExitCode::kConfiguration, std::string("cannot find ") + what + "; looked for " + looked,
                "install it, or run shimctl from its build directory");
}

std::vector<fs::path> in_search_path(const char* program) {
  std::vector<fs::path> places;
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (!folder.empty()) places.push_back(fs::path(folder) / program);
  }
  return places;
}

fs::path find_library(const char* name) {
  const fs::path bin = fs::read_symlink("/proc/self/exe").parent_path();
  return first_existing(
      {bin / "../lib" / name, bin / ".." / P11SHIM_LIBDIR / name, fs::path(P11SHIM_FULL_LIBDIR) / name}, name);
}

}  // namespace

fs::path Installation::find_shim() { return find_library("libpkcs11-shim.so"); }

fs::path Installation::find_trace() { return find_library("libpkcs11-trace.so"); }

Installation Installation::find() {
  std::vector<fs::path> proxyd{fs::read_symlink("/proc/self/exe").parent_path() / "proxyd"};
  for (auto& place : in_search_path("proxyd")) proxyd.push_back(std::move(place));
  return {first_existing(proxyd, "proxyd"), find_shim()};
}

}  // namespace p11shim
