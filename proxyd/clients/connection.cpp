#include "proxyd/clients/connection.h"

#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/problem.h"
#include "proxyd/loop/socket_io.h"

namespace p11shim {
namespace {
constexpr std::size_t kKeptBuffer = 4096;  // of an idle connection
constexpr std::uint64_t kIdleMs = 1000;
constexpr std::uint64_t kHelloMs = 10'000;
constexpr std::size_t kLargestHello = 1024;  // before anybody is known
constexpr int kFramesPerTurn = 8;            // then others have their turn
constexpr int kMostGenerations = 16;         // each occupies a descriptor until it is taken
constexpr std::size_t kGranted = 64 << 10;   // each connection may buffer so much, whatever else its user does

// Memory that was used for a message is given back later.
std::uint64_t held_by(const Buffer& buffer) { return buffer.empty() ? buffer.capacity() : buffer.size(); }
}  // namespace

Connection::Connection(Services& services, Turns& turns, LogQuota& quota, int socket, std::optional<Peer> peer,
                       std::shared_ptr<ConnectedUser> user, std::function<void(Connection&)> ended)
    : services_(services),
      turns_(turns),
      quota_(quota),
      socket_(socket),
      max_frame_(services.limits.max_frame),
      user_(std::move(user)),
      ended_(std::move(ended)),
      poll_(services.runtime.loop, socket, [this](int events) { on_ready(events); }),
      peer_(std::move(peer)),
      opened_ms_(services.runtime.now_ms()),
      call_(services, [this](const Reply& reply) { send_reply(reply); }) {
  poll_.watch(UV_READABLE);
}

Connection::~Connection() {
  services_.runtime.rings.remove(*this);
  turns_.remove(*this);
  user_->buffered -= buffered_;
  poll_.watch(0);
  if (application_ != nullptr) services_.applications.leave(*application_, ends_for_good_ || draining_);
  ::close(socket_);
}

void Connection::drain() {
  draining_ = true;
  if (!call_.active() && unsent_.empty()) close(nullptr);
}

void Connection::on_ready(int events) {
  services_.runtime.rings.wake();
  if ((events & UV_WRITABLE) != 0) {
    if (!send_buffered({socket_, socket_}, unsent_)) return close(nullptr);
    if (!unsent_.empty()) return;
    if ((draining_ || last_reply_) && !call_.active()) return close(nullptr);
    poll_.watch(UV_READABLE);
    next_frame();  // it may have come while nobody took the reply
  }
  ++services_.runtime.events;
  if ((events & UV_READABLE) != 0) read();
}

void Connection::read() {
  if (closing_) return;
  last_used_ms_ = services_.runtime.now_ms();
  // One request at a time: whatever the application sends meanwhile waits in the socket.
  if (call_.active()) return poll_.watch(0);
  if (!waits_for_turn()) next_frame();
}

// False: it, and with it its user, has more under way than it may.
bool Connection::may_buffer() {
  const std::uint64_t most = services_.limits.max_buffered_per_user;
  if (input_.empty() && user_->buffered > most / 2) input_.trim(kKeptBuffer);
  const std::uint64_t now = held_by(input_) + held_by(unsent_);
  user_->buffered += now - buffered_;
  buffered_ = now;
  return buffered_ <= kGranted || user_->buffered <= most;
}

void Connection::next_frame() {
  if (reading_) return;
  reading_ = true;
  // Whoever does not take a reply is not served on: its replies would pile up here.
  for (int taken = 0; !closing_ && !draining_ && !last_reply_ && !call_.active() && unsent_.empty(); ++taken) {
    if (taken == kFramesPerTurn) {
      turns_.add(*this);
      break;
    }
    const std::size_t largest = application_ != nullptr ? max_frame_ : kLargestHello;
    input_.mark_secret();  // nobody knows yet what comes
    const Received received = receive_frame({socket_, socket_}, input_, largest);
    if (!may_buffer()) {
      close("its user has more messages under way than max_buffered_per_user allows");
      break;
    }
    if (received == Received::partial) break;
    if (received == Received::closed) {
      close(nullptr);
      break;
    }
    if (received == Received::malformed) {
      close("a frame is empty or too long");
      break;
    }
    frame_size_ = kLengthPrefix + load_length(input_.data());
    if (!take_frame(input_.bytes().subspan(kLengthPrefix, frame_size_ - kLengthPrefix))) {
      close("a frame is malformed or out of order");
      break;
    }
    if (input_.empty()) break;  // nothing more has come so far
  }
  reading_ = false;
}

bool Connection::take_frame(std::span<const std::uint8_t> frame) {
  if (application_ == nullptr) {
    if (message_kind(frame) != MessageKind::hello || !take_hello(frame)) return false;
    input_.consume(frame_size_);
    return true;
  }
  switch (message_kind(frame)) {
    case MessageKind::request:
      // One that came over the socket while another one is in the ring is one too many.
      return services_.runtime.rings.remove(*this) && call_.begin(*application_, frame);
    case MessageKind::rings_request:
      if (!give_rings()) return false;
      input_.consume(frame_size_);
      return true;
    case MessageKind::bell_request:
      if (!give_bell()) return false;
      input_.consume(frame_size_);
      return true;
    case MessageKind::generations_request:
      if (frame_size_ != kLengthPrefix + 2 || generations_given_++ == kMostGenerations) return false;
      give_generations();
      input_.consume(frame_size_);
      return true;
    case MessageKind::area_request:
      if (!give_area()) return false;
      input_.consume(frame_size_);
      return true;
    case MessageKind::goodbye:
      ends_for_good_ = true;
      close(nullptr);
      return true;
    default: return false;
  }
}

bool Connection::take_hello(std::span<const std::uint8_t> frame) {
  Hello hello;
  if (!read_hello(frame, hello)) return false;
  if (hello.version != kProtocolVersion)
    return refuse(hello, CKR_DEVICE_ERROR, "this proxyd speaks protocol version " + std::to_string(kProtocolVersion)),
           true;
  if (hello.fingerprint != kTableFingerprint)
    return refuse(hello, CKR_DEVICE_ERROR, "shim and proxyd were built from different versions"), true;
  if (hello.word_size != sizeof(CK_ULONG))
    return refuse(hello, CKR_DEVICE_ERROR, "this proxyd serves applications with 64-bit CK_ULONG only"), true;
  bool resumed = false;
  CK_RV rv = CKR_OK;
  std::string reason;
  application_ = services_.applications.join(hello, peer_, resumed, rv, reason);
  if (application_ == nullptr) return refuse(hello, rv, reason), true;
  ++application_->connections;
  if (application_->buffered == nullptr) application_->buffered = {user_, &user_->buffered};
  if (services_.runtime.log.should_log(spdlog::level::debug))
    services_.runtime.log.debug("a connection of {} (pid {}), an application that is {}", in_quotes(hello.program),
                                peer_ ? static_cast<std::uint32_t>(peer_->pid) : hello.pid, resumed ? "known" : "new");
  Welcome welcome;
  welcome.fingerprint = kTableFingerprint;
  welcome.rv = CKR_OK;
  welcome.secret = application_->secret;
  welcome.max_frame = max_frame_;
  welcome.resumed = resumed;
  output_.clear();
  output_.mark_secret();
  write_welcome(output_, welcome);
  if (!send_parts({socket_, socket_}, output_, {}, unsent_)) close(nullptr);
  else if (!unsent_.empty()) poll_.watch(UV_WRITABLE);
  output_.clear();
  return true;
}

void Connection::refuse(const Hello& hello, CK_RV rv, const std::string& reason) {
  if (may_log("refused a program"))
    services_.runtime.log.warn("refused program {} (pid {}): {}", in_quotes(hello.program),
                               peer_ ? static_cast<std::uint32_t>(peer_->pid) : hello.pid, reason);
  Welcome welcome;
  welcome.fingerprint = kTableFingerprint;
  welcome.rv = rv;
  welcome.reason = reason;
  output_.clear();
  write_welcome(output_, welcome);
  send_parts({socket_, socket_}, output_, {}, unsent_);
  close(nullptr);
}

// Over TCP there is nothing to share.
void Connection::give_generations() {
  output_.clear();
  write_generations_answer(output_);
  if (!send_with_descriptor(socket_, output_.data(), output_.size(), peer_ ? services_.generations.descriptor() : -1))
    close(nullptr);
  output_.clear();
}

// Once per connection. What cannot be had is not needed: then all data travels in the messages.
bool Connection::give_area() {
  if (call_.has_area() || frame_size_ != kLengthPrefix + 2) return false;
  const int memory = area_number_ != 0 ? services_.runtime.descriptors.allow(Area::create()) : -1;
  std::shared_ptr<const ClientArea> area;
  if (memory >= 0) area = std::make_shared<const ClientArea>(area_number_, memory);
  output_.clear();
  write_area_answer(output_, area != nullptr ? Area::kSize : 0);
  if (!send_with_descriptor(socket_, output_.data(), output_.size(), memory)) close(nullptr);
  output_.clear();
  call_.use_area(std::move(area));
  return true;
}

// Once per connection, as with areas.
bool Connection::give_rings() {
  if (rings_.is_mapped() || frame_size_ != kLengthPrefix + 2) return false;
  const int memory = may_have_rings_ ? Rings::create(1) : -1;
  const bool is_given = rings_.map(memory, 1);
  output_.clear();
  write_rings_answer(output_, is_given ? Rings::size_of(1) : 0);
  if (!send_with_descriptor(socket_, output_.data(), output_.size(), is_given ? memory : -1)) close(nullptr);
  output_.clear();
  if (memory >= 0) ::close(memory);
  incoming_ = rings_.pair(0).requests;
  replies_ = rings_.pair(0).replies;
  await_request();
  return true;
}

// Once per connection that has rings.
bool Connection::give_bell() {
  if (!rings_.is_mapped() || bell_ != nullptr || frame_size_ != kLengthPrefix + 2) return false;
  if (!services_.runtime.rings.remove(*this)) return false;  // a request in the ring was not due yet
  bell_ = Bell::make(services_.runtime.loop, services_.runtime.rings);
  if (bell_ != nullptr && services_.runtime.descriptors.keeps(bell_->descriptor())) bell_.reset();
  has_bell_ = bell_ != nullptr;
  output_.clear();
  write_bell_answer(output_);
  const int descriptor = bell_ != nullptr ? bell_->descriptor() : -1;
  if (!send_with_descriptor(socket_, output_.data(), output_.size(), descriptor)) close(nullptr);
  output_.clear();
  await_request();
  return true;
}

// A request is in the ring. One that is behind other bytes, or comes while another one is under way, is out of order.
void Connection::on_ring() {
  ++services_.runtime.events;
  if (closing_ || draining_) return;  // it was never taken, so the application may ask somebody else
  last_used_ms_ = services_.runtime.now_ms();
  if (call_.active() || reading_ || !input_.empty() || !unsent_.empty()) return close("a request is out of order");
  input_.mark_secret();
  if (!incoming_.take(input_)) return close("a message in its memory is none");
  services_.runtime.rings.client_core = incoming_.core();
  frame_size_ = input_.size();
  const auto frame = input_.bytes().subspan(kLengthPrefix);
  reading_ = true;
  const bool is_good = message_kind(frame) == MessageKind::request && call_.begin(*application_, frame);
  reading_ = false;
  if (!is_good) close("a frame is malformed or out of order");
}

void Connection::await_request() {
  if (incoming_ && !closing_ && !draining_ && !last_reply_ && unsent_.empty()) services_.runtime.rings.add(*this);
}

bool Connection::answer_in_ring(const Reply& reply) {
  if (!replies_) return false;
  replies_.tell_cores(this_core(), services_.runtime.rings.lane_core);
  return unsent_.empty() && replies_.put(output_.bytes(), reply.body);
}

void Connection::send_reply(const Reply& reply) {
  output_.clear();
  // The request was answered: its bytes, which may be secrets, go now.
  if (input_.size() <= frame_size_) input_.clear();
  else input_.consume(frame_size_);
  // What the module still does to the area must not meet a later call's data.
  last_reply_ |= call_.area_is_lost();
  if (call_.malformed()) {
    close("a request's arguments are malformed");
  } else if (!closing_) {
    if (input_.empty()) await_request();  // before whoever is answered can call again
    write_reply_head(output_, reply);
    if (!answer_in_ring(reply) && !send_parts({socket_, socket_}, output_, reply.body, unsent_)) close(nullptr);
  }
  output_.mark_secret();
  output_.clear();
  if (!may_buffer()) close("its user has more replies waiting than max_buffered_per_user allows");
  if (closing_ || ((draining_ || last_reply_) && unsent_.empty())) return close(nullptr);
  poll_.watch(unsent_.empty() ? UV_READABLE : UV_WRITABLE);
  // Another frame may be in the buffer already; the loop that took this one goes on, or nobody does.
  if (!reading_ && !input_.empty()) next_frame();
}

void Connection::trim_if_idle(std::uint64_t now_ms) {
  if (call_.active() || !unsent_.empty() || now_ms - last_used_ms_ < kIdleMs) return;
  if (input_.empty()) input_.trim(kKeptBuffer);
  output_.clear();
  output_.trim(kKeptBuffer);
  call_.trim();
  may_buffer();  // less than before
}

const char* Connection::overdue(std::uint64_t now_ms) const {
  if (closing_) return nullptr;
  if (application_ == nullptr) return now_ms - opened_ms_ >= kHelloMs ? "it does not say who it is" : nullptr;
  const bool is_half = !input_.empty() && !call_.active() && unsent_.empty() && !waits_for_turn();
  const auto longest = static_cast<std::uint64_t>(services_.limits.deadline.count());
  return is_half && now_ms - last_used_ms_ >= longest ? "half a frame has come, and no more" : nullptr;
}

bool Connection::may_log(std::string_view kind) const {
  return quota_.allows(kind, peer_ ? static_cast<long>(peer_->uid) : -1, services_.runtime.now_ms());
}

void Connection::close(const char* reason) {
  if (reason != nullptr && may_log(reason))
    services_.runtime.log.warn("closed the connection of pid {} (uid {}): {}", peer_ ? peer_->pid : 0,
                               peer_ ? static_cast<long>(peer_->uid) : -1L, reason);
  ends_for_good_ |= reason != nullptr;
  closing_ = true;
  services_.runtime.rings.remove(*this);
  turns_.remove(*this);
  poll_.watch(0);
  if (call_.active() || std::exchange(ended_told_, true)) return;
  ended_(*this);
}

}  // namespace p11shim
