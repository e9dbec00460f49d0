#include "proxyd/tokens/key_proof.h"

#include "calls/mechanism_codec.h"
#include "calls/table.h"
#include "calls/templates.h"
#include "proxyd/balance/faults.h"
#include "proxyd/tokens/member.h"

namespace p11shim {
namespace {

using List = CK_FUNCTION_LIST_3_0;
constexpr std::uint64_t kCheckRoom = 512;  // bytes; no check gives more

}  // namespace

void KeyProof::run(Place& place, UnprovenKey key, std::vector<PublicKey> publics, const HandleKey& secret, Done done) {
  (new KeyProof(place, std::move(key), std::move(publics), secret, std::move(done)))->resume();
}

void KeyProof::resume() {
  if (checks_.empty()) return finish(Outcome::unproven);
  if (place_.worker.state() != Worker::State::ready || generation_ != place_.worker.generation())
    return finish(Outcome::undecided);
  const auto lease = place_.read_only.borrow(*this);
  if (lease.outcome == RealSessions::Outcome::waiting) return;
  if (lease.outcome == RealSessions::Outcome::failed) return finish(Outcome::undecided);
  session_ = lease.session;
  begin();
}

void KeyProof::begin() {
  const bool has_public = key_.plain.object_class != CKO_PRIVATE_KEY || !publics_.empty();
  while (!has_public && next_ != checks_.size() && checks_[next_].point.empty()) ++next_;  // nobody could verify it
  if (next_ == checks_.size()) return finish(Outcome::unproven);
  const KeyCheck& check = checks_[next_];
  if (!check.point.empty() && agreed_ == 0) return agree();
  Buffer body;
  Out out(body);
  Handles none;
  const CK_MECHANISM mechanism{check.mechanism,
                               check.parameter.empty() ? nullptr : const_cast<std::uint8_t*>(check.parameter.data()),
                               check.parameter.size()};
  encode_mechanism(out, none, mechanism);
  const std::uint64_t handles[] = {session_->handle, agreed_ != 0 ? agreed_ : key_.plain.object};
  OwnCall::start(place_.worker, check.signs ? number_of<&List::C_SignInit>() : number_of<&List::C_EncryptInit>(),
                 handles, std::move(body), [this](Reply* reply) {
                   if (reply != nullptr && reply->rv == CKR_OK) return perform();
                   if (reply == nullptr || blame_of(reply->rv) != Blame::nobody || misses_object(reply->rv) ||
                       reply->rv == CKR_OPERATION_ACTIVE)
                     return failed(reply, false);
                   ++next_;
                   agreed_ = 0;
                   begin();
                 });
}

// As an application does with its peer's point.
void KeyProof::agree() {
  KeyCheck& check = checks_[next_];
  CK_ECDH1_DERIVE_PARAMS parameters{CKD_NULL, 0, nullptr, check.point.size(), check.point.data()};
  CK_OBJECT_CLASS object_class = CKO_SECRET_KEY;
  CK_KEY_TYPE type = CKK_GENERIC_SECRET;
  CK_ULONG size = agreed_size(check);
  CK_BBOOL yes = CK_TRUE, no = CK_FALSE, is_private = key_.plain.is_private ? CK_TRUE : CK_FALSE;
  const CK_ATTRIBUTE attributes[] = {{CKA_CLASS, &object_class, sizeof object_class},
                                     {CKA_KEY_TYPE, &type, sizeof type},
                                     {CKA_TOKEN, &no, sizeof no},
                                     {CKA_PRIVATE, &is_private, sizeof is_private},
                                     {CKA_SIGN, &yes, sizeof yes},
                                     {CKA_VALUE_LEN, &size, sizeof size}};
  Buffer body;
  Out out(body);
  Handles none;
  encode_mechanism(out, none, CK_MECHANISM{CKM_ECDH1_DERIVE, &parameters, sizeof parameters});
  encode_template(out, attributes, std::size(attributes));
  session_->tainted = true;  // the secret goes with its session
  const std::uint64_t handles[] = {session_->handle, key_.plain.object};
  OwnCall::start(place_.worker, number_of<&List::C_DeriveKey>(), handles, std::move(body), [this](Reply* reply) {
    if (reply != nullptr && reply->rv == CKR_OK && reply->handles.size() == 1) {
      agreed_ = reply->handles[0];
      return begin();
    }
    if (reply == nullptr || blame_of(reply->rv) != Blame::nobody || misses_object(reply->rv))
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
  out.uint(kCheckRoom);
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
  if (!member_fault || wants_login) return finish(Outcome::unproven);
  finish(blame_of(reply->rv) == Blame::suspect ? Outcome::refused : Outcome::undecided);
}

void KeyProof::finish(Outcome outcome, const ByteString& proof) {
  const Done done = std::move(done_);
  RealSession* session = session_;
  delete this;
  if (session != nullptr) session->pool->give_back(*session);
  done(outcome, proof);
}

}  // namespace p11shim
