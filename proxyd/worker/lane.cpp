#include "proxyd/worker/lane.h"

#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "proxyd/worker/read_along.h"
#include "proxyd/worker/read_out.h"

namespace p11shim {
namespace {

constexpr std::size_t kReadAhead = 64 << 10;
constexpr std::size_t kKeptBuffer = 2 << 20;
constexpr std::size_t kSmallBody = 4096;  // sent in one piece with the head
constexpr CK_ULONG kFindBatch = 512;
constexpr bool has_pin(std::uint32_t call) {
  using List = CK_FUNCTION_LIST_3_0;
  return call == number_of<&List::C_Login>() || call == number_of<&List::C_LoginUser>() ||
         call == number_of<&List::C_InitToken>() || call == number_of<&List::C_InitPIN>() ||
         call == number_of<&List::C_SetPIN>();
}
constexpr auto kFindObjectsInit = number_of<&CK_FUNCTION_LIST_3_0::C_FindObjectsInit>();
constexpr auto kGetAttributeValue = number_of<&CK_FUNCTION_LIST_3_0::C_GetAttributeValue>();
constexpr CK_ULONG kUsualSlots = 256;  // modules with more are asked again

std::uint32_t microseconds(std::chrono::nanoseconds duration) {
  const auto value = std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
  return static_cast<std::uint32_t>(std::min<long long>(value, UINT32_MAX));
}

}  // namespace

void Lane::run() {
  bool is_awake = false;
  for (;;) {
    const bool has_come = is_awake && look_for_request();
    if (is_awake) waiting_.awake.fetch_sub(1, std::memory_order_relaxed);
    if (!has_come && !receive()) return;
    waiting_.awake.fetch_add(1, std::memory_order_relaxed);
    is_awake = true;
    if (!read_request({frame_.data() + kLengthPrefix, frame_.size() - kLengthPrefix}, request_)) return;
    reply_.id = request_.id;
    reply_.rv = CKR_GENERAL_ERROR;
    reply_.init_rv = CKR_OK;
    reply_.hsm_us = 0;
    reply_.ended = false;
    mark_secrets();
    if (!(execute() ? send(reply_) : refuse())) return;
    clear();
  }
}

// PINs and plaintexts come in, plaintexts, keys and random numbers go out: nothing of a call stays behind.
void Lane::mark_secrets() {
  arena_.mark_secret();
  for (Buffer* buffer : {&head_, &body_, &values_}) buffer->mark_secret();
}

// A module, which is given the PIN where it came to lie, may take its time over it: the HSM thinks, or somebody types.
void Lane::lock_pin() { locked_frame_.emplace(frame_.data(), frame_.size()); }

// True: the next one is here. The ring was opened before the reply to the last one: what has not come there wakes us all the
// same and comes through the pipe, as does proxyd's leaving.
bool Lane::look_for_request() {
  Ring& ring = rings_.requests;
  const bool is_alone = waiting_.awake.load(std::memory_order_relaxed) == 1;
  if (!ring) {
    if (is_alone)
      spin_.look([this] {
        pollfd readable{in_, POLLIN, 0};
        return ::poll(&readable, 1, 0) != 0;
      });
    return false;
  }
  const std::uint32_t own = this_core();
  const bool spins = is_alone && !share_core(own, ring.core()) && !share_core(own, ring.core_beyond()) && spin_.wants();
  if (spins) spin_.look_now([&ring] { return ring.look() != Ring::Look::nothing; });
  waiting_.awake.fetch_sub(1, std::memory_order_relaxed);
  while (!waiting_.is_over.load() && ring.look() == Ring::Look::nothing) ring.doze(std::chrono::milliseconds(0));
  waiting_.awake.fetch_add(1, std::memory_order_relaxed);
  frame_.mark_secret();
  return !ring.close() && ring.take(frame_);
}

// Exactly one frame: proxyd sends the next one only after the reply.
bool Lane::receive() {
  std::size_t wanted = kLengthPrefix;
  frame_.mark_secret();  // nobody knows yet what comes; what the buffer outgrows is wiped then
  frame_.reserve(kReadAhead);
  while (frame_.size() < wanted || wanted == kLengthPrefix) {
    const std::size_t room = std::max(frame_.capacity(), wanted) - frame_.size();
    const std::size_t before = frame_.size();
    std::uint8_t* place = frame_.extend(room);
    const ssize_t count = ::read(in_, place, room);
    frame_.resize_down(before + static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    if (wanted == kLengthPrefix && frame_.size() >= kLengthPrefix) {
      wanted = kLengthPrefix + load_length(frame_.data());
      if (wanted <= kLengthPrefix || wanted > limits::kMaxFrame + limits::kFrameOverhead) return false;
      frame_.reserve(wanted);
    }
  }
  return frame_.size() == wanted;
}

bool Lane::send(const Reply& reply) {
  write_reply_head(head_, reply);
  return send_frame();
}

// proxyd forwards bodies unread: what is wrong with one is the application's doing, and costs only that application.
bool Lane::refuse() {
  body_.clear();
  write_refusal(head_);
  return send_frame();
}

bool Lane::send_frame() {
  if (rings_.replies) {
    rings_.requests.open();  // before the next one can come
    rings_.replies.tell_cores(this_core(), 0);
    if (rings_.replies.put(head_.bytes(), body_.bytes())) return true;
  }
  if (body_.size() <= kSmallBody) {
    head_.append(body_.data(), body_.size());
    body_.clear();
  }
  std::array<iovec, 2> parts{iovec{head_.data(), head_.size()}, iovec{body_.data(), body_.size()}};
  iovec* part = parts.data();
  iovec* const end = part + (body_.empty() ? 1 : parts.size());
  while (part != end) {
    ssize_t sent = end - part == 1 ? ::write(out_, part->iov_base, part->iov_len)
                                   : ::writev(out_, part, static_cast<int>(end - part));
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return false;
    while (part != end && static_cast<std::size_t>(sent) >= part->iov_len) {
      sent -= static_cast<ssize_t>(part->iov_len);
      ++part;
    }
    if (part == end) break;
    part->iov_base = static_cast<std::uint8_t*>(part->iov_base) + sent;
    part->iov_len -= static_cast<std::size_t>(sent);
  }
  return true;
}

bool Lane::execute() {
  switch (static_cast<LaneCall>(request_.call)) {
    case LaneCall::load: load(); break;
    case LaneCall::list_slots: list_slots(); break;
    case LaneCall::describe:
      for (std::size_t i = 1; i < request_.handles.size(); ++i) returned_.push_back(request_.handles[i]);
      if (!request_.handles.empty()) describe_returned(request_.handles[0], Describer::Which::all);
      reply_.rv = CKR_OK;
      break;
    case LaneCall::read_out: {
      Out out(body_);
      reply_.rv = request_.handles.size() == 2
                      ? read_out(module_.functions(), request_.handles[0], request_.handles[1], out)
                      : CKR_ARGUMENTS_BAD;
      break;
    }
    case LaneCall::read_template: read_template(); break;
    default: {
      const CallInfo* info = call_info(request_.call);
      if (info == nullptr || kHandlers[request_.call] == nullptr || !may_be_led() || !execute_function(*info))
        return false;
    }
  }
  reply_.body = body_.bytes();
  reply_.annex = annex_.bytes();
  reply_.values = values_.bytes();
  return true;
}

bool Lane::may_be_led() const {
  if (request_.init == 0) return true;
  const CallInfo* init = call_info(request_.init);
  const Policy& policy = call_info(request_.call)->policy;
  return init != nullptr && may_lead(init->policy, policy) && (!request_.ends || may_end(policy));
}

// False: the request names an area that does not exist, or takes none.
bool Lane::open_area(const Policy& policy) {
  if (request_.area == 0) return true;
  if (carries_bulk(policy)) area_ = areas_.find(request_.area);
  if (area_ != nullptr) bulk_.attach(area_->bytes());
  return area_ != nullptr;
}

Served Lane::serve_one(std::uint32_t call, std::span<const std::uint8_t> body, Bulk* bulk) {
  In in(body);
  RequestReader from{in, request_.handles, arena_, bulk};
  Out out(body_);
  try {
    return kHandlers[call](module_.functions(), from, out, reply_.handles);
  } catch (const std::bad_alloc&) {
    body_.clear();
    reply_.handles.clear();
    return {.well_formed = true, .rv = CKR_HOST_MEMORY};
  }
}

bool Lane::execute_function(const CallInfo& info) {
  if (!open_area(info.policy)) return false;
  if (has_pin(request_.call)) lock_pin();
  const std::uint64_t session = request_.handles.empty() ? 0 : request_.handles[0];
  const std::uint64_t object = request_.handles.size() > 1 ? request_.handles[1] : 0;
  if (request_.init != 0) {
    const Served init = serve_one(request_.init, request_.init_body, nullptr);
    if (!init.well_formed) return false;
    // What an Init returns beside its code has no place in this reply: nobody sends those in front of another call.
    body_.clear();
    body_.mark_secret();
    reply_.handles.clear();
    reply_.init_rv = init.rv;
    reply_.rv = CKR_OK;
    reply_.hsm_us = microseconds(init.duration);
    if (init.rv != CKR_OK) return true;
    if (request_.init == kFindObjectsInit) return search_in_one_step();
    request_.handles.clear();
    request_.handles.add(session);
  }
  const Served served = serve_one(request_.call, request_.body, area_ != nullptr ? &bulk_ : nullptr);
  if (!served.well_formed) return false;
  reply_.rv = served.rv;
  reply_.hsm_us += microseconds(served.duration);
  if (served.rv != CKR_OK) return true;
  if (request_.call == kGetAttributeValue && object != 0) read_wanted(session, {&object, 1});
  if (request_.ends) end_messages(info.policy.operation);

  switch (info.policy.objects) {
    case Objects::lists: find_all(); break;
    case Objects::creates:
      returned_.assign(reply_.handles.begin(), reply_.handles.end());
      describe_returned(session, Describer::Which::all);
      break;
    case Objects::destroys: describer_.forget(object); break;
    case Objects::changes:
      returned_.push_back(object);
      describe_returned(session, Describer::Which::all);
      break;
    case Objects::uses:  // a mechanism may return objects as well (CK_SSL3_KEY_MAT_OUT)
      if (!reply_.handles.empty()) {
        returned_.assign(reply_.handles.begin(), reply_.handles.end());
        describe_returned(session, Describer::Which::all);
      }
      break;
    default: break;
  }
  return true;
}

// C_FindObjectsInit fetches the whole result at once; the search stays active until the application ends it.
void Lane::find_all() {
  const std::uint64_t session = request_.handles[0];
  std::array<CK_OBJECT_HANDLE, kFindBatch> batch;
  const auto start = std::chrono::steady_clock::now();
  while (returned_.size() + kFindBatch <= limits::kMaxHandles) {
    CK_ULONG count = 0;
    reply_.rv = module_.functions().C_FindObjects(session, batch.data(), batch.size(), &count);
    if (reply_.rv != CKR_OK || count == 0) break;
    returned_.insert(returned_.end(), batch.begin(), batch.begin() + std::min<CK_ULONG>(count, batch.size()));
  }
  reply_.hsm_us += microseconds(std::chrono::steady_clock::now() - start);
  if (reply_.rv != CKR_OK) {  // a search that failed is over
    if (module_.functions().C_FindObjectsFinal != nullptr) module_.functions().C_FindObjectsFinal(session);
    return returned_.clear();
  }
  for (const std::uint64_t object : returned_) reply_.handles.add(object);
  describe_returned(session, Describer::Which::unknown_only);
}

// C_FindObjects that brought its Init along: the search is over with this reply, unless it found too many.
bool Lane::search_in_one_step() {
  In in(request_.body);
  const std::uint64_t most = in.uint();
  if (!in.done()) return false;
  find_all();
  if (reply_.rv != CKR_OK) {
    reply_.init_rv = std::exchange(reply_.rv, CKR_OK);
    return true;
  }
  const std::uint64_t session = request_.handles[0];
  const auto end = module_.functions().C_FindObjectsFinal;
  const bool is_over = returned_.size() <= most && end != nullptr && end(session) == CKR_OK;
  Out(body_).boolean(is_over);
  if (is_over) read_wanted(session, returned_objects());
  return true;
}

// If it cannot be ended here, the application's own C_Message…Final will be told why.
void Lane::end_messages(Operation operation) {
  const CK_FUNCTION_LIST_3_0& module = module_.functions();
  const auto end = operation == Operation::message_encrypt   ? module.C_MessageEncryptFinal
                   : operation == Operation::message_decrypt ? module.C_MessageDecryptFinal
                   : operation == Operation::message_sign    ? module.C_MessageSignFinal
                                                             : module.C_MessageVerifyFinal;
  if (end == nullptr) return;
  const auto start = std::chrono::steady_clock::now();
  reply_.ended = end(request_.handles[0]) == CKR_OK;
  reply_.hsm_us += microseconds(std::chrono::steady_clock::now() - start);
}

void Lane::read_wanted(std::uint64_t session, std::span<const std::uint64_t> objects) {
  if (request_.wanted.empty()) return;
  const auto start = std::chrono::steady_clock::now();
  try {
    read_along(module_.functions(), session, objects, request_.wanted, along_, values_);
  } catch (const std::bad_alloc&) {
    values_.clear();
  }
  reply_.hsm_us += microseconds(std::chrono::steady_clock::now() - start);
}

void Lane::describe_returned(CK_SESSION_HANDLE session, Describer::Which which) {
  describer_.describe(session, returned_objects(), which, annex_);
}

void Lane::load() {
  LoadOrder order;
  LoadedModule loaded;
  In in(request_.body);
  reply_.rv = CKR_ARGUMENTS_BAD;
  if (read_load_order(in, order)) reply_.rv = module_.load(order, loaded);
  Out out(body_);
  write_loaded_module(out, loaded);
}

// What an object is made from, or some of it, for another member.
void Lane::read_template() {
  std::vector<CK_ATTRIBUTE_TYPE> types;
  In in(request_.body);
  for (std::size_t left = in.array(limits::kMaxAttributes); left != 0 && in.ok(); --left) types.push_back(in.uint());
  reply_.rv = CKR_ARGUMENTS_BAD;
  if (!in.done() || request_.handles.size() != 2) return;
  Out out(body_);
  reply_.rv = describer_.read_template(request_.handles[0], request_.handles[1], std::move(types), out);
  if (reply_.rv != CKR_OK) body_.clear();
}

void Lane::list_slots() {
  const CK_FUNCTION_LIST_3_0& module = module_.functions();
  std::vector<CK_SLOT_ID> ids;
  CK_ULONG count = kUsualSlots;
  reply_.rv = CKR_BUFFER_TOO_SMALL;
  if (In(request_.body).boolean()) reply_.rv = module.C_GetSlotList(CK_FALSE, nullptr, &count);
  // The number may grow between the two calls.
  for (int attempt = 0; attempt < 3 && (reply_.rv == CKR_OK || reply_.rv == CKR_BUFFER_TOO_SMALL); ++attempt) {
    ids.resize(std::min<CK_ULONG>(count, limits::kMaxListItems));
    count = ids.size();
    reply_.rv = module.C_GetSlotList(CK_FALSE, ids.data(), &count);
    if (reply_.rv == CKR_OK) break;
  }
  if (reply_.rv != CKR_OK) return;
  ids.resize(std::min<CK_ULONG>(count, ids.size()));
  std::vector<SlotEntry> slots;
  for (const CK_SLOT_ID id : ids) {
    SlotEntry& entry = slots.emplace_back();
    entry.slot = id;
    module.C_GetSlotInfo(id, &entry.info);
    entry.token_rv = module.C_GetTokenInfo(id, &entry.token);
  }
  Out out(body_);
  write_slots(out, slots);
}

void Lane::clear() {
  frame_.clear();
  head_.clear();
  body_.clear();
  annex_.clear();
  values_.clear();
  arena_.clear();
  along_.clear();
  locked_frame_.reset();  // it is wiped
  area_.reset();
  returned_.clear();
  reply_.handles.clear();
  for (Buffer* buffer : {&frame_, &head_, &body_, &annex_, &values_}) buffer->trim(kKeptBuffer);
}

}  // namespace p11shim
