#include "shim/dialer.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <thread>
#include <utility>

#include "calls/table.h"
#include "shim/log.h"

namespace p11shim {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstBackoff{50};  // doubled at each failure
constexpr milliseconds kLastBackoff{2000};
constexpr milliseconds kBetweenTries{20};  // while an application waits for a proxyd that is being restarted

}  // namespace

Dialer::Dialer(const ShimConfig& config, Identity& identity, Sessions& sessions, Remembered& remembered)
    : config_(config), identity_(identity), sessions_(sessions), remembered_(remembered) {}

std::optional<Dialer::Line> Dialer::dial(Socket& socket, const std::atomic<bool>& given_up) {
  const std::lock_guard lock(mutex_);
  if (Clock::now() < not_before_) return std::nullopt;
  // One that was there comes back as a rule: its restart is a pause for the application, not an error. Once.
  const bool is_patient = identity_.is_known() && backoff_.count() == 0;
  const auto patient_until = Clock::now() + config_.connect_timeout;
  for (;;) {
    if (given_up.load(std::memory_order_acquire)) return std::nullopt;
    if (const auto line = try_all(socket)) {
      const bool is_news = !std::exchange(was_connected_, true) || backoff_.count() != 0;
      tell_connected(is_news ? LogLevel::info : LogLevel::debug, line->endpoint);
      backoff_ = milliseconds(0);
      return line;
    }
    if (!is_patient || Clock::now() >= patient_until) break;
    std::this_thread::sleep_for(kBetweenTries);
  }
  if (backoff_.count() == 0) log_line(config_, LogLevel::warning, "proxyd cannot be reached: " + failure_);
  backoff_ = std::clamp(backoff_ * 2, kFirstBackoff, kLastBackoff);
  not_before_ = Clock::now() + backoff_;
  return std::nullopt;
}

// Too little memory for this line is no reason to give up the connection.
void Dialer::tell_connected(LogLevel level, std::size_t endpoint) const noexcept {
  if (!logs(config_, level)) return;
  try {
    log_line(config_, level,
             "connected to proxyd at " + to_string(config_.endpoints[endpoint]) +
                 (failure_.empty() ? std::string() : ", not to " + failure_));
  } catch (const std::bad_alloc&) {
  }
}

std::optional<Dialer::Line> Dialer::try_all(Socket& socket) {
  failure_.clear();
  const std::size_t first = endpoint();
  for (std::size_t i = 0; i < config_.endpoints.size(); ++i) {
    Line line{(first + i) % config_.endpoints.size(), 0};
    std::string failure;
    try {
      failure = try_one(socket, line);
    } catch (...) {  // nobody may take it for one that was greeted
      socket.close();
      throw;
    }
    if (failure.empty()) return line;
    socket.close();
    if (!failure_.empty()) failure_ += "; ";
    failure_ += to_string(config_.endpoints[line.endpoint]) + ": " + failure;
  }
  return std::nullopt;
}

std::string Dialer::try_one(Socket& socket, Line& line) {
  if (const int error = socket.connect(config_.endpoints[line.endpoint], config_.connect_timeout)) {
    char text[128];
    return strerror_r(error, text, sizeof text);
  }
  bool resumed = false;
  std::string failure = greet(socket, line, resumed);
  in_.clear();
  if (!failure.empty()) return failure;
  endpoint_.store(line.endpoint, std::memory_order_relaxed);
  return resumed ? std::string() : restore(socket);
}

std::string Dialer::greet(Socket& socket, Line& line, bool& resumed) {
  Hello hello;
  identity_.introduce(hello);
  out_.clear();
  out_.mark_secret();
  write_hello(out_, hello);
  in_.mark_secret();
  Welcome welcome;
  if (socket.send(out_.bytes(), {}, config_.connect_timeout) != Transfer::done ||
      socket.receive(in_, config_.connect_timeout) != Transfer::done)
    return "it does not answer";
  if (!read_welcome(in_.bytes().subspan(kLengthPrefix), welcome)) return "it does not speak this protocol";
  if (welcome.rv != CKR_OK) return "refused: " + in_quotes(welcome.reason);
  if (welcome.version != hello.version || welcome.fingerprint != hello.fingerprint) return "it is of another version";
  identity_.welcomed(welcome.secret);
  line.max_frame = std::min<std::uint64_t>(welcome.max_frame, limits::kMaxFrame);
  resumed = welcome.resumed;
  return {};
}

std::string Dialer::restore(Socket& socket) {
  sessions_.forget_inits();  // the logins are gone
  remembered_.generations.drop();
  remembered_.clear();
  while (sessions_.drop_kept() != CK_INVALID_HANDLE) {
  }
  for (const OpenSession& session : sessions_.list())
    if (!restore(socket, session)) return "the connection broke while sessions were restored";
  return {};
}

// A C_OpenSession that names the handle it wants. It may take as long as any call: proxyd may have to start
// workers first. A session that it will not open again is gone.
bool Dialer::restore(Socket& socket, const OpenSession& session) {
  Buffer body;
  Out out(body);
  Request request;
  request.call = number_of<&CK_FUNCTION_LIST_3_0::C_OpenSession>();
  RequestWriter to{out, request};
  Slot::put_request(to, session.slot);
  Session::put_request(to, session.wire);
  Ulong::put_request(to, session.flags);
  request.body = body.bytes();
  out_.clear();
  write_request_head(out_, request);
  Reply reply;
  if (socket.send(out_.bytes(), request.body, config_.deadline) != Transfer::done ||
      socket.receive(in_, config_.deadline) != Transfer::done ||
      !read_reply(in_.bytes().subspan(kLengthPrefix), reply) || reply.id != request.id)
    return false;
  const bool restored = reply.rv == CKR_OK && reply.handles.size() == 1 && reply.handles[0] == session.wire;
  if (!restored) sessions_.closed(session.handle);
  return true;
}

}  // namespace p11shim
