#include "system_calls.h"

#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace p11shim {
namespace {

constexpr char kStrace[] = "/usr/bin/strace";

bool is_traced(pid_t process) {
  std::error_code gone;
  for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/task", gone)) {
    std::ifstream status(task.path() / "status");
    for (std::string line; std::getline(status, line);)
      if (line.starts_with("TracerPid:") && line.find_first_not_of(" \t0", 10) == std::string::npos) return false;
  }
  return true;
}

// A strace of some processes; it ends without disturbing them.
class Tracer {
 public:
  Tracer(const std::vector<pid_t>& processes, std::filesystem::path file) : file_(std::move(file)) {
    std::filesystem::remove(file_);
    std::vector<std::string> command{kStrace, "-f", "-q", "-c", "-U", "calls,name", "-o", file_};
    for (const pid_t process : processes) command.insert(command.end(), {"-p", std::to_string(process)});
    process_ = std::make_unique<Process>(command, Environment{});
    for (int waited = 0; waited < kPatienceMs && !attached_; waited += 10) {
      attached_ = std::all_of(processes.begin(), processes.end(), is_traced);
      if (!attached_) ::poll(nullptr, 0, 10);
    }
  }
  // Nothing: it could not attach.
  std::optional<double> calls() {
    if (!process_->stop(SIGINT) || !attached_) return std::nullopt;
    std::ifstream file(file_);
    for (std::string line; std::getline(file, line);) {
      std::istringstream words(line);
      double count = 0;
      std::string name;
      if (words >> count >> name && name == "total") return count;
    }
    return 0;  // none at all: strace says nothing
  }

 private:
  static constexpr int kPatienceMs = 5'000;
  const std::filesystem::path file_;
  std::unique_ptr<Process> process_;
  bool attached_ = false;
};

}  // namespace

bool can_count_system_calls() { return std::filesystem::exists(kStrace); }

std::optional<SystemCalls> count_system_calls(Target& target, std::string_view workload, unsigned operations,
                                              const std::filesystem::path& folder) {
  const std::string name(workload);
  target.client().ask("repeat " + name + " 3");  // steady state
  Tracer client({target.client().pid()}, folder / "client.strace");
  std::optional<Tracer> servers;
  if (const auto processes = target.servers(); !processes.empty())
    servers.emplace(processes, folder / "servers.strace");
  target.client().ask("repeat " + name + ' ' + std::to_string(operations));
  const auto of_client = client.calls();
  const auto of_servers = servers ? servers->calls() : std::optional<double>(0);
  if (!of_client || !of_servers) return std::nullopt;
  // The client read its command, and wrote its answer.
  return SystemCalls{name, target.name(), std::max(0.0, *of_client - 2) / operations, *of_servers / operations};
}

}  // namespace p11shim
