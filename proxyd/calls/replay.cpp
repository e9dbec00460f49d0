// Operations in a balanced pool outlive their member: what began them and what they were given is kept, up to replay_limit,
// and done again on another member when theirs is lost. What the application was given already must come out again, else
// the operation is over.
#include <openssl/evp.h>

#include <algorithm>

#include "proxyd/balance/faults.h"
#include "proxyd/calls/client_call.h"
#include "proxyd/login/secret_copy.h"

namespace p11shim {
namespace {

Identity hash_of(std::span<const std::uint8_t> bytes) {
  Identity digest{};
  EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, EVP_sha256(), nullptr);
  return digest;
}

bool is_one(Operation operations) {
  const auto bits = static_cast<std::uint16_t>(operations);
  return bits != 0 && (bits & (bits - 1)) == 0;
}

RecordedCall recorded(std::uint32_t number, std::span<const std::uint8_t> body, std::span<const std::uint8_t> output) {
  RecordedCall call;
  call.call = number;
  call.body = secret_copy(body);
  call.output = hash_of(output);
  return call;
}

// An Init, which came alone or with the call that uses it.
RecordedCall recorded_init(const Request& request, const Reply& reply) {
  RecordedCall call = request.init != 0 ? recorded(request.init, request.init_body, {})
                                        : recorded(request.call, request.body, reply.body);
  call.compares = request.init == 0;
  call.has_mechanism = request.has_mechanism;
  call.mechanism = request.mechanism;
  for (std::size_t i = 1; i < request.handles.size(); ++i) call.objects.push_back(request.handles[i]);
  return call;
}

}  // namespace

// After track_operations(): which operations are active is known.
void ClientCall::record_operation(const Reply& reply) {
  const Policy& policy = info_->policy;
  if (policy.effect == Effect::none) {
    // What this does to an operation (a login for it, its restoring) cannot be done again.
    if (request_.call == number_of<&CK_FUNCTION_LIST_3_0::C_Login>()) session_->replays.clear();
    return;
  }
  if (policy.operation == Operation::find) return;
  const Hold* hold = session_->hold_in(*place_);
  const Operation active = hold != nullptr ? hold->active : Operation::none;
  std::erase_if(session_->replays, [&](const ReplayRecord& record) {
    const bool concerned =
        (record.operation & policy.operation) != Operation::none || policy.operation == Operation::any;
    const bool replaced = request_.init != 0 || (policy.effect == Effect::starts && reply.rv == CKR_OK);
    return concerned && (replaced || session_->hold_with(record.operation) == nullptr);
  });
  if ((active & policy.operation) == Operation::none || (reply.rv != CKR_OK && request_.init == 0)) return;
  if (policy.effect == Effect::starts || request_.init != 0) {
    ReplayRecord& record = session_->replays.emplace_back();
    record.operation = policy.operation;
    record.charge = Charge(application_->buffered);
    record.replayable = may_be_repeated() && counts_nonces_on() == nullptr;
    record.calls.push_back(recorded_init(request_, reply));
    record.charge.add(record.calls.back().size());
  }
  if (policy.effect != Effect::continues || reply.rv != CKR_OK) return;  // a length query
  for (ReplayRecord& record : session_->replays) {
    if ((record.operation & policy.operation) == Operation::none || !record.replayable) continue;
    RecordedCall call = recorded(request_.call, request_.body, reply.body);
    for (std::size_t i = 1; i < request_.handles.size() && request_.init == 0; ++i)
      call.objects.push_back(request_.handles[i]);
    record.charge.add(call.size());
    const std::uint64_t* of_user = application_->buffered.get();
    record.replayable &= is_one(policy.operation) && record.charge.bytes() <= pool_->config.balance.replay_limit &&
                         (of_user == nullptr || *of_user <= services_.limits.max_buffered_per_user / 2);
    if (record.replayable) {
      record.calls.push_back(std::move(call));
      continue;
    }
    record.calls = std::vector<RecordedCall>();
    record.charge = Charge();
  }
}

void ClientCall::replay() {
  step_ = &ClientCall::replay;
  if (!enter_session()) return;
  const ReplayRecord* record = session_->replay_of(info_->policy.operation);
  if (record == nullptr) return go(&ClientCall::forward_balanced);
  if (!record->replayable) return operation_ends();
  if (attempts_.queued && attempts_.on != nullptr && place_ != nullptr && !has_all(*place_)) {
    attempt_abandoned();  // its worker was lost while this waited for its turn there
    place_ = nullptr;
  }
  if (attempts_.on == nullptr || place_ == nullptr) {
    place_ = choose_member();
    if (place_ == nullptr) return;
    begin_attempt();
    attempts_.replay_next = 0;
  }
  Membership& on = *attempts_.on;
  if (!borrow(*place_)) return on.pass_turn();
  if (!takes_turn()) return;
  attempts_.replaying = true;
  send_recorded(record->calls[attempts_.replay_next]);
}

void ClientCall::send_recorded(const RecordedCall& call) {
  const Hold* hold = session_->hold_in(*place_);
  forwarded_.handles.clear();
  forwarded_.handles.add(hold != nullptr ? hold->session->handle : lease_->handle);
  for (const std::uint64_t handle : call.objects) {
    std::uint64_t real = CK_INVALID_HANDLE;
    resolve(*place_, handle, real);
    forwarded_.handles.add(real);
  }
  forwarded_.id = request_.id;
  forwarded_.call = call.call;
  forwarded_.deadline_ms = request_.deadline_ms;
  forwarded_.trace = request_.trace;
  forwarded_.has_mechanism = call.has_mechanism;
  forwarded_.mechanism = call.mechanism;
  forwarded_.init = 0;
  forwarded_.ends = false;
  forwarded_.area = 0;
  forwarded_.init_body = {};
  forwarded_.body = call.body.bytes();
  head_.clear();
  head_.mark_secret();
  write_request_head(head_, forwarded_);
  body_ = forwarded_.body;
  place_->worker.submit(*this);
}

// One recorded call was answered by the new member.
void ClientCall::replayed(const Reply& reply) {
  if (attempts_.on != nullptr && reply.rv != CKR_OK && answered_badly(reply)) return;
  ReplayRecord* record = session_->replay_of(info_->policy.operation);
  if (record == nullptr || reply.rv != CKR_OK) return operation_ends();
  const RecordedCall& done = record->calls[attempts_.replay_next];
  if (done.compares && hash_of(reply.body) != done.output) return operation_ends();
  if (++attempts_.replay_next != record->calls.size()) return send_recorded(record->calls[attempts_.replay_next]);
  attempts_.replaying = false;
  attempts_.replay_next = 0;
  Hold* hold = session_->hold_in(*place_);
  if (hold == nullptr) {
    session_->holds.push_back(
        {std::exchange(lease_, nullptr), place_, Operation::none, Operation::none, services_.runtime.now_ms()});
    hold = &session_->holds.back();
  }
  hold->active = hold->active | record->operation;
  go(&ClientCall::forward_balanced);
}

// The application is told that a call failed: its operation is over, and is not begun again by the next call.
void ClientCall::forget_failed_operation(CK_RV rv) {
  const Policy& policy = info_->policy;
  if (rv != CKR_OK && step_ == &ClientCall::log_in_to_operation) return forget_failed_login();
  if (!goes_on() || rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL || policy.operation == Operation::any) return;
  session_->take_lost(policy.operation);
  std::erase_if(session_->replays, [&](const ReplayRecord& record) {
    return (record.operation & policy.operation) != Operation::none && session_->hold_with(record.operation) == nullptr;
  });
}

// The operation cannot be taken over: the application learns that it is over; its session goes on.
void ClientCall::operation_ends() {
  const Operation operation = info_->policy.operation;
  std::erase_if(session_->replays,
                [&](const ReplayRecord& record) { return (record.operation & operation) != Operation::none; });
  attempts_.replaying = false;
  if (lease_ != nullptr) lease_->tainted = true;
  finish(CKR_DEVICE_ERROR);
}

}  // namespace p11shim
