#include "relay.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <list>
#include <mutex>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "proxyd/loop/handles.h"

namespace p11shim {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kRead = 64 << 10;
constexpr std::size_t kMostUnderWay = 4 << 20;  // of one direction; then the sender waits
constexpr std::chrono::microseconds kFullSocket{100};

struct Piece {
  Clock::time_point due;
  std::vector<std::uint8_t> bytes;  // none: the end
  std::size_t written = 0;
};

struct Direction {
  int from = -1;
  int to = -1;
  std::unique_ptr<Poll> readable;
  std::deque<Piece> pieces;
  std::size_t under_way = 0;
  Clock::time_point last_due{};
  bool ended = false;
};

struct Link {
  int sockets[2] = {-1, -1};
  Direction directions[2];
  bool broken = false;
  ~Link() {
    for (Direction& direction : directions) direction.readable.reset();
    for (const int socket : sockets)
      if (socket >= 0) ::close(socket);
  }
};

int connect_to_target(const std::string& target) {
  sockaddr_storage storage{};
  socklen_t size = 0;
  if (target.starts_with("unix:")) {
    auto& address = reinterpret_cast<sockaddr_un&>(storage);
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, target.c_str() + 5, sizeof address.sun_path - 1);
    size = sizeof address;
  } else {
    auto& address = reinterpret_cast<sockaddr_in&>(storage);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(std::stoul(target.substr(target.rfind(':') + 1))));
    size = sizeof address;
  }
  const int socket = ::socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket >= 0 && ::connect(socket, reinterpret_cast<sockaddr*>(&storage), size) == 0) return socket;
  if (socket >= 0) ::close(socket);
  return -1;
}

void prepare(int socket) {
  const int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::fcntl(socket, F_SETFL, O_NONBLOCK);
}

}  // namespace

class Relay::Loop {
 public:
  Loop(std::string target, const Weather& weather)
      : target_(std::move(target)), weather_(weather), random_(weather.seed) {
    uv_loop_init(&loop_);
    uv_async_init(&loop_, &stop_, [](uv_async_t* stop) { uv_stop(stop->loop); });
    timer_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    listening_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (timer_ < 0 || ::bind(listening_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::listen(listening_, 128) != 0 || ::getsockname(listening_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      throw std::runtime_error("the relay cannot listen");
    port_ = ntohs(address.sin_port);
    timer_poll_ = std::make_unique<Poll>(loop_, timer_, [this](int) { on_time(); });
    timer_poll_->watch(UV_READABLE);
    accept_poll_ = std::make_unique<Poll>(loop_, listening_, [this](int) { accept(); });
    accept_poll_->watch(UV_READABLE);
    thread_ = std::thread([this] { uv_run(&loop_, UV_RUN_DEFAULT); });
  }
  ~Loop() {
    uv_async_send(&stop_);
    thread_.join();
    links_.clear();
    timer_poll_.reset();
    accept_poll_.reset();
    uv_close(reinterpret_cast<uv_handle_t*>(&stop_), nullptr);
    uv_run(&loop_, UV_RUN_DEFAULT);
    uv_loop_close(&loop_);
    ::close(timer_);
    ::close(listening_);
  }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void change(const Weather& weather) {
    const std::lock_guard lock(mutex_);
    weather_ = weather;
  }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::uint64_t resets() const { return resets_; }

 private:
  Weather weather() {
    const std::lock_guard lock(mutex_);
    return weather_;
  }

  void accept() {
    const int ours = ::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC);
    if (ours < 0) return;
    const int theirs = connect_to_target(target_);
    if (theirs < 0) {
      ::close(ours);
      return;
    }
    Link& link = links_.emplace_back();
    link.sockets[0] = ours;
    link.sockets[1] = theirs;
    for (int i = 0; i < 2; ++i) {
      prepare(link.sockets[i]);
      Direction& direction = link.directions[i];
      direction.from = link.sockets[i];
      direction.to = link.sockets[1 - i];
      direction.readable =
          std::make_unique<Poll>(loop_, direction.from, [this, &link, i](int) { read(link, link.directions[i]); });
      direction.readable->watch(UV_READABLE);
    }
  }

  void read(Link& link, Direction& direction) {
    const Weather now = weather();
    std::vector<std::uint8_t> bytes(kRead);
    const ssize_t count = ::read(direction.from, bytes.data(), bytes.size());
    if (count < 0 && errno == EAGAIN) return;
    if (count > 0 && random_() % 1000 < now.resets_per_thousand) return reset(link);
    bytes.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    direction.ended = bytes.empty();
    direction.under_way += bytes.size();
    auto due = Clock::now() + now.latency;
    if (now.jitter.count() != 0)
      due += std::chrono::microseconds(random_() % static_cast<std::uint64_t>(now.jitter.count()));
    due = std::max(due, direction.last_due);
    if (now.bytes_per_second != 0) due += std::chrono::nanoseconds(bytes.size() * 1'000'000'000 / now.bytes_per_second);
    direction.last_due = due;
    direction.pieces.push_back({due, std::move(bytes)});
    if (direction.ended || direction.under_way > kMostUnderWay) direction.readable->watch(0);
    arm(Clock::now());  // what is over is removed from there, outside of its own callback
  }

  // Both sides see a reset where the system has one.
  void reset(Link& link) {
    const linger at_once{1, 0};
    for (const int socket : link.sockets) ::setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    for (Direction& direction : link.directions) direction.readable->watch(0);
    link.broken = true;
    ++resets_;
    arm(Clock::now());
  }

  void on_time() {
    std::uint64_t expirations = 0;
    while (::read(timer_, &expirations, sizeof expirations) > 0) {
    }
    auto next = Clock::time_point::max();
    const Weather now = weather();
    for (Link& link : links_)
      for (Direction& direction : link.directions) {
        while (!link.broken && !direction.pieces.empty() && direction.pieces.front().due <= Clock::now())
          if (!write_some(link, direction, now)) break;
        if (!link.broken && !direction.pieces.empty()) next = std::min(next, direction.pieces.front().due);
      }
    links_.remove_if(
        [](const Link& link) { return link.broken || (is_over(link.directions[0]) && is_over(link.directions[1])); });
    if (next != Clock::time_point::max()) arm(next);
  }
  static bool is_over(const Direction& direction) { return direction.ended && direction.pieces.empty(); }

  // False: not now.
  bool write_some(Link& link, Direction& direction, const Weather& now) {
    Piece& piece = direction.pieces.front();
    if (piece.bytes.empty()) {
      ::shutdown(direction.to, SHUT_WR);
      direction.pieces.pop_front();
      return true;
    }
    const std::size_t size = std::min(piece.bytes.size() - piece.written, std::max<std::size_t>(now.largest_write, 1));
    const ssize_t count = ::send(direction.to, piece.bytes.data() + piece.written, size, MSG_NOSIGNAL);
    if (count < 0 && errno == EAGAIN) {
      piece.due = Clock::now() + kFullSocket;
      return false;
    }
    if (count < 0) {
      link.broken = true;
      return false;
    }
    piece.written += static_cast<std::size_t>(count);
    if (piece.written < piece.bytes.size()) return true;
    direction.under_way -= piece.bytes.size();
    direction.pieces.pop_front();
    if (!direction.ended) direction.readable->watch(UV_READABLE);
    return true;
  }

  void arm(Clock::time_point when) {
    const auto left = std::max<std::chrono::nanoseconds>(when - Clock::now(), std::chrono::nanoseconds(1));
    itimerspec time{};
    time.it_value.tv_sec = left.count() / 1'000'000'000;
    time.it_value.tv_nsec = left.count() % 1'000'000'000;
    ::timerfd_settime(timer_, 0, &time, nullptr);
  }

  const std::string target_;
  std::mutex mutex_;  // guards weather_
  Weather weather_;
  std::mt19937_64 random_;
  std::atomic<std::uint64_t> resets_{0};
  uv_loop_t loop_{};
  uv_async_t stop_{};
  int timer_ = -1;
  int listening_ = -1;
  std::uint16_t port_ = 0;
  std::unique_ptr<Poll> timer_poll_, accept_poll_;
  std::list<Link> links_;
  std::thread thread_;
};

Relay::Relay(const std::string& target, Weather weather) : loop_(std::make_unique<Loop>(target, weather)) {}
Relay::~Relay() = default;
std::string Relay::endpoint() const { return "tcp:127.0.0.1:" + std::to_string(loop_->port()); }
void Relay::change(const Weather& weather) { loop_->change(weather); }
std::uint64_t Relay::resets() const { return loop_->resets(); }

}  // namespace p11shim
