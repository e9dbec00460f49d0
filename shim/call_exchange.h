// One request and its reply over one connection, with buffers that are used again for the next call: in the
// steady state a small call allocates nothing. Used by one thread at a time.
#pragma once

#include <chrono>

#include "calls/stub.h"
#include "shim/dialer.h"
#include "shim/operations.h"
#include "shim/socket.h"
#include "wire/ring.h"
#include "wire/spin.h"

namespace p11shim {

class Application;

class CallExchange final : public Exchange {
 public:
  explicit CallExchange(Application& application);

  // Before a call. `deadline` is what proxyd is told: 0 leaves it to proxyd.
  void begin(std::chrono::milliseconds deadline);
  // After a call, however it ended. `secret`: the answer may have held keys or plain text.
  void end(bool secret) noexcept;

  // The first large message on a connection travels whole; then there is an area for those that follow.
  Bulk* open_bulk() override;
  Bulk* bulk() override { return area_connection_ == socket_.connection() && area_.is_mapped() ? &bulk_ : nullptr; }
  Request& request() override { return request_; }
  Buffer& body() override { return body_; }
  bool perform() override;
  Reply& reply() override { return reply_; }
  [[nodiscard]] CK_RV failure() const override { return failure_; }
  void reject_reply() override;

  // The Init that goes first with this call; none unless its `call` is set. Forgotten at the call's end.
  [[nodiscard]] WaitingInit& lead() { return lead_; }
  // The last request's Init failed, so that the call itself was not executed.
  [[nodiscard]] bool init_failed() const { return init_failed_; }
  // An Init that waited, as a call of its own; before begin().
  CK_RV perform_alone(CK_SESSION_HANDLE session, const WaitingInit& init);

  // Types of attributes that the next request asks for along with its objects. Forgotten at the call's end.
  [[nodiscard]] Buffer& wanted() { return wanted_; }
  // A descriptor of proxyd's page of generations, or -1. Not during a call.
  int ask_for_generations();
  // A session that was kept, by proxyd's handle; before begin().
  void close_kept(CK_SESSION_HANDLE wire);
  // Parts that were gathered, as a call of their own; before begin().
  CK_RV perform_part(CK_SESSION_HANDLE session, std::uint32_t call, std::span<const std::uint8_t> part);

  // In a forked child.
  void close_inherited() {
    socket_.close_inherited();
    rings_.close_bells();
  }
  [[nodiscard]] Socket& socket() { return socket_; }
  [[nodiscard]] const Dialer::Line& line() const { return line_; }
  void connected(const Dialer::Line& line) { line_ = line; }

  CallExchange* next = nullptr;  // the application's lists of exchanges
  CallExchange* next_idle = nullptr;
  bool is_idle = false;

 private:
  void open_area();
  void open_rings_if_worth_it();
  void open_rings();
  bool ask(const Buffer& question, int& descriptor);
  int ask_for(void (*write)(Buffer&), MessageKind answer);
  bool put_request_in_line();
  void clear_area(bool secret_answer);
  Transfer transfer();
  Transfer send_request();
  Transfer receive_reply(bool looks);
  [[nodiscard]] RingPair rings() const;
  bool looks_in_ring();
  void fail(Transfer result);
  void log_message() const noexcept;

  Application& application_;
  Socket socket_;
  Dialer::Line line_{};
  std::chrono::milliseconds patience_{0};  // with a proxyd that gives no sign of life
  Request request_;
  Reply reply_;
  WaitingInit lead_;
  bool init_failed_ = false;
  bool names_wire_ = false;  // the request's session is named as proxyd does already
  Buffer head_, body_, answer_, wanted_;
  CK_RV failure_ = CKR_OK;
  Area area_;
  Bulk bulk_;
  std::uint64_t area_connection_ = 0;  // on which proxyd gave it
  bool wants_area_ = false;
  int area_attempts_ = 3;      // left, with a proxyd that hangs up when it is asked
  std::size_t bulk_sent_ = 0;  // what the request uses of the area; behind it is the answer's part
  Rings rings_;
  std::uint64_t calls_connection_ = 0;  // of which calls_ are counted
  unsigned calls_ = 0;
  std::uint64_t rings_connection_ = 0;  // on which proxyd gave them
  int rings_attempts_ = 3;              // as with areas
  int bell_attempts_ = 3;
  bool sent_in_ring_ = false;
  Spin spin_;
  bool in_flight_ = false;  // a request was sent whose reply has not been read to its end
};

}  // namespace p11shim
