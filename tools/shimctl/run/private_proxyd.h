// A proxyd for one command: started with our environment, its sockets, state and log in a private directory,
// stopped with this object.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tools/shimctl/run/child_process.h"
#include "tools/shimctl/run/private_config.h"
#include "tools/shimctl/run/private_folder.h"
#include "tools/shimctl/run/signal_watch.h"

namespace p11shim {

// The user lost patience.
struct Interrupted {
  int signal;
};

class PrivateProxyd {
 public:
  static constexpr std::chrono::seconds kStartPatience{60};
  static constexpr std::chrono::seconds kStopPatience{10};

  static PrivatePlaces places_in(const PrivateFolder& folder);

  // Returns when it is ready to serve. Throws Failure with its last words if it does not get so far, or
  // Interrupted.
  PrivateProxyd(const std::filesystem::path& program, const PrivateFolder& folder, const std::string& config,
                const SignalWatch& signals);
  ~PrivateProxyd();
  PrivateProxyd(const PrivateProxyd&) = delete;
  PrivateProxyd& operator=(const PrivateProxyd&) = delete;

  bool has_ended() { return process_->exit_code().has_value(); }
  std::string last_words() const;  // the end of its log
  // The errors in its log so far that earlier calls have not given; none is part of another.
  std::vector<std::string> new_errors();

 private:
  void wait_until_ready(class ReadySocket& ready);

  std::filesystem::path log_;
  const SignalWatch& signals_;
  std::unique_ptr<ChildProcess> process_;
  std::vector<std::string> told_;  // errors
};

}  // namespace p11shim
