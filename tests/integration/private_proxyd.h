// A proxyd of a test's own: sockets, state and log in a private directory, started and ended as often as the test likes.
#pragma once

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "compare/private_directory.h"
#include "tests/unit/tools/shimctl/process.h"

namespace p11shim {

inline constexpr std::chrono::seconds kPatience{30};

// Looks again and again until `condition` holds, for as long as a loaded machine may take.
template <class Condition>
bool eventually(Condition condition, std::chrono::milliseconds patience = kPatience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // between two looks
  }
  return true;
}

class PrivateProxyd {
 public:
  // `config`: modules, members, pools, limits. Listening, control, state and log are its own.
  explicit PrivateProxyd(std::string config, Variables variables = {});
  ~PrivateProxyd();
  PrivateProxyd(const PrivateProxyd&) = delete;
  PrivateProxyd& operator=(const PrivateProxyd&) = delete;

  // Waits until it serves. A failure of the test if it does not.
  void start();
  // SIGTERM; its exit code.
  int stop();
  void restart() {
    stop();
    start();
  }
  void signal(int number) const { process_->signal(number); }
  int wait() { return process_->wait(); }
  // Replaces the configuration file; for a reload or the next start.
  void write_config(const std::string& config) const;
  [[nodiscard]] bool alive() const;

  [[nodiscard]] std::string endpoint() const { return "unix:" + socket(); }
  [[nodiscard]] std::string socket() const { return (path() / "proxyd.sock").string(); }
  [[nodiscard]] const std::filesystem::path& path() const { return directory_.path(); }
  [[nodiscard]] std::string config_file() const { return (path() / "proxyd.toml").string(); }
  [[nodiscard]] pid_t pid() const { return process_->pid(); }
  [[nodiscard]] std::string log() const;

  // What the control socket answers to one request.
  [[nodiscard]] nlohmann::json ask(const std::string& request) const;
  // What the control socket answers to {"command":"status"}.
  [[nodiscard]] nlohmann::json status() const;
  // Of the first member; null if it does not run.
  [[nodiscard]] nlohmann::json worker(const std::string& domain) const;
  // 0: it does not run.
  [[nodiscard]] pid_t worker_pid(const std::string& domain) const;
  void kill_worker(const std::string& domain) const;

 private:
  compare::PrivateDirectory directory_;
  Variables variables_;
  std::unique_ptr<Process> process_;
};

// A connected socket, or -1.
int connect_to(const std::string& path);

}  // namespace p11shim
