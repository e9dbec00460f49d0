// What the C ABI forces on us: one object per process, which every exported function finds. It is
// constant-initialised and has no destructor, so it works before main, in any atexit handler and in any
// thread at exit. A forked child replaces its state by a new one at its first call, because locks and lists
// may have been copied in the middle of a change; the parent's state stays where it is, never touched again
// but for what was published whole.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "shim/application.h"
#include "shim/fork_mark.h"

namespace p11shim {

class Process {
 public:
  constexpr Process() = default;

  // C_Initialize, its arguments checked.
  CK_RV initialise();
  CK_RV finalise(CK_VOID_PTR reserved);
  // None: C_Initialize has not been called. A share, because C_Finalize in another thread must not end it
  // under a call.
  std::shared_ptr<Application> application();
  [[nodiscard]] bool is_initialised() { return application() != nullptr; }
  // Returns once C_Finalize has ended this application.
  // Whether it has come within this time.
  bool wait_for_finalise(const std::shared_ptr<Application>& application, std::chrono::milliseconds longest);

 private:
  struct State {
    std::mutex mutex;  // guards all but `published`
    std::condition_variable changed;
    bool is_initialising = false;
    std::shared_ptr<Application> application;
    std::atomic<Application*> published{nullptr};  // the same, for a child that is forked while `mutex` is held
    State* predecessor = nullptr;                  // the parent's state, for nobody but whoever looks for leaks
  };

  State& state();
  ForkMark& mark();
  static State* successor_of(State* parent_state);
  static CK_RV start(std::shared_ptr<Application>& application);

  std::atomic<ForkMark*> mark_{nullptr};
  std::atomic<State*> state_{nullptr};
};

extern constinit Process process;

}  // namespace p11shim
