// Covers shared_object_problem: any file is a module or has a sentence that says what it is instead; nothing is believed
// of a header that does not fit the file.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

#include "proxyd/config/elf_file.h"

namespace {
void require(bool condition) {
  if (!condition) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const int file = ::memfd_create("module", MFD_CLOEXEC);
  require(file >= 0 && ::ftruncate(file, 0) == 0);
  require(::pwrite(file, data, size, 0) == static_cast<ssize_t>(size));
  const std::string problem = p11shim::shared_object_problem(file, "C_GetFunctionList");
  require(problem.empty() || problem.starts_with("is ") || problem.starts_with("cannot "));
  require(size >= 64 || !problem.empty());
  return 0;
}
