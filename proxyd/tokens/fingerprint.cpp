#include "proxyd/tokens/fingerprint.h"

#include "calls/templates.h"
#include "proxyd/tokens/errand.h"
#include "proxyd/tokens/key_proof.h"
#include "proxyd/tokens/pool.h"

namespace p11shim {
namespace {
constexpr int kRepeats = 5;
// What a private key may show of its public part.
constexpr CK_ATTRIBUTE_TYPE kPublicPart[] = {CKA_MODULUS, CKA_PUBLIC_EXPONENT, CKA_EC_PARAMS, CKA_EC_POINT,
                                             CKA_PUBLIC_KEY_INFO};
}  // namespace

void Fingerprint::take(Pool& pool, Place& place, const Description& described, std::span<const std::uint8_t> content,
                       std::uint64_t generation, Done done) {
  const auto taken = std::make_shared<Fingerprint>(pool, place, described, generation, std::move(done));
  if (described.object_class != CKO_PRIVATE_KEY) return taken->check();
  if (const auto key = PublicKey::read(content)) return taken->conclude(&key->normal_form());
  taken->read_public_part();
}

void Fingerprint::read_public_part() {
  Buffer types;
  Out out(types);
  out.array(std::size(kPublicPart));
  for (const CK_ATTRIBUTE_TYPE type : kPublicPart) out.uint(type);
  Errand::call(
      place_, kReadTemplate, {key_.plain.object}, false, std::move(types),
      [self = shared_from_this(), alive = pool_.alive()](Reply* reply) {
        if (alive.expired()) return;
        if (reply == nullptr) return self->done_({});
        Arena arena;
        CK_ATTRIBUTE_PTR attributes = nullptr;
        CK_ULONG count = 0;
        In in(reply->body);
        if (reply->rv == CKR_OK) decode_template(in, arena, attributes, count);
        Buffer content;
        Out put(content);
        for (CK_ULONG i = 0; in.ok() && i < count; ++i) {
          put.uint(attributes[i].type);
          put.bin({static_cast<const std::uint8_t*>(attributes[i].pValue), attributes[i].ulValueLen});
        }
        self->key_.content.assign(content.data(), content.data() + content.size());
        if (const auto key = PublicKey::read(self->key_.content)) return self->conclude(&key->normal_form());
        self->check();
      },
      generation_);
}

void Fingerprint::check() {
  if (pool_.config.balance.clones || !may_be_proven(key_.plain)) return conclude(nullptr);
  std::vector<PublicKey> publics;
  if (key_.plain.object_class == CKO_PRIVATE_KEY) publics = pool_.of(place_).survey_of(place_).publics_for(key_.id);
  if (generation_ != place_.worker.generation()) return done_({});
  KeyProof::run(place_, key_, std::move(publics), pool_.handle_key(),
                [self = shared_from_this(), alive = pool_.alive()](CheckOutcome outcome, const ByteString& proof) {
                  if (alive.expired()) return;
                  if (outcome == CheckOutcome::proven) return self->conclude(&proof);
                  if (outcome == CheckOutcome::unproven) return self->conclude(nullptr);
                  self->repeats_++ < kRepeats ? self->check() : self->done_({});
                });
}

void Fingerprint::conclude(const ByteString* proof) { done_({true, pool_.proven_identity(key_.described(proof))}); }

}  // namespace p11shim
