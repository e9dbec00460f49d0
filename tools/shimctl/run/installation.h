// Where the parts of this installation are: beside shimctl itself, so that a build tree and an installed copy
// each use their own.
#pragma once

#include <filesystem>

namespace p11shim {

struct Installation {
  std::filesystem::path proxyd;
  std::filesystem::path shim;  // libpkcs11-shim.so

  // Throws Failure naming what is missing and where it was looked for.
  static Installation find();
  static std::filesystem::path find_shim();
  static std::filesystem::path find_trace();  // libpkcs11-trace.so
};

}  // namespace p11shim
