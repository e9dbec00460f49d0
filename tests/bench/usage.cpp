#include "usage.h"

#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace p11shim {
namespace {

double nanoseconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_usec) * 1e3;
}

// "voluntary_ctxt_switches:	17" and its opposite.
double switches_of(const std::filesystem::path& task) {
  std::ifstream status(task / "status");
  double total = 0;
  for (std::string line; std::getline(status, line);) {
    const std::size_t at = line.find("voluntary_ctxt_switches:");
    if (at != std::string::npos) total += std::stod(line.substr(line.find(':') + 1));
  }
  return total;
}

}  // namespace

std::string own_usage() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  std::ostringstream text;
  text << std::fixed << nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime) << ' '
       << static_cast<double>(usage.ru_nvcsw) + static_cast<double>(usage.ru_nivcsw);
  return text.str();
}

Usage parse_usage(const std::string& text) {
  Usage usage;
  std::istringstream(text) >> usage.cpu_ns >> usage.switches;
  return usage;
}

Usage usage_of(const std::vector<pid_t>& processes) {
  Usage total;
  for (const pid_t process : processes) {
    std::error_code gone;
    for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/task", gone)) {
      double ran = 0;
      std::ifstream(task.path() / "schedstat") >> ran;
      total.cpu_ns += ran;
      total.switches += switches_of(task.path());
    }
  }
  return total;
}

}  // namespace p11shim
