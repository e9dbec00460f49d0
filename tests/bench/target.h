// What is compared: a way to reach the same token. A target is a client process and, but for the module
// called directly, a server process that was started for this run only.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "placement.h"
#include "process.h"
#include "results.h"
#include "tests/relay/relay.h"
#include "timing.h"
#include "usage.h"

namespace p11shim {

struct BenchPaths {
  std::filesystem::path module;    // the vendor module that all targets end in
  std::filesystem::path programs;  // shimctl and p11shim-bench-client
  std::filesystem::path folder;    // private: token, sockets
};

class Target {
 public:
  const std::string& name() const { return name_; }
  Process& client() { return *client_; }

  // Opens the first client's sessions and proves its results; throws unless all are right.
  void open(unsigned threads);
  bool offers(const std::string& workload) const { return !refused_.contains(workload); }
  void refuse(const std::string& workload) { refused_.insert(workload); }
  bool is_peer() const { return name_ == "p11-kit" || name_ == "caml-crush"; }
  // Some are only there for a few cells.
  bool takes_part(const Cell& cell) const;

  // One more client process of this target, beside the first.
  Process& add_client();

  void place(Placement placement);
  Timing run(std::string_view workload, unsigned threads, std::chrono::milliseconds duration);

  // One operation on one thread.
  DataPath data_path(std::string_view workload, std::chrono::milliseconds duration);

  // proxyd's process id, where this target has one.
  pid_t proxyd() const;

  // Between client and server from now on: so much in each direction. Only for targets behind a network.
  void delay(std::chrono::microseconds latency) { relay_->change({.latency = latency}); }
  // All processes that serve.
  std::vector<pid_t> servers() const;

  static Target direct(const BenchPaths& paths);
  static Target shim(const BenchPaths& paths);
  static Target socket_shim(const BenchPaths& paths);  // of whose messages none goes through shared memory
  static Target spinning_shim(const BenchPaths& paths);
  static Target p11_kit(const BenchPaths& paths);
  static Target caml_crush(const BenchPaths& paths);
  static Target echo(const BenchPaths& paths);       // a thread for each connection
  static Target echo_loop(const BenchPaths& paths);  // one loop for all
  // The same behind a network, our relay.
  static Target remote_shim(const BenchPaths& paths);
  static Target remote_echo(const BenchPaths& paths);

  // Why a peer cannot take part; nothing if it can.
  static std::optional<std::string> why_not(const std::string& peer);

 private:
  explicit Target(std::string name) : name_(std::move(name)) {}
  enum class Way : std::uint8_t { memory, socket, network };
  static Target shim_called(const BenchPaths& paths, std::string name, unsigned spin, Way way);
  static Target echo_called(const BenchPaths& paths, std::string name, const char* server, bool remote);
  void set_client(const BenchPaths& paths, const std::string& kind, const std::string& where,
                  const Environment& environment = {});

  std::string name_;
  std::set<std::string> refused_;
  std::unique_ptr<Process> server_;
  std::unique_ptr<Relay> relay_;
  std::function<std::unique_ptr<Process>()> start_client_;
  std::unique_ptr<Process> client_;  // clients go first
  std::vector<std::unique_ptr<Process>> more_clients_;
};

}  // namespace p11shim
