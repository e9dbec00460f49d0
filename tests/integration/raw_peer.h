// Speaks the wire to proxyd without the shim: what a hostile or broken application could send.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <optional>

#include "calls/table.h"
#include "private_proxyd.h"
#include "wire/message.h"

namespace p11shim {

class RawPeer {
 public:
  explicit RawPeer(const PrivateProxyd& proxyd) : socket_(connect_to(proxyd.socket())) { EXPECT_GE(socket_, 0); }
  ~RawPeer() { ::close(socket_); }
  RawPeer(const RawPeer&) = delete;
  RawPeer& operator=(const RawPeer&) = delete;

  static Hello proper_hello(std::uint8_t instance = 1) {
    Hello hello;
    hello.fingerprint = kTableFingerprint;
    hello.word_size = sizeof(CK_ULONG);
    hello.instance.fill(instance);
    hello.pid = static_cast<std::uint32_t>(::getpid());
    hello.program = "raw peer";
    return hello;
  }

  void send(const Buffer& bytes) { send(bytes.bytes()); }
  void send(std::span<const std::uint8_t> bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return;  // proxyd has closed: the test looks at that
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
  }
  static Buffer frame(std::span<const std::uint8_t> content) {
    Buffer whole;
    for (std::size_t i = 0; i < kLengthPrefix; ++i) {
      const auto byte = static_cast<std::uint8_t>(content.size() >> (8 * i));
      whole.append(&byte, 1);
    }
    whole.append(content.data(), content.size());
    return whole;
  }

  // The content of the next frame; nothing if proxyd closed the connection.
  std::optional<std::vector<std::uint8_t>> receive() {
    while (input_.size() < kLengthPrefix || input_.size() < kLengthPrefix + load_length(input_.data())) {
      pollfd readable{socket_, POLLIN, 0};
      if (::poll(&readable, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count())) != 1) {
        ADD_FAILURE() << "neither an answer nor the end";
        return std::nullopt;
      }
      std::uint8_t buffer[4096];
      const ssize_t count = ::recv(socket_, buffer, sizeof buffer, 0);
      if (count <= 0) return std::nullopt;
      input_.append(buffer, static_cast<std::size_t>(count));
    }
    const std::size_t length = load_length(input_.data());
    std::vector<std::uint8_t> content(input_.data() + kLengthPrefix, input_.data() + kLengthPrefix + length);
    input_.consume(kLengthPrefix + length);
    return content;
  }
  bool closed() { return !receive().has_value(); }

  struct Greeting {
    CK_RV rv;
    Id128 secret;
    std::string reason;
    bool resumed;
  };
  std::optional<Greeting> greet(const Hello& hello = proper_hello()) {
    Buffer out;
    write_hello(out, hello);
    send(out);
    const auto content = receive();
    Welcome welcome;
    if (!content || !read_welcome(*content, welcome)) return std::nullopt;
    return Greeting{welcome.rv, welcome.secret, std::string(welcome.reason), welcome.resumed};
  }

  static Buffer request(std::uint32_t call, std::initializer_list<std::uint64_t> handles,
                        std::span<const std::uint8_t> body = {},
                        std::optional<CK_MECHANISM_TYPE> mechanism = std::nullopt) {
    Request request;
    request.id = 7;
    request.call = call;
    for (const std::uint64_t handle : handles) request.handles.add(handle);
    request.has_mechanism = mechanism.has_value();
    request.mechanism = mechanism.value_or(0);
    request.body = body;
    Buffer out;
    write_request_head(out, request);
    out.append(body.data(), body.size());
    return out;
  }
  struct Answer {
    CK_RV rv;
    std::vector<std::uint64_t> handles;
  };
  // Nothing: the connection was closed instead.
  std::optional<Answer> answer() {
    const auto content = receive();
    Reply reply;
    if (!content || !read_reply(*content, reply)) return std::nullopt;
    return Answer{reply.rv, {reply.handles.begin(), reply.handles.end()}};
  }
  // The area that proxyd gives; -1: it gives none, or closed the connection.
  int ask_for_area() {
    Buffer out;
    write_area_request(out);
    return ask_for_memory(out);
  }
  // The same of rings.
  int ask_for_rings() {
    Buffer out;
    write_rings_request(out);
    return ask_for_memory(out);
  }
  // What wakes proxyd when a request is in the ring.
  int ask_for_bell() {
    Buffer out;
    write_bell_request(out);
    return ask_for_memory(out);
  }
  int ask_for_memory(const Buffer& question) {
    send(question);
    pollfd readable{socket_, POLLIN, 0};
    if (::poll(&readable, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count())) != 1) return -1;
    std::uint8_t bytes[64];
    iovec part{bytes, sizeof bytes};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t got = ::recvmsg(socket_, &message, MSG_CMSG_CLOEXEC);
    const cmsghdr* header = got > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
    int memory = -1;
    if (header != nullptr) std::memcpy(&memory, CMSG_DATA(header), sizeof memory);
    return memory;
  }
  CK_SESSION_HANDLE open_session() {
    Buffer body;
    Out(body).uint(CKF_SERIAL_SESSION | CKF_RW_SESSION);
    send(request(number_of<&CK_FUNCTION_LIST_3_0::C_OpenSession>(), {0}, body.bytes()));
    const auto opened = answer();
    return opened && opened->rv == CKR_OK && opened->handles.size() == 1 ? opened->handles[0] : CK_INVALID_HANDLE;
  }

 private:
  int socket_;
  Buffer input_;
};

}  // namespace p11shim
