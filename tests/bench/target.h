// What is compared: a way to reach the same token. A target is a client process and, but for the module
// called directly, a server process that was started for this run only.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "placement.h"
#include "process.h"
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

  // One more client process of this target, beside the first.
  Process& add_client();

  void place(Placement placement);
  Timing run(std::string_view workload, unsigned threads, std::chrono::milliseconds duration);

  // One operation on one thread.
  DataPath data_path(std::string_view workload, std::chrono::milliseconds duration);

  // proxyd's process id, where this target has one.
  pid_t proxyd() const;

  static Target direct(const BenchPaths& paths);
  static Target shim(const BenchPaths& paths);
  static Target p11_kit(const BenchPaths& paths);
  static Target echo(const BenchPaths& paths);

  static bool p11_kit_is_installed();

 private:
  explicit Target(std::string name) : name_(std::move(name)) {}
  void set_client(const BenchPaths& paths, const std::string& kind, const std::string& where,
                  const Environment& environment = {});

  std::string name_;
  std::set<std::string> refused_;
  std::unique_ptr<Process> server_;
  std::function<std::unique_ptr<Process>()> start_client_;
  std::unique_ptr<Process> client_;  // clients go first
  std::vector<std::unique_ptr<Process>> more_clients_;
};

}  // namespace p11shim
