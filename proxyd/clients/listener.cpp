#include "proxyd/clients/listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "proxyd/control/listening_socket.h"
#include "proxyd/loop/socket_io.h"

namespace p11shim {
namespace {

constexpr int kAcceptsPerTurn = 64;  // then others have their turn
constexpr std::chrono::milliseconds kPause{100};
constexpr uid_t kNobody = static_cast<uid_t>(-1);

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what + ": " + std::strerror(errno)); }

std::string endpoint_of(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return "?";
  char text[INET6_ADDRSTRLEN] = {};
  if (address.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(address);
    ::inet_ntop(AF_INET, &in.sin_addr, text, sizeof text);
    return std::string("tcp:") + text + ":" + std::to_string(ntohs(in.sin_port));
  }
  if (address.ss_family == AF_INET6) {
    const auto& in = reinterpret_cast<const sockaddr_in6&>(address);
    ::inet_ntop(AF_INET6, &in.sin6_addr, text, sizeof text);
    return std::string("tcp:[") + text + "]:" + std::to_string(ntohs(in.sin6_port));
  }
  return std::string("unix:") + reinterpret_cast<const sockaddr_un&>(address).sun_path;
}

}  // namespace

Listener::Listener(Services& services, const Config& config, LogQuota& quota)
    : services_(services),
      config_(config),
      quota_(quota),
      turns_(services.runtime.loop),
      burial_(services.runtime.loop,
              [this] {
                ended_.clear();
                if (drained_ && connections_.empty()) std::exchange(drained_, nullptr)();
              }),
      pause_(services.runtime.loop, [this] { resume_accepting(); }) {}

Listener::~Listener() {
  polls_.clear();
  for (const int socket : sockets_) ::close(socket);
  if (!unix_path_.empty()) ::unlink(unix_path_.c_str());
}

void Listener::listen(const std::vector<int>& inherited) {
  for (const int socket : inherited) add(socket);
  if (inherited.empty() && !config_.listen.unix_path.empty()) {
    const int socket = bind_unix_socket(config_.listen.unix_path, config_.listen.mode, group_id(config_.listen.group));
    unix_path_ = config_.listen.unix_path;
    if (::listen(socket, static_cast<int>(config_.listen.backlog)) != 0) fail("cannot listen on " + unix_path_);
    add(socket);
  }
  if (config_.listen.tcp) listen_tcp(*config_.listen.tcp);
  if (sockets_.empty()) throw std::runtime_error("nothing to listen on: [listen] names neither unix nor tcp");
}

void Listener::listen_tcp(const TcpAddress& address) {
  sockaddr_storage storage{};
  socklen_t size = 0;
  auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
  auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
  if (::inet_pton(AF_INET, address.host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(address.port);
    size = sizeof v4;
  } else if (::inet_pton(AF_INET6, address.host.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(address.port);
    size = sizeof v6;
  }
  if (size == 0 || !address.is_loopback())
    throw std::runtime_error("only loopback addresses may be listened on: " + to_string(address));
  const int socket = ::socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const int on = 1;
  if (socket < 0 || ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      ::bind(socket, reinterpret_cast<sockaddr*>(&storage), size) != 0 ||
      ::listen(socket, static_cast<int>(config_.listen.backlog)) != 0)
    fail("cannot listen on " + to_string(address));
  add(socket);
}

void Listener::add(int socket) {
  sockets_.push_back(socket);
  endpoints_.push_back(endpoint_of(socket));
  polls_.push_back(std::make_unique<Poll>(services_.runtime.loop, socket, [this, socket](int) { accept(socket); }));
  polls_.back()->watch(UV_READABLE);
}

void Listener::accept(int listening) {
  const Descriptors& descriptors = services_.runtime.descriptors;
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    if (few_are_left_ && descriptors.keeps_next(listening))
      return pause_accepting("the descriptors that are left are for workers");
    const int socket = ::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (socket < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
      return pause_accepting(std::strerror(errno));
    if (socket < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (socket < 0) return;  // nobody waits
    few_are_left_ = descriptors.keeps(socket + 1);
    if (std::exchange(out_of_descriptors_, false)) services_.runtime.log.info("connections are accepted again");
    std::optional<Peer> peer = peer_of(socket);
    if (!has_room(peer)) {
      ::close(socket);
      continue;
    }
    std::shared_ptr<ConnectedUser>& user = users_[peer ? peer->uid : kNobody];
    if (user == nullptr) user = std::make_shared<ConnectedUser>();
    ++user->connections;
    const int on = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // a unix socket refuses it; it needs it not
    enlarge_buffers(socket);
    auto connection = std::make_unique<Connection>(services_, turns_, quota_, socket, std::move(peer), user,
                                                   [this](Connection& each) { ended(each); });
    if (connection->peer() && gives_areas()) connection->allow_area(++areas_);
    if (connection->peer() && config_.limits.rings) connection->allow_rings();
    connections_.emplace(connection.get(), std::move(connection));
  }
}

// Data in an area is not limited by max_frame.
bool Listener::gives_areas() const { return config_.listen.shared_memory && config_.limits.max_frame >= Area::kSize; }

bool Listener::has_room(const std::optional<Peer>& peer) {
  const long uid = peer ? static_cast<long>(peer->uid) : -1;
  const std::uint64_t now = services_.runtime.now_ms();
  if (connections_.size() >= config_.listen.max_connections) {
    if (quota_.allows("refused a connection: max_connections", uid, now))
      services_.runtime.log.warn("refused a connection: {} are open, as many as max_connections allows",
                                 connections_.size());
    return false;
  }
  const auto own = users_.find(peer ? peer->uid : kNobody);
  if (own == users_.end() || own->second->connections < config_.listen.max_connections_per_user) return true;
  if (quota_.allows("refused a connection: max_connections_per_user", uid, now))
    services_.runtime.log.warn(
        "refused a connection of uid {}: {} are open, as many as max_connections_per_user allows", uid,
        own->second->connections);
  return false;
}

// Those who wait in the backlog go on waiting. Without this the loop would spin: the socket stays readable.
void Listener::pause_accepting(const char* why) {
  if (!std::exchange(out_of_descriptors_, true)) services_.runtime.log.error("no connection can be accepted: {}", why);
  for (const auto& poll : polls_) poll->watch(0);
  pause_.start(kPause);
}

void Listener::resume_accepting() {
  for (const auto& poll : polls_) poll->watch(UV_READABLE);
}

void Listener::ended(Connection& connection) {
  const auto found = connections_.find(&connection);
  if (found == connections_.end()) return;
  const auto own = users_.find(connection.peer() ? connection.peer()->uid : kNobody);
  if (own != users_.end() && --own->second->connections == 0) users_.erase(own);
  ended_.push_back(std::move(found->second));
  connections_.erase(found);
  burial_.start(std::chrono::milliseconds(0));
}

void Listener::trim_idle(std::uint64_t now_ms) {
  std::vector<Connection*> overdue;
  for (const auto& [address, connection] : connections_) {
    connection->trim_if_idle(now_ms);
    if (connection->overdue(now_ms) != nullptr) overdue.push_back(connection.get());
  }
  for (Connection* connection : overdue) connection->close(connection->overdue(now_ms));
}

void Listener::drain(std::function<void()> drained) {
  polls_.clear();
  pause_.stop();
  drained_ = std::move(drained);
  std::vector<Connection*> all;
  for (const auto& [address, connection] : connections_) all.push_back(connection.get());
  for (Connection* connection : all) connection->drain();
  burial_.start(std::chrono::milliseconds(0));
}

}  // namespace p11shim
