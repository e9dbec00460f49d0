// The control socket: one JSON request per line, one JSON reply per line, in order.
//
//   {"command":"status","arguments":{}}  →  {"ok":true,"result":{…}}
//                                       or  {"ok":false,"error":{"code":"…","message":"…","fix":"…"}}
//
// Only root, proxyd's own user and members of the configured group are served, as the kernel attests them. A
// connection has one request in flight; the next line waits in its buffer, which is bounded. Replies may come
// later than the handler returns, and may outlive the connection, in which case they go nowhere.
#pragma once

#include <sys/types.h>
#include <uv.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace p11shim {

class LogQuota;

struct ControlError {
  std::string code;  // stable, for programs: "unknown_command"
  std::string message;
  std::string fix;
};

class ControlConnection;

// Answers one request, once. Copyable so that it fits std::function; the first answer counts.
class ControlReply {
 public:
  void ok(nlohmann::json result) const;
  void fail(ControlError error) const;

 private:
  friend class ControlConnection;
  explicit ControlReply(std::weak_ptr<ControlConnection> connection, std::uint64_t request);
  std::weak_ptr<ControlConnection> connection_;
  std::uint64_t request_;
};

// `arguments` is always an object. An exception that leaves a handler becomes the error "internal".
using ControlHandler = std::function<void(const nlohmann::json& arguments, ControlReply reply)>;
using ControlHandlers = std::map<std::string, ControlHandler, std::less<>>;

struct ControlOptions {
  std::string path;
  mode_t mode = 0660;
  std::optional<gid_t> group;  // owns the socket and may talk to it
};

class Control {
 public:
  static constexpr std::size_t kMaxRequest = 64 << 10;
  static constexpr std::size_t kMaxConnections = 64;

  // Listens at once. Throws std::runtime_error with words for the operator (path too long, in use by a living
  // proxyd, no permission). A file left by a dead proxyd is replaced.
  // The process must ignore SIGPIPE: libuv writes to clients that may have gone.
  Control(uv_loop_t& loop, LogQuota& quota, ControlOptions options, ControlHandlers handlers);
  ~Control();  // closes everything and removes the file; the loop must run once more for libuv to let go
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

 private:
  class Server;
  std::shared_ptr<Server> server_;  // shared with its handles, which libuv closes later
};

}  // namespace p11shim
