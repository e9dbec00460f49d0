#include "proxyd/tokens/key_proof.h"

#include "calls/mechanism_codec.h"
#include "calls/table.h"
#include "proxyd/balance/faults.h"
#include "proxyd/tokens/member.h"

namespace p11shim {
namespace {

using List = CK_FUNCTION_LIST_3_0;
constexpr std::uint64_t kRoom = 512;  // bytes; no check gives more

}  // namespace

void KeyProof::run(Place& place, UnprovenKey key, std::vector<PublicKey> publics, const HandleKey& secret, Done done) {
  (new KeyProof(place, std::move(key), std::move(publics), secret, std::move(done)))->resume();
}

void KeyProof::resume() {
  const bool hopeless = checks_.empty() || (key_.plain.object_class == CKO_PRIVATE_KEY && publics_.empty());
  if (hopeless) return finish(Outcome::unproven);
  if (place_.worker.state() != Worker::State::ready || generation_ != place_.worker.generation())
    return finish(Outcome::undecided);
  const auto lease = place_.read_only.borrow(*this);
  if (lease.outcome == RealSessions::Outcome::waiting) return;
  if (lease.outcome == RealSessions::Outcome::failed) return finish(Outcome::undecided);
  session_ = lease.session;
  begin();
}

void KeyProof::begin() {
  if (next_ == checks_.size()) return finish(Outcome::unproven);
  const KeyCheck& check = checks_[next_];
  Buffer body;
  Out out(body);
  Handles none;
  const CK_MECHANISM mechanism{check.mechanism,
                               check.parameter.empty() ? nullptr : const_cast<std::uint8_t*>(check.parameter.data()),
                               check.parameter.size()};
  encode_mechanism(out, none, mechanism);
  const std::uint64_t handles[] = {session_->handle, key_.plain.object};
  OwnCall::start(place_.worker, check.signs ? number_of<&List::C_SignInit>() : number_of<&List::C_EncryptInit>(),
                 handles, std::move(body), [this](Reply* reply) {
                   if (reply != nullptr && reply->rv == CKR_OK) return perform();
                   if (reply == nullptr || blame_of(reply->rv) != Blame::nobody || misses_object(reply->rv) ||
                       reply->rv == CKR_OPERATION_ACTIVE)
                     return failed(reply, false);
                   ++next_;
                   begin();
                 });
}

void KeyProof::perform() {
  const KeyCheck& check = checks_[next_];
  Buffer body;
  Out out(body);
  out.bin(check.input);
  out.uint(kRoom);
  const std::uint64_t handle = session_->handle;
  OwnCall::start(place_.worker, check.signs ? number_of<&List::C_Sign>() : number_of<&List::C_Encrypt>(), {&handle, 1},
                 std::move(body), [this](Reply* reply) {
                   if (reply == nullptr || reply->rv != CKR_OK) return failed(reply, true);
                   In in(reply->body);
                   in.uint();
                   const auto result = in.bin();
                   const auto proof = in.done() ? proof_of(key_, checks_[next_], result, publics_) : std::nullopt;
                   proof ? finish(Outcome::proven, *proof) : finish(Outcome::unproven);
                 });
}

void KeyProof::failed(const Reply* reply, bool begun) {
  if (reply == nullptr) {  // the worker is gone, and the session with it
    session_ = nullptr;
    return finish(Outcome::undecided);
  }
  session_->tainted = true;
  if (misses_object(reply->rv)) return finish(Outcome::missing);
  // Some keys want a login for each use: nothing can be proven of them. One that nobody may begin to use was logged out from.
  const bool wants_login = reply->rv == CKR_USER_NOT_LOGGED_IN && (begun || &place_ == &place_.member->public_place());
  const bool member_fault = blame_of(reply->rv) != Blame::nobody || reply->rv == CKR_OPERATION_ACTIVE;
  finish(member_fault && !wants_login ? Outcome::undecided : Outcome::unproven);
}

void KeyProof::finish(Outcome outcome, const ByteString& proof) {
  const Done done = std::move(done_);
  RealSession* session = session_;
  delete this;
  if (session != nullptr) session->pool->give_back(*session);
  done(outcome, proof);
}

}  // namespace p11shim
