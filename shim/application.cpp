#include "shim/application.h"

#include <bit>
#include <cstring>

#include "shim/log.h"

namespace p11shim {
namespace {

// How long C_Finalize lets proxyd take to clean up: it closes the connection when it has, so that whoever
// comes next, perhaps with C_InitToken, finds nothing of this application.
constexpr std::chrono::milliseconds kFarewell{1000};
constexpr std::chrono::milliseconds kNoTime{0};

}  // namespace

Application::Application(ShimConfig config)
    : config_(std::move(config)),
      logs_calls_(logs(config_, LogLevel::debug)),
      remembered_(config_.remember),
      dialer_(config_, identity_, sessions_, remembered_),
      longest_spin_(config_.spin != 0 && has_two_processors() ? config_.spin : 0) {}

Application::Application(Application& parent)
    : config_(parent.config_),
      logs_calls_(parent.logs_calls_),
      identity_(parent.identity_),
      remembered_(config_.remember),
      dialer_(config_, identity_, sessions_, remembered_),
      longest_spin_(parent.longest_spin_),
      parent_(&parent) {
  sessions_.inherit(parent.sessions_);
}

Application::~Application() {
  CallExchange* exchange = exchanges_.load(std::memory_order_acquire);
  while (exchange != nullptr) delete std::exchange(exchange, exchange->next);
}

Id128 Application::next_trace() {
  if (config_.trace) return *config_.trace;
  Id128 trace = identity_.instance();
  std::uint64_t number = traces_.fetch_add(1, std::memory_order_relaxed) + 1;
  if constexpr (std::endian::native == std::endian::little) number = __builtin_bswap64(number);
  std::memcpy(trace.data() + 8, &number, sizeof number);
  return trace;
}

CallExchange& Application::lend() {
  {
    const std::lock_guard lock(mutex_);
    if (idle_ != nullptr) {
      idle_->is_idle = false;
      lent_.fetch_add(1, std::memory_order_relaxed);
      return *std::exchange(idle_, idle_->next_idle);
    }
  }
  auto* exchange = new CallExchange(*this);
  lent_.fetch_add(1, std::memory_order_relaxed);
  exchange->next = exchanges_.load(std::memory_order_relaxed);
  while (!exchanges_.compare_exchange_weak(exchange->next, exchange, std::memory_order_release,
                                           std::memory_order_relaxed)) {
  }
  return *exchange;
}

void Application::give_back(CallExchange& exchange) noexcept {
  lent_.fetch_sub(1, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  if (is_shut_down()) exchange.socket().close();
  exchange.is_idle = true;
  exchange.next_idle = std::exchange(idle_, &exchange);
}

bool Application::connect(CallExchange& exchange, bool anew) {
  if (!anew && exchange.socket().is_open() && exchange.line().endpoint == dialer_.endpoint()) return true;
  const auto line = dialer_.dial(exchange.socket(), shut_down_);
  // Not before now, connected or not: while the parent's connections are open, proxyd still knows whose child
  // this is.
  if (Application* parent = parent_.exchange(nullptr)) parent->close_inherited();
  if (!line) {
    exchange.socket().close();
    return false;
  }
  exchange.connected(*line);
  // Under the lock, shut_down() either finds this connection or is found here.
  const std::lock_guard lock(mutex_);
  if (is_shut_down()) exchange.socket().shut_down();
  return true;
}

void Application::shut_down() noexcept {
  CallExchange* leaving = nullptr;
  {
    const std::lock_guard lock(mutex_);
    shut_down_.store(true, std::memory_order_release);
    leaving = std::exchange(idle_, nullptr);
    for (auto* exchange = exchanges_.load(std::memory_order_acquire); exchange != nullptr; exchange = exchange->next)
      if (!exchange->is_idle) exchange->socket().shut_down();
  }
  for (auto* exchange = leaving; exchange != nullptr; exchange = exchange->next_idle) say_goodbye(exchange->socket());
  bool is_answering = true;
  for (auto* exchange = leaving; exchange != nullptr; exchange = exchange->next_idle)
    is_answering &= exchange->socket().wait_until_closed(is_answering ? kFarewell : kNoTime);
  if (Application* parent = parent_.exchange(nullptr)) parent->close_inherited();
}

void Application::say_goodbye(Socket& socket) noexcept {
  try {
    Buffer goodbye;
    write_goodbye(goodbye);
    if (socket.is_open() && socket.send(goodbye.bytes(), {}, kFarewell) == Transfer::done) return;
  } catch (const std::bad_alloc&) {  // then without a word
  }
  socket.close();
}

void Application::close_inherited() noexcept {
  if (Application* parent = parent_.exchange(nullptr)) parent->close_inherited();
  for (auto* exchange = exchanges_.load(std::memory_order_acquire); exchange != nullptr; exchange = exchange->next)
    exchange->close_inherited();
}

}  // namespace p11shim
