#include "placement.h"

#include <sched.h>

#include <filesystem>
#include <vector>

namespace p11shim {
namespace {

// The cores that this benchmark was given.
const std::vector<int>& allowed_cores() {
  static const std::vector<int> cores = [] {
    cpu_set_t set;
    CPU_ZERO(&set);
    ::sched_getaffinity(0, sizeof set, &set);
    std::vector<int> found;
    for (int core = 0; core < CPU_SETSIZE; ++core) {
      if (CPU_ISSET(core, &set)) found.push_back(core);
    }
    return found;
  }();
  return cores;
}

void pin_tree(pid_t root, const std::vector<int>& cores) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int core : cores) CPU_SET(core, &set);
  for (const pid_t process : process_tree(root)) {
    std::error_code gone;
    const std::filesystem::directory_iterator threads("/proc/" + std::to_string(process) + "/task", gone);
    for (const auto& thread : threads) ::sched_setaffinity(std::stoi(thread.path().filename()), sizeof set, &set);
  }
}

}  // namespace

bool has_two_cores() { return allowed_cores().size() >= 2; }

void place_client(pid_t client, Placement placement) {
  if (placement == Placement::kFree) return pin_tree(client, allowed_cores());
  pin_tree(client, {allowed_cores().front()});
}

void place_server(pid_t server, Placement placement) {
  switch (placement) {
    case Placement::kFree: return pin_tree(server, allowed_cores());
    case Placement::kOneCore: return pin_tree(server, {allowed_cores().front()});
    case Placement::kTwoCores: return pin_tree(server, {allowed_cores().back()});
  }
}

}  // namespace p11shim
