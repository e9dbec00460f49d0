#include "wire/spin.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <string_view>

namespace p11shim {
namespace {

constexpr std::size_t kMost = 4096;  // of such a file

std::string text_of(const std::string& path) {
  std::string text(kMost, '\0');
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const ssize_t size = file >= 0 ? ::read(file, text.data(), text.size()) : 0;
  if (file >= 0) ::close(file);
  text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return text;
}

// "QUOTA PERIOD", or "max PERIOD".
bool leaves_two(const std::string& quota_and_period) {
  const long quota = std::strtol(quota_and_period.c_str(), nullptr, 10);
  const std::size_t space = quota_and_period.find(' ');
  const long period = space == std::string::npos ? 0 : std::strtol(quota_and_period.c_str() + space, nullptr, 10);
  return quota <= 0 || period <= 0 || quota >= 2 * period;
}

// The limit of a group and those of the groups that it is in.
bool leaves_two_up_from(const std::string& root, std::string group) {
  for (;;) {
    const std::string folder = root + group;
    if (!leaves_two(text_of(folder + "/cpu.max"))) return false;
    if (!leaves_two(text_of(folder + "/cpu.cfs_quota_us") + " " + text_of(folder + "/cpu.cfs_period_us"))) return false;
    if (group.empty() || group == "/") return true;
    group.resize(group.rfind('/') == std::string::npos ? 0 : group.rfind('/'));
  }
}

// Those that this thread may run on; all that are there if the kernel knows more than a cpu_set_t holds.
int allowed_processors() {
  cpu_set_t allowed;
  if (::sched_getaffinity(0, sizeof allowed, &allowed) == 0) return CPU_COUNT(&allowed);
  return static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
}

}  // namespace

bool has_two_processors() { return allowed_processors() >= 2 && groups_leave_two_processors(""); }

bool groups_leave_two_processors(const std::string& root) {
  const std::string groups = text_of(root + "/proc/self/cgroup");  // lines of "number:controllers:/path"
  for (std::size_t start = 0; start < groups.size();) {
    const std::size_t end = std::min(groups.find('\n', start), groups.size());
    const std::string_view line(groups.data() + start, end - start);
    start = end + 1;
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const std::string group(line.substr(second + 1));
    if (controllers.empty() && !leaves_two_up_from(root + "/sys/fs/cgroup", group)) return false;
    if (controllers.starts_with("cpu") && !controllers.starts_with("cpuset") &&
        !leaves_two_up_from(root + "/sys/fs/cgroup/cpu", group))
      return false;
  }
  return true;
}

}  // namespace p11shim
