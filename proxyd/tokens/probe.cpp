#include "proxyd/tokens/probe.h"

#include <array>

#include "calls/mechanism_codec.h"
#include "calls/table.h"
#include "proxyd/tokens/member.h"

namespace p11shim {
namespace {

using List = CK_FUNCTION_LIST_3_0;
constexpr std::uint64_t kRandomBytes = 16;
constexpr std::uint64_t kSignatureRoom = 2048;  // for a signature
constexpr std::array<std::uint8_t, 32> kData{};

CK_MECHANISM_TYPE mechanism_of(CK_KEY_TYPE type) {
  switch (type) {
    case CKK_EC: return CKM_ECDSA;
    case CKK_EC_EDWARDS: return CKM_EDDSA;
    default: return CKM_RSA_PKCS;
  }
}

}  // namespace

void Probe::run(Place& place, ProbeCall call, Key key, Done done) {
  auto* probe = new Probe(place, key, std::move(done));
  if (call == ProbeCall::token_info || (call == ProbeCall::sign && key.real == 0)) return probe->ask_token();
  const auto lease = place.read_only.borrow(*probe);
  if (lease.outcome == RealSessions::Outcome::failed) return probe->ask_token();
  if (lease.outcome == RealSessions::Outcome::waiting) {
    probe->stop_waiting();
    return probe->ask_token();
  }
  probe->session_ = lease.session;
  call == ProbeCall::random ? probe->ask_random() : probe->sign();
}

void Probe::ask_token() {
  const std::uint64_t slot = place_.member->slot_in(place_.worker);
  OwnCall::start(place_.worker, number_of<&List::C_GetTokenInfo>(), {&slot, 1}, {},
                 [this](Reply* reply) { finish(reply); });
}

void Probe::ask_random() {
  Buffer body;
  Out out(body);
  out.array(2);
  out.boolean(true);
  out.uint(kRandomBytes);
  const std::uint64_t handle = session_->handle;
  OwnCall::start(place_.worker, number_of<&List::C_GenerateRandom>(), {&handle, 1}, std::move(body),
                 [this](Reply* reply) { finish(reply); });
}

void Probe::sign() {
  Buffer body;
  Out out(body);
  Handles none;
  encode_mechanism(out, none, CK_MECHANISM{mechanism_of(key_.type), nullptr, 0});
  const std::uint64_t handles[] = {session_->handle, key_.real};
  OwnCall::start(place_.worker, number_of<&List::C_SignInit>(), handles, std::move(body), [this](Reply* begun) {
    if (begun == nullptr || begun->rv != CKR_OK) return finish(begun);
    Buffer data;
    Out input(data);
    input.bin(kData);
    input.uint(kSignatureRoom);
    const std::uint64_t handle = session_->handle;
    OwnCall::start(place_.worker, number_of<&List::C_Sign>(), {&handle, 1}, std::move(data),
                   [this](Reply* reply) { finish(reply); });
  });
}

void Probe::finish(const Reply* reply) {
  if (session_ != nullptr && reply != nullptr) {  // else it is gone with its worker
    session_->tainted = reply->rv != CKR_OK;
    session_->pool->give_back(*session_);
  }
  const Done done = done_;
  const CK_RV rv = reply == nullptr ? CKR_OK : reply->rv;
  delete this;
  done(reply == nullptr ? nullptr : &rv);
}

}  // namespace p11shim
