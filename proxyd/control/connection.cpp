#include "proxyd/control/connection.h"

#include <utility>

#include "proxyd/control/reply_line.h"

namespace p11shim {

namespace {

ControlConnection& connection_of(const void* data) { return *static_cast<ControlConnection*>(const_cast<void*>(data)); }

uv_handle_t* handle(uv_pipe_t& pipe) { return reinterpret_cast<uv_handle_t*>(&pipe); }
uv_stream_t* stream(uv_pipe_t& pipe) { return reinterpret_cast<uv_stream_t*>(&pipe); }

}  // namespace

ControlConnection::ControlConnection(Dispatch dispatch, Closed closed)
    : dispatch_(std::move(dispatch)), closed_(std::move(closed)) {}

std::shared_ptr<ControlConnection> ControlConnection::accept(uv_stream_t& listener, Dispatch dispatch, Closed closed) {
  const std::shared_ptr<ControlConnection> connection(
      new ControlConnection(std::move(dispatch), std::move(closed)));  // the constructor is private
  uv_pipe_init(listener.loop, &connection->pipe_, 0);
  connection->pipe_.data = connection.get();
  connection->self_ = connection;
  if (uv_accept(&listener, stream(connection->pipe_)) == 0) return connection;
  connection->closed_ = [](ControlConnection&) {};
  connection->close();
  return nullptr;
}

int ControlConnection::descriptor() const {
  uv_os_fd_t descriptor = -1;
  uv_fileno(reinterpret_cast<const uv_handle_t*>(&pipe_), &descriptor);
  return descriptor;
}

void ControlConnection::read() {
  const auto allocate = [](uv_handle_t* pipe, std::size_t, uv_buf_t* buffer) {
    auto& chunk = connection_of(pipe->data).chunk_;
    *buffer = uv_buf_init(chunk.data(), static_cast<unsigned>(chunk.size()));
  };
  const auto arrived = [](uv_stream_t* pipe, ssize_t length, const uv_buf_t*) {
    connection_of(pipe->data).on_read(length);
  };
  uv_read_start(stream(pipe_), allocate, arrived);
}

void ControlConnection::on_read(ssize_t length) {
  if (length == UV_EOF) {
    ended_ = true;
    return process();
  }
  if (length < 0) return close();
  input_.append(chunk_.data(), static_cast<std::size_t>(length));
  if (input_.size() >= Control::kMaxRequest) uv_read_stop(stream(pipe_));
  process();
}

void ControlConnection::process() {
  if (busy_ || refused_ || uv_is_closing(handle(pipe_))) return;
  const std::size_t end = input_.find('\n');
  if (end == std::string::npos) {
    if (input_.size() >= Control::kMaxRequest) {
      return refuse({"too_long", "a request may have " + std::to_string(Control::kMaxRequest) + " bytes",
                     "send one JSON object per line"});
    }
    if (ended_) close();
    return;
  }
  const std::string line = input_.substr(0, end);
  input_.erase(0, end + 1);
  if (!ended_ && input_.size() < Control::kMaxRequest) read();
  busy_ = true;
  answered_ = false;
  dispatch_(line, ControlReply(weak_from_this(), ++request_));
}

void ControlConnection::refuse(const ControlError& error) {
  refused_ = true;
  uv_read_stop(stream(pipe_));
  write(error_reply(error));
}

void ControlConnection::answer(std::uint64_t request, const nlohmann::json& reply) {
  if (request != request_ || !busy_ || std::exchange(answered_, true)) return;
  write(reply);
}

void ControlConnection::write(const nlohmann::json& reply) {
  if (uv_is_closing(handle(pipe_))) return;
  output_ = reply_line(reply);
  write_request_.data = this;
  const uv_buf_t buffer = uv_buf_init(output_.data(), static_cast<unsigned>(output_.size()));
  const auto written = [](uv_write_t* request, int result) { connection_of(request->data).on_written(result); };
  if (uv_write(&write_request_, stream(pipe_), &buffer, 1, written) != 0) close();
}

void ControlConnection::on_written(int result) {
  busy_ = false;
  if (result != 0 || refused_) return close();
  process();
}

void ControlConnection::close() {
  if (uv_is_closing(handle(pipe_))) return;
  uv_close(handle(pipe_), [](uv_handle_t* pipe) {
    const auto connection = std::exchange(connection_of(pipe->data).self_, nullptr);
    connection->closed_(*connection);
  });
}

ControlReply::ControlReply(std::weak_ptr<ControlConnection> connection, std::uint64_t request)
    : connection_(std::move(connection)), request_(request) {}

void ControlReply::ok(nlohmann::json result) const {
  if (const auto connection = connection_.lock()) connection->answer(request_, ok_reply(std::move(result)));
}

void ControlReply::fail(ControlError error) const {
  if (const auto connection = connection_.lock()) connection->answer(request_, error_reply(error));
}

}  // namespace p11shim
