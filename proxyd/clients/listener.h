// Accepts applications: on a unix socket (made here, or passed by systemd) and, if configured, on loopback TCP.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "proxyd/clients/connection.h"

namespace p11shim {

class Listener {
 public:
  Listener(Services& services, const Config& config, LogQuota& quota);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // Throws std::runtime_error with words for the operator. `inherited`: sockets that systemd passed, instead of our own
  // unix socket.
  void listen(const std::vector<int>& inherited);
  // Stops accepting (connections wait in the backlog if systemd holds the socket) and ends connections that are idle;
  // `drained` is called when the last one is gone.
  void drain(std::function<void()> drained);

  // Connections that have been idle for a while give back what a large message took; those that never said who they are
  // are closed.
  void trim_idle(std::uint64_t now_ms);

  // "unix:/run/…", "tcp:127.0.0.1:9223": with the port that was chosen.
  [[nodiscard]] const std::vector<std::string>& endpoints() const { return endpoints_; }
  [[nodiscard]] std::size_t connections() const { return connections_.size(); }

 private:
  void add(int socket);
  void listen_tcp(const TcpAddress& address);
  void accept(int socket);
  [[nodiscard]] bool has_room(const std::optional<Peer>& peer);
  [[nodiscard]] bool gives_areas() const;
  void pause_accepting(const char* why);
  void resume_accepting();
  void ended(Connection& connection);

  Services& services_;
  const Config& config_;
  LogQuota& quota_;
  std::vector<int> sockets_;
  std::vector<std::unique_ptr<Poll>> polls_;
  std::vector<std::string> endpoints_;
  std::uint64_t areas_ = 0;
  std::string unix_path_;  // to be removed
  Turns turns_;
  std::unordered_map<const Connection*, std::unique_ptr<Connection>> connections_;
  std::vector<std::unique_ptr<Connection>> ended_;
  std::unordered_map<uid_t, std::shared_ptr<ConnectedUser>> users_;  // callers over TCP are kNobody
  Timer burial_;
  Timer pause_;                      // while no descriptors are left
  bool few_are_left_ = false;        // the last one that was accepted says so
  bool out_of_descriptors_ = false;  // since the log said so
  std::function<void()> drained_;
};

}  // namespace p11shim
