#include "proxyd/daemon/process.h"

#include <malloc.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <stdexcept>

namespace p11shim {
namespace {
constexpr int kKeptMemory = 8 << 20;
}

void confine_process() {
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
#ifndef P11SHIM_SANITIZED
  ::prctl(PR_SET_DUMPABLE, 0);
#endif
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  std::signal(SIGPIPE, SIG_IGN);
  // Large messages reuse memory instead of having it mapped and cleared anew for each.
  ::mallopt(M_MMAP_THRESHOLD, kKeptMemory);
  ::mallopt(M_TRIM_THRESHOLD, kKeptMemory);
}

std::string find_worker_program() {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::filesystem::path worker = self.parent_path() / "proxyd-worker";
  if (::access(worker.c_str(), X_OK) != 0)
    throw std::runtime_error(worker.string() + " is missing: it belongs beside proxyd");
  return worker;
}

}  // namespace p11shim
