// A private proxyd in front of one module, every token of which applications see.
#pragma once

#include <sys/types.h>

#include "backend.h"

namespace p11shim::compare {

struct ProxyPrograms {
  std::filesystem::path proxyd;
  std::filesystem::path shim;
  std::string module_lines = {};  // of the configuration, beyond what the backend needs
  bool over_tcp = false;          // loopback TCP is all that it listens on, so that nothing can go another way
};

class ProxyProcess {
 public:
  // Starts proxyd with sockets, state and log in `directory`, and waits until it accepts connections.
  // Throws std::runtime_error, with proxyd's log, if it does not.
  ProxyProcess(const ProxyPrograms& programs, const Backend& backend, const std::string& module,
               const std::filesystem::path& tokens, const std::filesystem::path& directory);
  // Asks it to end, and kills it if it has not by a deadline.
  ~ProxyProcess();
  ProxyProcess(const ProxyProcess&) = delete;
  ProxyProcess& operator=(const ProxyProcess&) = delete;

  // What an application's process needs to reach it.
  Environment environment() const;
  std::string log() const;
  pid_t pid() const { return pid_; }

 private:
  void write_config(const Backend& backend, const std::string& module, const std::filesystem::path& tokens,
                    const ProxyPrograms& programs) const;
  void start(const std::filesystem::path& proxyd);
  void wait_until_it_listens();
  bool accepts_connections();

  const bool over_tcp_;
  std::filesystem::path directory_;
  std::string endpoint_;  // empty: its port is not known yet
  pid_t pid_ = -1;
};

}  // namespace p11shim::compare
