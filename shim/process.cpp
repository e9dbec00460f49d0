#include "shim/process.h"

#include <sched.h>

#include "shim/log.h"
#include "shim/return_codes.h"

namespace p11shim {

constinit Process process;

ForkMark& Process::mark() {
  ForkMark* mark = mark_.load(std::memory_order_acquire);
  if (mark != nullptr) return *mark;
  auto made = std::make_unique<ForkMark>();
  if (mark_.compare_exchange_strong(mark, made.get(), std::memory_order_acq_rel)) return *made.release();
  return *mark;
}

Process::State& Process::state() {
  ForkMark& mark = this->mark();
  while (!mark.is_settled()) {
    if (!mark.claim()) {
      sched_yield();
      continue;
    }
    try {
      state_.store(successor_of(state_.load(std::memory_order_acquire)), std::memory_order_release);
    } catch (...) {
      mark.give_up();
      throw;
    }
    mark.settle();
  }
  return *state_.load(std::memory_order_acquire);
}

// The state of this process: empty, or in a forked child what its parent's configuration says.
Process::State* Process::successor_of(State* parent_state) {
  auto state = std::make_unique<State>();
  Application* parent = parent_state == nullptr ? nullptr : parent_state->published.load(std::memory_order_acquire);
  if (parent != nullptr && parent->config().fork == ForkMode::inherit) {
    state->application = std::make_shared<Application>(*parent);
    state->published.store(state->application.get(), std::memory_order_release);
  } else if (parent != nullptr) {
    parent->close_inherited();
  }
  state->predecessor = parent_state;
  return state.release();
}

CK_RV Process::initialise() {
  State& state = this->state();
  std::unique_lock lock(state.mutex);
  state.changed.wait(lock, [&] { return !state.is_initialising; });
  if (state.application != nullptr) return CKR_CRYPTOKI_ALREADY_INITIALIZED;
  state.is_initialising = true;
  lock.unlock();

  // Without the lock: other threads get their answer while this one reads files and connects.
  CK_RV rv = codes::kNoMemory;
  std::shared_ptr<Application> application;
  try {
    rv = start(application);
  } catch (const std::bad_alloc&) {
  } catch (...) {
    rv = codes::kInternal;
  }

  lock.lock();
  state.is_initialising = false;
  if (rv == CKR_OK) {
    state.published.store(application.get(), std::memory_order_release);
    state.application = std::move(application);
  }
  state.changed.notify_all();
  return rv;
}

CK_RV Process::start(std::shared_ptr<Application>& application) {
  std::optional<ShimConfig> config = shim_config();
  if (!config) return codes::kNoMemory;
  for (const std::string& problem : config->problems) log_line(*config, LogLevel::warning, problem);
  application = std::make_shared<Application>(std::move(*config));
  Loan exchange(*application);
  const bool is_connected = application->connect(*exchange);
  return is_connected || application->config().on_unreachable == OnUnreachable::empty ? CKR_OK : codes::kProxydLost;
}

CK_RV Process::finalise(CK_VOID_PTR reserved) {
  State& state = this->state();
  std::shared_ptr<Application> application;
  {
    const std::lock_guard lock(state.mutex);
    if (state.application == nullptr) return codes::kNotInitialised;
    if (reserved != nullptr) return CKR_ARGUMENTS_BAD;
    state.published.store(nullptr, std::memory_order_release);
    application = std::move(state.application);
    state.changed.notify_all();
  }
  application->shut_down();
  return CKR_OK;
}

std::shared_ptr<Application> Process::application() {
  State& state = this->state();
  const std::lock_guard lock(state.mutex);
  return state.application;
}

bool Process::wait_for_finalise(const std::shared_ptr<Application>& application, std::chrono::milliseconds longest) {
  State& state = this->state();
  std::unique_lock lock(state.mutex);
  return state.changed.wait_for(lock, longest, [&] { return state.application != application; });
}

}  // namespace p11shim
