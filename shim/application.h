// One C_Initialize in one process, until its C_Finalize: its identity towards proxyd, its open sessions, and
// its connections, one for each thread that is inside a call at the same time. Threads hold a share of it
// during a call, so C_Finalize need not wait for them: it shuts their connections down, and the last one out
// frees the application.
#pragma once

#include <atomic>
#include <exception>
#include <memory>
#include <mutex>

#include "shim/call_exchange.h"
#include "shim/config.h"
#include "shim/dialer.h"
#include "shim/identity.h"
#include "shim/remembered.h"
#include "shim/sessions.h"
#include "shim/slot_events.h"

namespace p11shim {

class Application {
 public:
  explicit Application(ShimConfig config);
  // In a forked child: an application of its own, which starts with what the parent had. `parent` is never
  // freed.
  explicit Application(Application& parent);
  Application(const Application&) = delete;
  Application& operator=(const Application&) = delete;
  ~Application();

  [[nodiscard]] const ShimConfig& config() const { return config_; }
  [[nodiscard]] Sessions& sessions() { return sessions_; }
  [[nodiscard]] SlotEvents& slot_events() { return slot_events_; }
  [[nodiscard]] Remembered& remembered() { return remembered_; }
  // Some proxyd has known this application; if now none answers, something is lost.
  [[nodiscard]] bool is_known() const { return identity_.is_known(); }

  // An exchange for the calling thread alone, the one that was given back last. Throws std::bad_alloc.
  CallExchange& lend();
  void give_back(CallExchange& exchange) noexcept;
  // Makes sure that the exchange is connected, `anew` if its connection is known to be dead.
  bool connect(CallExchange& exchange, bool anew = false);

  [[nodiscard]] bool logs_calls() const { return logs_calls_; }

  // Of a call: what the environment said, or the first half of the instance id and a number.
  [[nodiscard]] Id128 next_trace();

  // No other thread is inside a call.
  [[nodiscard]] bool has_one_caller() const { return lent_.load(std::memory_order_relaxed) == 1; }
  // How long one may look for an answer before it sleeps.
  [[nodiscard]] std::chrono::microseconds longest_spin() const { return longest_spin_; }

  // C_Finalize: calls in progress end, later ones fail, proxyd is told.
  void shut_down() noexcept;
  [[nodiscard]] bool is_shut_down() const { return shut_down_.load(std::memory_order_acquire); }
  // In a forked child: closes its copies of all connections; the parent goes on using them.
  void close_inherited() noexcept;

 private:
  static void say_goodbye(Socket& socket) noexcept;

  const ShimConfig config_;
  const bool logs_calls_;
  Identity identity_;
  Sessions sessions_;
  SlotEvents slot_events_;
  Remembered remembered_;
  Dialer dialer_;
  const std::chrono::microseconds longest_spin_;
  std::atomic<std::uint64_t> traces_{0};
  std::atomic<unsigned> lent_{0};  // exchanges
  std::atomic<bool> shut_down_{false};
  std::atomic<Application*> parent_{nullptr};  // whose connections are still to be closed
  // All exchanges, linked by `next`. The list only ever grows, so that a child can walk it.
  std::atomic<CallExchange*> exchanges_{nullptr};
  std::mutex mutex_;              // guards what follows, and orders shut_down() against new connections
  CallExchange* idle_ = nullptr;  // linked by `next_idle`
};

// An exchange, lent for one call. Of a call that is left by an exception nothing stays in it.
class Loan {
 public:
  explicit Loan(Application& application)
      : application_(application), exchange_(application.lend()), exceptions_(std::uncaught_exceptions()) {}
  Loan(const Loan&) = delete;
  Loan& operator=(const Loan&) = delete;
  ~Loan() {
    if (std::uncaught_exceptions() != exceptions_) exchange_.end(true);
    application_.give_back(exchange_);
  }
  CallExchange& operator*() { return exchange_; }
  CallExchange* operator->() { return &exchange_; }

 private:
  Application& application_;
  CallExchange& exchange_;
  const int exceptions_;  // under way already: some applications call us while they unwind
};

}  // namespace p11shim
