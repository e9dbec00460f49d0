#include "proxyd/calls/auditing.h"

#include <algorithm>

#include "proxyd/calls/client_call.h"

namespace p11shim {
namespace {

using List = CK_FUNCTION_LIST_3_0;
constexpr int kDeepest = 32;

bool has(Operation all, Operation some) { return (all & some) != Operation::none; }

// Passes one value; the size of a byte string, wherever its bytes are.
std::uint64_t pass(In& in, int depth) {
  std::uint32_t offset = 0;
  std::uint32_t size = 0;
  if (in.reference_if(offset, size)) return size;
  const std::uint8_t tag = in.peek();
  const bool is_array = (tag & 0xf0) == 0x90 || tag == 0xdc || tag == 0xdd;
  if (tag == 0xc0) in.nil();
  else if (tag == 0xc2 || tag == 0xc3) in.boolean();
  else if (tag >= 0xc4 && tag <= 0xc6) return in.bin().size();
  else if (in.next_is_uint()) in.uint();
  else if (is_array && depth < kDeepest)
    for (std::size_t left = in.array(limits::kMaxFrame); left != 0 && in.ok(); --left) pass(in, depth + 1);
  else in.fail();
  return 0;
}

}  // namespace

std::uint64_t data_size(std::span<const std::uint8_t> body) {
  In in(body);
  std::uint64_t total = 0;
  while (in.remaining() != 0) total += pass(in, 0);
  return total;
}

void write_record(AuditLog& audit, const Application& application, const Pool* pool, const OperationRecord& from,
                  bool unfinished) {
  AuditRecord record;
  record.time = std::chrono::system_clock::now();
  record.audit_class = from.audit_class;
  record.caller.application = application.instance;
  if (const auto& peer = application.peer) {
    record.caller.uid = peer->uid;
    record.caller.gid = peer->gid;
    record.caller.pid = static_cast<std::uint32_t>(peer->pid);
  }
  record.caller.program = application.program;
  if (pool != nullptr) {
    record.pool = pool->config.name;
    record.member = from.member != nullptr ? from.member->name() : pool->member.name();
  }
  record.function = from.function;
  record.mechanism = from.mechanism;
  if (const auto& named = from.key) {
    AuditKey key;
    key.object_class = named->object_class;
    if (named->has_type) key.type = named->type;
    key.id = named->id;
    key.label = named->label;
    record.key = key;
  }
  record.bytes_in = from.bytes_in;
  record.bytes_out = from.bytes_out;
  record.rv = from.rv;
  record.unfinished = unfinished;
  record.attempts = from.attempts;
  record.times = from.times;
  record.trace_id = from.trace_id;
  audit.write(record);
}

void write_unfinished(AuditLog& audit, const Application& application, const VirtualSession& session) {
  for (const OperationRecord& record : session.records)
    if (audit.wants(record.audit_class)) write_record(audit, application, &session.pool, record, true);
}

OperationRecord ClientCall::record_of(CK_RV rv, std::span<const std::uint8_t> reply_body) {
  OperationRecord record;
  record.audit_class = info_->policy.audit;
  record.operation = info_->policy.operation;
  record.function = request_.call;
  record.rv = rv;
  if (request_.has_mechanism) record.mechanism = request_.mechanism;
  if (has_key_) record.key = key_;
  if (place_ != nullptr) record.member = place_->member;
  if (record.audit_class == AuditClass::use) {
    record.bytes_in = data_size(request_.body);
    record.bytes_out = data_size(reply_body);
  }
  if (lane_ns_ != 0) {
    record.times.queue = (lane_ns_ - started_ns_) / 1000;
    record.times.hsm = hsm_us_;
  }
  record.attempts = std::max<std::uint32_t>(1, attempts_.count);
  record.times.total = (uv_hrtime() - started_ns_) / 1000;
  record.trace_id = request_.trace;
  return record;
}

// A call that brought its Init along: the whole operation, or its begin.
void ClientCall::audit_led(OperationRecord own) {
  const bool is_refused = reply_.init_rv != CKR_OK;
  if (is_refused || is_whole_search()) own.function = request_.init;
  std::erase_if(session_->records, [&](const OperationRecord& record) {
    if (is_refused || !has(record.operation, own.operation)) return false;
    write_record(services_.audit, *application_, pool_, record, true);
    return true;
  });
  const bool goes_on = !is_refused && (own.rv == CKR_OK || own.rv == CKR_BUFFER_TOO_SMALL) &&
                       session_->hold_with(own.operation) != nullptr;
  if (has(own.operation, kMessageOperations)) {
    write_record(services_.audit, *application_, pool_, own, false);
    own.function = request_.init;
    own.bytes_in = own.bytes_out = 0;
    if (goes_on) session_->records.push_back(std::move(own));
    return;
  }
  if (goes_on) session_->records.push_back(std::move(own));
  else write_record(services_.audit, *application_, pool_, own, false);
}

// Calls of one operation are gathered until it ends; each message of the message functions is one of its own.
void ClientCall::audit(CK_RV rv, std::span<const std::uint8_t> reply_body) {
  const Policy& policy = info_->policy;
  if (!services_.audit.wants(policy.audit)) return;
  OperationRecord own = record_of(rv, reply_body);
  const auto write = [&](const OperationRecord& record, bool unfinished) {
    write_record(services_.audit, *application_, pool_, record, unfinished);
  };
  const bool begins = policy.effect == Effect::starts;
  if (session_ == nullptr || policy.effect == Effect::none || (begins && rv != CKR_OK)) return write(own, false);

  if (request_.init != 0) return audit_led(std::move(own));

  const bool cancels = request_.call == number_of<&List::C_SessionCancel>();
  bool is_part = false;
  std::erase_if(session_->records, [&](OperationRecord& record) {
    if (!has(record.operation, policy.operation)) return false;
    if (begins) return write(record, true), true;  // replaced or cancelled by its Init
    const bool goes_on = session_->hold_with(record.operation) != nullptr ||
                         (has(record.operation, Operation::find) && session_->search_detached);
    if (has(policy.operation, kMessageOperations) && !cancels) {
      if (!own.mechanism) own.mechanism = record.mechanism;
      if (!own.key) own.key = record.key;
      return !goes_on;
    }
    if (cancels && goes_on) return false;
    is_part = !cancels;
    record.add(own);
    if (goes_on && (rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL)) return false;
    write(record, cancels);
    return true;
  });
  if (begins && (own.mechanism || policy.operation == Operation::find))
    return session_->records.push_back(std::move(own));
  if (!is_part) write(own, false);
}

}  // namespace p11shim
