// Lets the workers of one module start one at a time: modules race with themselves at start and at login, also across
// processes (SoftHSM does, over its token directory).
#pragma once

#include <map>
#include <string>

#include "proxyd/loop/waiting.h"

namespace p11shim {

class StartGate {
 public:
  // True: `module` may start now, and leave() must follow. False: `waiter` is resumed when it may try again.
  bool enter(const std::string& module, Waiter& waiter) {
    Turn& turn = turns_[module];
    if (turn.taken) {
      turn.waiting.add(waiter);
      return false;
    }
    turn.taken = true;
    return true;
  }
  void leave(const std::string& module) {
    Turn& turn = turns_[module];
    turn.taken = false;
    turn.waiting.resume_one();
  }

 private:
  struct Turn {
    bool taken = false;
    WaitList waiting;
  };
  std::map<std::string, Turn> turns_;  // as many as modules are configured
};

}  // namespace p11shim
