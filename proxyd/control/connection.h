// One client of the control socket: takes its lines one by one, has each answered, writes the answers.
//
// Invariants: at most one request is being answered or its answer written; input never exceeds one request's
// limit; so a client that sends without reading, or one that sends no end of line, costs a fixed amount of
// memory. The object keeps itself alive (self_) until libuv has closed its handle.
#pragma once

#include <uv.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "proxyd/control/control.h"

namespace p11shim {

class ControlConnection : public std::enable_shared_from_this<ControlConnection> {
 public:
  // Called with a request's line; answers through the reply.
  using Dispatch = std::function<void(std::string_view line, ControlReply reply)>;
  using Closed = std::function<void(ControlConnection&)>;

  // Accepts the waiting connection. None if there is none after all.
  static std::shared_ptr<ControlConnection> accept(uv_stream_t& listener, Dispatch dispatch, Closed closed);

  void read();
  void refuse(const ControlError& error);  // says why, then closes
  void close();                            // idempotent; `closed` is called once libuv has let go
  int descriptor() const;

 private:
  friend class ControlReply;

  ControlConnection(Dispatch dispatch, Closed closed);
  void on_read(ssize_t length);
  void process();
  void answer(std::uint64_t request, const nlohmann::json& reply);
  void write(const nlohmann::json& reply);
  void on_written(int result);

  uv_pipe_t pipe_{};
  uv_write_t write_request_{};
  Dispatch dispatch_;
  Closed closed_;
  std::shared_ptr<ControlConnection> self_;

  std::string input_;
  std::array<char, 4096> chunk_{};
  std::string output_;
  std::uint64_t request_ = 0;  // number of the latest request
  bool busy_ = false;          // it is being answered, or its answer written
  bool answered_ = false;
  bool ended_ = false;    // the client sends no more
  bool refused_ = false;  // closes when what it is told is written
};

}  // namespace p11shim
