// An application without a connection whose process lives: it may only have given up a connection. It ends when the process
// does, or when it does not come back.
#pragma once

#include <functional>
#include <memory>

#include "proxyd/loop/handles.h"
#include "proxyd/workers/runtime.h"

namespace p11shim {

class Linger {
 public:
  // Null: the process is gone already, or nobody can tell. `end` is called once, later, unless this object goes first; it
  // may destroy it.
  static std::unique_ptr<Linger> start(Runtime& runtime, pid_t process, std::function<void()> end);
  ~Linger();
  Linger(const Linger&) = delete;
  Linger& operator=(const Linger&) = delete;

 private:
  Linger(Runtime& runtime, int process, std::function<void()> end);
  void over();

  const int process_;  // a pidfd
  std::function<void()> end_;
  Poll exited_;
  Timer patience_;
};

}  // namespace p11shim
