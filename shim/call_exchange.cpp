#include "shim/call_exchange.h"

#include <algorithm>

#include <sys/stat.h>
#include <unistd.h>

#include "shim/application.h"
#include "shim/log.h"
#include "shim/return_codes.h"
#include "wire/hex.h"

namespace p11shim {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kGrace = std::chrono::seconds(5);  // proxyd keeps the deadline; this is for one that does not
constexpr milliseconds kWithoutDeadline = std::chrono::minutes(10);  // key generation, whose limit only proxyd knows
constexpr milliseconds kLongestDoze{20};                   // the socket tells when proxyd is gone, the ring does not
constexpr unsigned kCallsBeforeRings = 8;                  // on a connection: a short life needs none
constexpr std::size_t kKeptMemory = std::size_t{2} << 20;  // bytes for each buffer of an idle exchange

}  // namespace

CallExchange::CallExchange(Application& application) : application_(application), spin_(application.longest_spin()) {}

void CallExchange::begin(milliseconds deadline) {
  request_.deadline_ms = static_cast<std::uint32_t>(deadline.count());
  request_.has_mechanism = false;
  request_.init = 0;
  request_.ends = false;
  request_.handles.clear();
  init_failed_ = false;
  names_wire_ = false;
  bulk_.begin();
  patience_ = deadline.count() == 0 ? kWithoutDeadline : deadline + kGrace;
  failure_ = codes::kInternal;
}

void CallExchange::end(bool secret) noexcept {
  if (in_flight_) socket_.close();  // an exception left in the middle
  in_flight_ = false;
  clear_area(secret);
  if (secret) answer_.mark_secret();
  lead_.clear();
  wanted_.clear();
  for (Buffer* buffer : {&body_, &answer_}) {
    buffer->clear();
    buffer->trim(kKeptMemory);
  }
}

Bulk* CallExchange::open_bulk() {
  if (wants_area_ && bulk() == nullptr && socket_.is_open()) open_area();
  wants_area_ = false;
  return bulk();
}

RingPair CallExchange::rings() const { return rings_connection_ == socket_.connection() ? rings_.pair(0) : RingPair{}; }

void CallExchange::open_rings_if_worth_it() {
  if (!application_.config().rings || !socket_.is_open() || !socket_.is_local()) return;
  if (calls_connection_ != socket_.connection()) calls_ = 0;
  calls_connection_ = socket_.connection();
  if (calls_ < kCallsBeforeRings) ++calls_;
  else if (rings_connection_ != socket_.connection() && rings_attempts_ > 0) open_rings();
}

void CallExchange::open_rings() {
  Buffer question;
  write_rings_request(question);
  int memory = -1;
  std::uint64_t size = 0;
  const bool answered = ask(question, memory) && read_rings_answer(answer_.bytes().subspan(kLengthPrefix), size);
  answer_.clear();
  if (!answered) {
    socket_.close();
    --rings_attempts_;
  }
  if (!answered || size != Rings::size_of(1) || !rings_.map(memory, 1)) rings_.unmap();
  if (memory >= 0) ::close(memory);
  rings_connection_ = socket_.connection();  // also without: they are asked for once
  if (!rings_.is_mapped() || bell_attempts_ == 0) return;
  const int bell = ask_for(&write_bell_request, MessageKind::bell_answer);
  const int kept = keep_descriptor(bell);
  rings_.ring_for_requests(kept);
  if (bell >= 0 && kept < 0) socket_.close();  // proxyd would sleep where nobody can wake it
  if (!socket_.is_open()) --bell_attempts_;
}

// proxyd may have none to give: then everything goes on as before.
void CallExchange::open_area() {
  head_.clear();
  write_area_request(head_);
  int memory = -1;
  std::uint64_t size = 0;
  const bool answered = ask(head_, memory) && read_area_answer(answer_.bytes().subspan(kLengthPrefix), size);
  if (!answered) {
    socket_.close();
    --area_attempts_;
  }
  // A mapping of another size than the memory's would be fatal.
  struct stat status {};
  const bool fits = memory >= 0 && fstat(memory, &status) == 0 && size == Area::kSize &&
                    static_cast<std::uint64_t>(status.st_size) == size;
  if (fits && area_.map(memory)) bulk_.attach(area_.bytes());
  else area_.unmap();
  if (memory >= 0) ::close(memory);
  area_connection_ = socket_.connection();  // also without one: it is asked for once
}

// The connection for which the request was written is gone, and the area with it.
bool CallExchange::put_request_in_line() {
  Buffer whole;
  failure_ = codes::kTooLarge;
  if (!put_in_line(request_.body, area_.bytes(), line_.max_frame - limits::kFrameOverhead, whole)) return false;
  body_.swap(whole);
  request_.body = body_.bytes();
  head_.clear();
  write_request_head(head_, request_);
  return true;
}

// What is plain text is wiped; both sides had it, and this one has it still.
void CallExchange::clear_area(bool secret_answer) {
  const std::size_t used = std::min(bulk_.taken(), area_.bytes().size());
  const std::size_t sent = std::min(std::exchange(bulk_sent_, 0), used);
  if (used == 0) return;
  constexpr Operation kTakesPlainText = Operation::encrypt | Operation::message_encrypt;
  if ((call_info(request_.call)->policy.operation & kTakesPlainText) != Operation::none)
    wipe(area_.bytes().data(), sent);
  if (secret_answer) wipe(area_.bytes().data() + sent, used - sent);
  if (used > kKeptMemory) area_.trim(kKeptMemory);
  bulk_.begin();
}

bool CallExchange::perform() {
  open_rings_if_worth_it();
  ++request_.id;
  request_.trace = application_.next_trace();
  if (!names_wire_ && !request_.handles.empty() && !call_info(request_.call)->policy.slot)
    request_.handles[0] = application_.sessions().wire_handle(request_.handles[0]);
  bulk_sent_ = bulk_.taken();
  if (lead_.call != 0) {
    request_.init = lead_.call;
    request_.init_body = lead_.body.bytes();
    request_.ends = lead_.ends;
    request_.has_mechanism = lead_.operation != Operation::find;
    request_.mechanism = lead_.mechanism;
    for (const std::uint64_t object : lead_.objects) request_.handles.add(object);
  }
  request_.wanted = wanted_.bytes();
  head_.clear();
  write_request_head(head_, request_);
  if (head_.size() - kLengthPrefix + request_.body.size() > line_.max_frame) {
    failure_ = codes::kTooLarge;
    return false;
  }
  if (bulk_sent_ != 0 && bulk() == nullptr && !put_request_in_line()) return false;
  Transfer result = transfer();
  // The connection died while it was idle, as it does when proxyd is restarted: nothing has happened yet.
  if (result == Transfer::unsent && application_.connect(*this, true) && (bulk_sent_ == 0 || put_request_in_line()))
    result = transfer();
  if (result == Transfer::done && read_reply(answer_.bytes().subspan(kLengthPrefix), reply_) &&
      reply_.id == request_.id && (reply_.init_rv == CKR_OK || request_.init != 0) &&
      (!reply_.ended || (request_.ends && reply_.rv == CKR_OK))) {
    if (application_.logs_calls()) log_message();
    init_failed_ = reply_.init_rv != CKR_OK;
    if (init_failed_) failure_ = reply_.init_rv;
    return !init_failed_;
  }
  fail(result);
  return false;
}

int CallExchange::ask_for_generations() { return ask_for(&write_generations_request, MessageKind::generations_answer); }

// What is not a call. Its answer is in answer_, and perhaps a descriptor, the caller's to close.
bool CallExchange::ask(const Buffer& question, int& descriptor) {
  const milliseconds patience = application_.config().connect_timeout;
  in_flight_ = true;
  const bool is_answered = socket_.send(question.bytes(), {}, patience) == Transfer::done &&
                           socket_.receive(answer_, patience, descriptor) == Transfer::done;
  in_flight_ = false;
  return is_answered;
}

// A descriptor, or -1.
int CallExchange::ask_for(void (*write)(Buffer&), MessageKind answer) {
  int descriptor = -1;
  Buffer question;
  write(question);
  if (!ask(question, descriptor) || message_kind(answer_.bytes().subspan(kLengthPrefix)) != answer) socket_.close();
  answer_.clear();
  return descriptor;
}

CK_RV CallExchange::perform_alone(CK_SESSION_HANDLE session, const WaitingInit& init) {
  begin(application_.config().deadline);
  if (!application_.connect(*this)) return codes::kProxydLost;
  request_.call = init.call;
  request_.has_mechanism = init.operation != Operation::find;
  request_.mechanism = init.mechanism;
  request_.handles.add(session);
  for (const std::uint64_t object : init.objects) request_.handles.add(object);
  request_.body = init.body.bytes();
  const CK_RV rv = perform() ? reply_.rv : failure_;
  end(false);
  return rv;
}

void CallExchange::close_kept(CK_SESSION_HANDLE wire) {
  begin(application_.config().deadline);
  if (!application_.connect(*this)) return;
  names_wire_ = true;
  request_.call = number_of<&CK_FUNCTION_LIST_3_0::C_CloseSession>();
  request_.handles.add(wire);
  request_.body = {};
  perform();
  end(false);
}

CK_RV CallExchange::perform_part(CK_SESSION_HANDLE session, std::uint32_t call, std::span<const std::uint8_t> part) {
  begin(application_.config().deadline);
  if (!application_.connect(*this)) return codes::kProxydLost;
  request_.call = call;
  request_.handles.add(session);
  body_.mark_secret();
  Out(body_).bin(part);
  request_.body = body_.bytes();
  const CK_RV rv = perform() ? reply_.rv : failure_;
  end(false);
  return rv;
}

Transfer CallExchange::transfer() {
  in_flight_ = true;
  const bool looks = looks_in_ring();
  RingPair pair = rings();
  if (pair) pair.replies.open();
  Transfer result = send_request();
  if (result == Transfer::done) result = receive_reply(looks);
  else if (pair) pair.replies.close();
  // What proxyd never took was not executed.
  if (sent_in_ring_ && (result == Transfer::broken || result == Transfer::unsent))
    result = rings().requests.take_back() ? Transfer::unsent : Transfer::broken;
  in_flight_ = false;
  const bool is_large = request_.body.size() >= Bulk::kLeast || answer_.size() >= Bulk::kLeast;
  if (is_large && area_connection_ != socket_.connection())
    wants_area_ = application_.config().shared_memory && socket_.is_local() && area_attempts_ > 0;
  return result;
}

// Whether this thread is going to look for the reply before it sleeps. With several callers the processors are needed for the
// calls themselves; who shares our core could not run while we look.
bool CallExchange::looks_in_ring() {
  RingPair pair = rings();
  if (!pair) return false;
  const std::uint32_t own = this_core();
  pair.requests.tell_cores(own, 0);
  return application_.has_one_caller() && !share_core(own, pair.replies.core()) &&
         !share_core(own, pair.replies.core_beyond()) && spin_.wants();
}

Transfer CallExchange::send_request() {
  RingPair pair = rings();
  sent_in_ring_ = pair && socket_.is_open() && pair.requests.put(head_.bytes(), request_.body);
  return sent_in_ring_ ? Transfer::done : socket_.send(head_.bytes(), request_.body, patience_);
}

Transfer CallExchange::receive_reply(bool looks) {
  if (Ring replies = rings().replies) {
    if (looks) spin_.look_now([&replies] { return replies.look() != Ring::Look::nothing; });
    if (replies.look() == Ring::Look::nothing) replies.doze(kLongestDoze);
    if (!replies.close()) {
      answer_.clear();
      return replies.take(answer_) ? Transfer::done : Transfer::broken;
    }
  } else if (socket_.is_local() && application_.has_one_caller()) {
    spin_.look([this] { return socket_.has_something(); });
  }
  return socket_.receive(answer_, patience_);
}

// What went over the wire, and when: an application's call may be none, one or several messages. Without memory no line.
[[gnu::cold]] void CallExchange::log_message() const noexcept try {
  if (!logs(application_.config(), LogLevel::trace)) return;
  std::string text = request_.init == 0 ? std::string() : std::string(call_info(request_.init)->name) + " and ";
  text += call_info(request_.call)->name;
  text += sent_in_ring_ ? " in the ring: " : " over the socket: ";
  text += std::to_string(reply_.queue_us) + " µs in proxyd, " + std::to_string(reply_.hsm_us) + " µs in the module";
  text += ", trace " + hex_digits(request_.trace);
  log_line(application_.config(), LogLevel::trace, text);
} catch (const std::bad_alloc&) {
}

void CallExchange::reject_reply() { fail(Transfer::done); }

void CallExchange::fail(Transfer result) {
  socket_.close();
  failure_ = codes::kNotInitialised;
  if (application_.is_shut_down()) return;
  failure_ = codes::kProxydLost;
  const char* why = result == Transfer::done        ? "proxyd sent a malformed reply"
                    : result == Transfer::timed_out ? "proxyd did not answer in time"
                                                    : "the connection to proxyd broke";
  log_line(application_.config(), LogLevel::warning, std::string(call_info(request_.call)->name) + ": " + why);
}

}  // namespace p11shim
