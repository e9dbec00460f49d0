#include "tools/shimctl/bench/environment.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace p11shim {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

std::string first_line(const fs::path& path) {
  std::string line;
  std::ifstream stream(path);
  std::getline(stream, line);
  return line;
}

json or_null(const std::string& text) { return text.empty() ? json() : json(text); }

std::string cpu_model() {
  std::ifstream stream("/proc/cpuinfo");
  for (std::string line; std::getline(stream, line);) {
    if (line.starts_with("model name")) return line.substr(std::min(line.find(':') + 2, line.size()));
  }
  return {};
}

json allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  json cpus = json::array();
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return nullptr;
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(i, &set)) cpus.push_back(i);
  }
  return cpus;
}

json load_average() {
  double load[1];
  return ::getloadavg(load, 1) == 1 ? json(load[0]) : json();
}

json module_of(BenchTarget& target) {
  Module& module = target.access->module();
  const CK_INFO info = module.info();
  const CK_TOKEN_INFO token = module.token_info(target.access->slot());
  return {{"side", target.name},
          {"path", module.path()},
          {"library", padded_text(info.libraryDescription)},
          {"library_version", version_text(info.libraryVersion)},
          {"cryptoki_version", version_text(info.cryptokiVersion)},
          {"token", padded_text(token.label)},
          {"token_model", padded_text(token.model)},
          {"token_manufacturer", padded_text(token.manufacturerID)},
          {"firmware_version", version_text(token.firmwareVersion)}};
}

}  // namespace

json environment_of(std::vector<BenchTarget>& targets) {
  utsname system{};
  ::uname(&system);
  char time[32];
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  std::strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%SZ", &utc);
  json modules = json::array();
  for (auto& target : targets) modules.push_back(module_of(target));
  return {{"time", time},
          {"shimctl_version", P11SHIM_VERSION},
          {"kernel", std::string(system.sysname) + " " + system.release},
          {"architecture", system.machine},
          {"cpu", or_null(cpu_model())},
          {"cpus", ::sysconf(_SC_NPROCESSORS_ONLN)},
          {"allowed_cpus", allowed_cpus()},
          {"governor", or_null(first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"))},
          {"load_average", load_average()},
          {"modules", std::move(modules)}};
}

ResourceUse resource_use() {
  ResourceUse use;
  rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) == 0) {
    const auto seconds = [](const timeval& time) {
      return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
    };
    use.cpu_s = seconds(usage.ru_utime) + seconds(usage.ru_stime);
  }
  std::ifstream statm("/proc/self/statm");
  double total = 0;
  double resident = 0;
  if (statm >> total >> resident) use.rss_bytes = resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
  std::error_code error;
  for (const auto& zone : fs::directory_iterator("/sys/class/thermal", error)) {
    const std::string text = first_line(zone.path() / "temp");
    use.temperature = std::max(use.temperature, std::strtod(text.c_str(), nullptr) / 1000);
  }
  return use;
}

}  // namespace p11shim
