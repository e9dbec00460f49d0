// Signals as something to wait for: while this object lives, those that shimctl answers arrive here and
// nowhere else.
#pragma once

#include <signal.h>

#include <chrono>
#include <optional>

namespace p11shim {

struct ReceivedSignal {
  int number = 0;
  // The terminal (^C) told all processes of our group, so our child knows already.
  bool from_terminal = false;

  // Our child got its own, or has nothing to do with it (SIGPIPE: nobody reads what we write).
  bool is_ours() const { return number == SIGCHLD || number == SIGPIPE || from_terminal; }
  bool asks_to_end() const { return number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGQUIT; }
};

class SignalWatch {
 public:
  SignalWatch();
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

  // Waits until a signal arrives, `other` (a descriptor; -1: none) becomes readable, or the time is up.
  void wait(int other, std::optional<std::chrono::milliseconds> patience) const;
  std::optional<ReceivedSignal> take() const;  // without waiting

  const sigset_t& blocked_before() const { return before_; }

 private:
  sigset_t before_{};
  int descriptor_ = -1;
};

}  // namespace p11shim
