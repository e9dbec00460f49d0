// One connection of one application: reads a hello, then one request at a time, and answers each. What comes from the other
// side is hostile until it has been validated; a malformed frame ends the connection, with a logged reason, and nobody else
// notices.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "proxyd/calls/client_call.h"
#include "proxyd/loop/bell.h"
#include "proxyd/loop/log_quota.h"
#include "proxyd/loop/turns.h"

namespace p11shim {

// The connections of one user. Shared by them: it lives as long as one of them does.
struct ConnectedUser {
  std::uint32_t connections = 0;
  std::uint64_t buffered = 0;  // bytes of messages that are under way
};

class Connection final : public RingWaiter, private Turns::Taker {
 public:
  // `ended` is called once nothing of it is under way any more; it may then be destroyed, but not from within the call.
  Connection(Services& services, Turns& turns, LogQuota& quota, int socket, std::optional<Peer> peer,
             std::shared_ptr<ConnectedUser> user, std::function<void(Connection&)> ended);
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // The application may have an area if it asks; `number` is to be its own.
  void allow_area(std::uint64_t number) { area_number_ = number; }
  // It may have rings if it asks.
  void allow_rings() { may_have_rings_ = true; }
  // No more requests; the one under way is answered.
  void drain();
  void trim_if_idle(std::uint64_t now_ms);
  // Why it is closed if what has not come in time is not there now; null: nothing is late.
  [[nodiscard]] const char* overdue(std::uint64_t now_ms) const;
  void close(const char* reason);
  [[nodiscard]] const std::optional<Peer>& peer() const { return peer_; }
  [[nodiscard]] bool busy() const { return call_.active(); }
  [[nodiscard]] const Application* application() const { return application_; }

 private:
  void on_ready(int events);
  void read();
  void next_frame();
  bool take_frame(std::span<const std::uint8_t> frame);
  bool take_hello(std::span<const std::uint8_t> frame);
  bool give_area();
  bool give_rings();
  bool give_bell();
  void on_ring() override;
  void on_turn() override { next_frame(); }
  bool may_buffer();
  void give_generations();
  void send_reply(const Reply& reply);
  bool answer_in_ring(const Reply& reply);
  void await_request();
  void refuse(const Hello& hello, CK_RV rv, const std::string& reason);

  [[nodiscard]] bool may_log(std::string_view kind) const;

  Services& services_;
  Turns& turns_;
  LogQuota& quota_;
  const int socket_;
  const std::size_t max_frame_;
  const std::shared_ptr<ConnectedUser> user_;
  const std::function<void(Connection&)> ended_;
  Poll poll_;
  std::optional<Peer> peer_;
  Application* application_ = nullptr;
  bool closing_ = false;  // ends as soon as no call is under way
  bool ended_told_ = false;
  bool draining_ = false;
  bool last_reply_ = false;  // ends when that is sent; the application may connect again
  std::uint64_t area_number_ = 0;
  bool may_have_rings_ = false;
  Rings rings_;
  std::unique_ptr<Bell> bell_;
  Ring replies_;
  bool ends_for_good_ = false;  // it said goodbye, or nonsense
  bool reading_ = false;        // frames are being taken from the buffer: no recursion
  Buffer input_;
  Buffer output_;  // head of a reply
  Buffer unsent_;
  std::uint64_t buffered_ = 0;  // of it, as its user was charged
  int generations_given_ = 0;
  const std::uint64_t opened_ms_;
  std::uint64_t last_used_ms_ = 0;
  std::size_t frame_size_ = 0;  // of the frame under way, at the front of input_
  ClientCall call_;
};

}  // namespace p11shim
