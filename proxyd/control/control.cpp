#include "proxyd/control/control.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <memory>
#include <set>
#include <stdexcept>
#include <utility>

#include "proxyd/control/connection.h"
#include "proxyd/control/listening_socket.h"
#include "proxyd/control/peer.h"
#include "proxyd/control/request_line.h"
#include "proxyd/loop/log_quota.h"

namespace p11shim {

// Shared by Control, the listening handle and every connection: whichever libuv closes last lets it go.
class Control::Server : public std::enable_shared_from_this<Server> {
 public:
  Server(LogQuota& quota, ControlOptions options, ControlHandlers handlers)
      : quota_(quota), options_(std::move(options)), handlers_(std::move(handlers)) {}

  void listen(uv_loop_t& loop);
  void stop();

 private:
  void on_connection();
  bool may_talk(int descriptor) const;
  void dispatch(std::string_view line, const ControlReply& reply) const;
  void run(const ControlRequest& request, const ControlReply& reply) const;
  std::string command_names() const;

  LogQuota& quota_;
  const ControlOptions options_;
  const ControlHandlers handlers_;
  uv_pipe_t pipe_{};
  std::shared_ptr<Server> self_;  // while the handle is open
  std::set<std::shared_ptr<ControlConnection>> connections_;
};

void Control::Server::listen(uv_loop_t& loop) {
  const int descriptor = bind_unix_socket(options_.path, options_.mode, options_.group);
  uv_pipe_init(&loop, &pipe_, 0);
  pipe_.data = this;
  self_ = shared_from_this();
  int error = uv_pipe_open(&pipe_, descriptor);
  if (error != 0) ::close(descriptor);
  if (error == 0) {
    error = uv_listen(reinterpret_cast<uv_stream_t*>(&pipe_), kMaxConnections, [](uv_stream_t* listener, int status) {
      if (status == 0) static_cast<Server*>(listener->data)->on_connection();
    });
  }
  if (error == 0) return;
  stop();
  throw std::runtime_error("cannot listen on " + options_.path + ": " + uv_strerror(error));
}

void Control::Server::stop() {
  ::unlink(options_.path.c_str());
  const auto connections = connections_;
  for (const auto& connection : connections) connection->close();
  uv_close(reinterpret_cast<uv_handle_t*>(&pipe_),
           [](uv_handle_t* pipe) { static_cast<Server*>(pipe->data)->self_.reset(); });
}

void Control::Server::on_connection() {
  const auto self = shared_from_this();
  auto* listener = reinterpret_cast<uv_stream_t*>(&pipe_);
  const auto connection = ControlConnection::accept(
      *listener, [self](std::string_view line, const ControlReply& reply) { self->dispatch(line, reply); },
      [self](ControlConnection& closed) { self->connections_.erase(closed.shared_from_this()); });
  if (!connection) return;
  connections_.insert(connection);
  if (!may_talk(connection->descriptor())) {
    return connection->refuse({"not_permitted", "the control socket serves root, proxyd's user and its group only",
                               "run as one of them, or set the control socket's group in the configuration"});
  }
  if (connections_.size() > kMaxConnections) {
    return connection->refuse({"too_many_connections",
                               "there are already " + std::to_string(kMaxConnections) + " control connections",
                               "close some of them"});
  }
  connection->read();
}

bool Control::Server::may_talk(int descriptor) const {
  const auto peer = peer_of(descriptor);
  const bool allowed =
      peer && (peer->uid == 0 || peer->uid == ::geteuid() || (options_.group && peer->in_group(*options_.group)));
  if (!allowed && peer && quota_.allows("control: refused", static_cast<long>(peer->uid), uv_now(pipe_.loop)))
    quota_.log().warn("control: refused uid {} gid {} pid {}", peer->uid, peer->gid, peer->pid);
  return allowed;
}

void Control::Server::dispatch(std::string_view line, const ControlReply& reply) const {
  if (const auto request = read_request_line(line)) return run(*request, reply);
  reply.fail({"malformed", "a request is one JSON object per line with a \"command\" and, if it has any, \"arguments\"",
              R"(try {"command":"status"})"});
}

void Control::Server::run(const ControlRequest& request, const ControlReply& reply) const {
  const std::string& command = request.command;
  const auto handler = handlers_.find(command);
  if (handler == handlers_.end()) {
    return reply.fail({"unknown_command", "there is no command \"" + command + "\"", "use one of: " + command_names()});
  }
  try {
    handler->second(request.arguments, reply);
  } catch (const std::exception& error) {
    quota_.log().error("control: {} failed: {}", command, error.what());
    reply.fail({"internal", error.what(), "see proxyd's log"});
  }
}

std::string Control::Server::command_names() const {
  std::string names;
  for (const auto& [name, handler] : handlers_) names += (names.empty() ? "" : ", ") + name;
  return names;
}

Control::Control(uv_loop_t& loop, LogQuota& quota, ControlOptions options, ControlHandlers handlers)
    : server_(std::make_shared<Server>(quota, std::move(options), std::move(handlers))) {
  server_->listen(loop);
}

Control::~Control() { server_->stop(); }

}  // namespace p11shim
