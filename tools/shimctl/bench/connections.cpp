#include "tools/shimctl/bench/connections.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <nlohmann/json.hpp>
#include <system_error>

#include "tools/shimctl/failure.h"

namespace p11shim {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::uint32_t kLongestMessage = 256 << 20;
constexpr int kStep = 20;                       // milliseconds between two looks for ^C
constexpr std::chrono::seconds kPatience{5};    // with processes that do not end
constexpr std::chrono::milliseconds kLead{10};  // what all have to hear of the beginning

[[noreturn]] void gone() {
  throw Failure(ExitCode::kPkcs11,
                {.what = "a process of --connections ended", .why = "its module crashed or was killed", .fix = {}});
}

std::int64_t ticks(Clock::time_point time) { return time.time_since_epoch().count(); }
Clock::time_point time_at(std::int64_t ticks) { return Clock::time_point(Clock::duration(ticks)); }

}  // namespace

Channel::~Channel() { ::close(descriptor_); }

bool Channel::send(const json& message) {
  const std::string text = message.dump(-1, ' ', true, json::error_handler_t::replace);
  const auto size = static_cast<std::uint32_t>(text.size());
  std::string bytes(reinterpret_cast<const char*>(&size), sizeof size);
  bytes += text;
  for (std::size_t sent = 0; sent < bytes.size();) {
    const ssize_t now = ::send(descriptor_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (now < 0 && errno == EINTR) continue;
    if (now <= 0) return false;
    sent += static_cast<std::size_t>(now);
  }
  return true;
}

bool Channel::read_exactly(char* into, std::size_t size) {
  while (size > 0) {
    const ssize_t now = ::recv(descriptor_, into, size, 0);
    if (now < 0 && errno == EINTR) continue;
    if (now <= 0) return false;
    into += now;
    size -= static_cast<std::size_t>(now);
  }
  return true;
}

std::optional<json> Channel::receive() {
  std::uint32_t size = 0;
  if (!read_exactly(reinterpret_cast<char*>(&size), sizeof size) || size > kLongestMessage) return std::nullopt;
  std::string text(size, '\0');
  if (!read_exactly(text.data(), text.size())) return std::nullopt;
  json message = json::parse(text, nullptr, false);
  if (message.is_discarded()) return std::nullopt;
  return message;
}

bool Channel::readable(int milliseconds) const {
  pollfd look{.fd = descriptor_, .events = POLLIN, .revents = 0};
  return ::poll(&look, 1, milliseconds) > 0;
}

Connections::Connections(unsigned others, const Work& work) {
  const pid_t parent = ::getpid();
  for (unsigned number = 1; number <= others; ++number) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
      throw Failure(ExitCode::kConfiguration, "no process can be started: " + std::generic_category().message(errno),
                    "");
    auto ours = std::make_unique<Channel>(ends[0]);
    const pid_t pid = ::fork();
    if (pid == 0) {
      ours.reset();
      processes_.clear();  // their ends are not ours
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent) ::_exit(0);
      {
        Channel channel(ends[1]);
        try {
          work(channel, number);
        } catch (...) {
          // The parent sees that we are gone.
        }
      }
      ::_exit(0);
    }
    ::close(ends[1]);
    if (pid < 0)
      throw Failure(ExitCode::kConfiguration, "no process can be started: " + std::generic_category().message(errno),
                    "");
    processes_.push_back({.pid = pid, .channel = std::move(ours)});
  }
}

Connections::~Connections() {
  for (auto& process : processes_) process.channel.reset();  // they end
  const auto patience = Clock::now() + kPatience;
  for (const auto& process : processes_) {
    while (::waitpid(process.pid, nullptr, WNOHANG) == 0) {
      if (Clock::now() > patience) ::kill(process.pid, SIGKILL);  // its module hangs
      ::poll(nullptr, 0, 2);
    }
  }
}

json Connections::answer_of(Process& process) {
  while (!process.channel->readable(kStep)) {
    if (stopped_ && stopped_()) return nullptr;
  }
  auto answer = process.channel->receive();
  if (!answer) gone();
  return *std::move(answer);
}

void Connections::prepare(const json& what, std::function<bool()> stopped) {
  stopped_ = std::move(stopped);
  std::string why;
  const auto listen = [&](Process& process) {
    const json answer = answer_of(process);
    if (answer.is_null()) throw Failure(ExitCode::kPartial, "interrupted before all --connections were ready", "");
    if (answer.contains("cannot") && why.empty()) why = answer["cannot"];
  };
  // One after the other: a PIN that is wrong after all is not tried by the next.
  for (auto& process : processes_) {
    if (opened_ || !why.empty()) break;
    if (!process.channel->send("open")) gone();
    listen(process);
  }
  opened_ = opened_ || why.empty();
  if (why.empty()) {
    for (auto& process : processes_)
      if (!process.channel->send(what)) gone();
    for (auto& process : processes_) listen(process);
  }
  if (why.empty()) return;
  for (auto& process : processes_) process.channel->send("stop");
  throw Failure(ExitCode::kPkcs11, "a process of --connections cannot measure this: " + why, "");
}

void Connections::warm_up() {
  for (auto& process : processes_)
    if (!process.channel->send("warm up")) gone();
}

Clock::time_point Connections::begin() {
  for (auto& process : processes_)
    if (answer_of(process).is_null()) return Clock::now();
  const auto when = Clock::now() + kLead;
  for (auto& process : processes_)
    if (!process.channel->send({{"begin", ticks(when)}})) gone();
  return when;
}

void Connections::merge_into(LoadResult& result) {
  // Whoever was stopped, or gave up, may never have told them to begin.
  if (result.interrupted || result.gave_up) {
    for (auto& process : processes_) process.channel->send("stop");
  }
  for (auto& process : processes_) {
    json answer = answer_of(process);
    if (answer.is_null()) {
      for (auto& each : processes_) each.channel->send("stop");
      stopped_ = [until = Clock::now() + kPatience] { return Clock::now() > until; };
      answer = answer_of(process);
      result.interrupted = true;
    }
    if (answer.is_null()) gone();
    while (answer.is_string()) answer = answer_of(process);  // "warm"
    result.merge(LoadResult::from_json(answer));
  }
}

bool FollowedLoad::stopped() {
  stopped_ = stopped_ || parent_.readable();
  return stopped_;
}

void FollowedLoad::finish() {
  if (begun_) return;
  parent_.send("warm");
  parent_.receive();
}

Clock::time_point FollowedLoad::begin() {
  begun_ = true;
  parent_.send("warm");
  const auto answer = parent_.receive();
  if (answer && answer->is_object()) return time_at((*answer)["begin"].get<std::int64_t>()) + later_;
  stopped_ = true;
  return Clock::now();
}

}  // namespace p11shim
