#include "proxyd/calls/sealed_creation.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "calls/table.h"
#include "calls/templates.h"
#include "pkcs11/names.h"
#include "proxyd/applications/applications.h"
#include "proxyd/balance/faults.h"
#include "proxyd/tokens/copy_write.h"
#include "proxyd/tokens/errand.h"
#include "proxyd/tokens/object_copy.h"
#include "proxyd/tokens/replication.h"

namespace p11shim {
namespace {

using List = CK_FUNCTION_LIST_3_0;

// Arguments before the template of the key; the last one is that template.
std::optional<std::size_t> arguments_before_key(std::uint32_t call) {
  switch (call) {
    case number_of<&List::C_CreateObject>(): return 0;
    case number_of<&List::C_GenerateKey>():
    case number_of<&List::C_DeriveKey>(): return 1;
    case number_of<&List::C_GenerateKeyPair>():
    case number_of<&List::C_UnwrapKey>(): return 2;
    default: return std::nullopt;
  }
}

struct KeyTemplate {
  Arena arena;
  CK_ATTRIBUTE_PTR attributes = nullptr;
  CK_ULONG count = 0;

  explicit KeyTemplate(In& in) {
    arena.mark_secret();
    decode_template(in, arena, attributes, count);
    if (!in.ok() || attributes == nullptr) count = 0;
  }
  [[nodiscard]] const CK_ATTRIBUTE* find(CK_ATTRIBUTE_TYPE type) const {
    const auto* end = attributes + count;
    const auto* found = std::find_if(attributes, const_cast<CK_ATTRIBUTE_PTR>(end),
                                     [&](const CK_ATTRIBUTE& each) { return each.type == type; });
    return count == 0 || found == end || found->pValue == nullptr ? nullptr : found;
  }
  [[nodiscard]] bool is(CK_ATTRIBUTE_TYPE type) const {
    const CK_ATTRIBUTE* found = find(type);
    return found != nullptr && found->ulValueLen == sizeof(CK_BBOOL) &&
           *static_cast<const CK_BBOOL*>(found->pValue) != CK_FALSE;
  }
};

}  // namespace

bool makes_sealed_key(const Request& request) {
  const auto before = arguments_before_key(request.call);
  if (!before || (request.has_mechanism && makes_stateful_key(request.mechanism))) return false;
  In in(request.body);
  bool on_token = true;
  for (std::size_t i = 0; i < *before; ++i) {
    if (i == 1 && request.call == number_of<&List::C_GenerateKeyPair>()) on_token &= KeyTemplate(in).is(CKA_TOKEN);
    else in.skip();
  }
  const KeyTemplate key(in);
  if (!in.done() || !on_token || !key.is(CKA_TOKEN) || key.is(CKA_EXTRACTABLE)) return false;
  if (request.call != number_of<&List::C_CreateObject>()) return true;
  const CK_ATTRIBUTE* object_class = key.find(CKA_CLASS);
  CK_OBJECT_CLASS value = 0;
  if (object_class == nullptr || object_class->ulValueLen != sizeof value) return false;
  std::memcpy(&value, object_class->pValue, sizeof value);
  return value == CKO_PRIVATE_KEY || value == CKO_SECRET_KEY;
}

bool sealed_body(const Request& request, Buffer& body) {
  In in(request.body);
  for (std::size_t left = arguments_before_key(request.call).value_or(0); left != 0; --left) in.skip();
  body.mark_secret();
  body.append(request.body.data(), request.body.size() - in.remaining());
  const KeyTemplate key(in);
  if (!in.done()) return false;
  Out out(body);
  encode_key_template(out, key.attributes, key.count, false, true);
  return true;
}

void SealedCreation::run(Pool& pool, Order order, Done done) {
  const auto creation = std::make_shared<SealedCreation>(pool, std::move(order), std::move(done));
  Errand::make_key(
      *creation->order_.on, creation->order_.call, creation->order_.objects, std::move(creation->order_.body),
      [creation](Reply* reply, std::shared_ptr<SessionObject> object) { creation->made(reply, std::move(object)); });
}

void SealedCreation::made(Reply* reply, std::shared_ptr<SessionObject> object) {
  object_ = std::move(object);
  if (reply == nullptr || reply->rv != CKR_OK || object_ == nullptr)
    return done_(reply == nullptr || reply->rv == CKR_OK ? CKR_DEVICE_ERROR : reply->rv, {}, answer_);
  answer_.append(reply->body.data(), reply->body.size());
  const bool is_pair = reply->handles.size() == 2;
  if (!is_pair) return seal_first();
  const std::uint64_t real = reply->handles[0];
  pool_.of(*order_.on).survey_of(*order_.on).take_created(reply->annex, [self = shared_from_this(), real](const auto&) {
    const std::uint64_t handle = self->order_.on->objects.handle_of(real);
    if (handle == 0) return self->fail("its public key is not shown");
    self->handles_.push_back(handle);
    self->copy_public();
  });
}

// Public keys first: they prove what the private ones are.
void SealedCreation::copy_public() {
  CreationCopies::run(pool_, *order_.on, order_.logged_in, handles_, {},
                      [self = shared_from_this()](std::size_t least) {
                        self->least_ = least;
                        self->seal_first();
                      });
}

void SealedCreation::seal_first() {
  if (is_lost()) return fail("its worker was lost");
  ObjectCopy::run(pool_, {order_.on, object_->real, order_.on, true, true},
                  [self = shared_from_this()](ObjectCopy::Outcome outcome, const std::string& why,
                                              std::span<const std::uint8_t> annex) {
                    if (outcome != ObjectCopy::Outcome::done) return self->fail(why);
                    self->bind_first(annex);
                  });
}

void SealedCreation::bind_first(std::span<const std::uint8_t> annex) {
  In in(annex);
  Description description;
  if (!read_description(in, description)) return fail("it is not described");
  const std::uint64_t real = description.object;
  pool_.of(*order_.on).survey_of(*order_.on).take_created(annex, [self = shared_from_this(), real](const auto&) {
    const std::uint64_t handle = self->order_.on->objects.handle_of(real);
    const TokenObject* object = handle != 0 ? self->pool_.objects.find(handle) : nullptr;
    if (object == nullptr) return self->fail("nobody can say what it is");
    self->handles_.push_back(handle);
    self->identity_ = object->identity;
    self->locked_ = true;
    self->pool_.debts.lock(self->identity_, [self] { self->seal_next(0); });
  });
}

void SealedCreation::seal_next(std::size_t index) {
  while (index < pool_.members.size() && &pool_.members[index]->member == order_.on->member) ++index;
  if (index >= pool_.members.size()) {
    const bool enough = std::min(copies_, least_) >= pool_.config.balance.min_copies;
    return enough ? end(CKR_OK) : undo();
  }
  Membership& membership = *pool_.members[index];
  Place* to = pool_.place_of(membership, order_.logged_in);
  const auto go_on = [self = shared_from_this(), index] { self->seal_next(index + 1); };
  const auto without = [this, &membership](const std::string& why) {
    pool_.runtime().log.warn(
        "pool {}: member {} has no copy of a key that is not extractable, and cannot get one later: {}",
        pool_.config.name, membership.member.name(), why);
  };
  const bool reachable = to != nullptr && membership.health.breaker.state() != Breaker::State::open &&
                         !membership.survey_of(*to).incomplete();
  if (!reachable || is_lost()) {
    without(reachable ? "the member that made it was lost" : "it cannot be reached");
    return go_on();
  }
  ObjectCopy::run(pool_, {order_.on, object_->real, to, true, true},
                  [self = shared_from_this(), to, without, go_on, &membership, creation = membership.creations.begin()](
                      ObjectCopy::Outcome outcome, const std::string& why, std::span<const std::uint8_t> annex) {
                    const auto over = [&membership, creation, go_on] {
                      membership.creations.end(creation);
                      go_on();
                    };
                    if (outcome == ObjectCopy::Outcome::done) return self->bind_copy(*to, annex, over);
                    without(why);
                    if (outcome == ObjectCopy::Outcome::unclear)
                      membership.survey_of(*to).doubt(self->pool_.runtime().now_ms());
                    over();
                  });
}

// It is known as what it is a copy of: by what proves it, or because it was just made.
void SealedCreation::bind_copy(Place& to, std::span<const std::uint8_t> annex, std::function<void()> then) {
  const std::uint64_t handle = handles_.back();
  const TokenObject* object = pool_.objects.find(handle);
  In in(annex);
  Description description;
  while (object != nullptr && !object->proven && in.remaining() != 0 && read_description(in, description))
    pool_.note_origin(to, description, identity_);
  pool_.of(to).survey_of(to).take_described(annex, [self = shared_from_this(), &to, handle, then](const auto&) {
    self->copies_ += to.objects.real_of(handle) != 0;
    then();
  });
}

void SealedCreation::fail(const std::string& why) {
  pool_.runtime().log.error("pool {}: a key that is not extractable is not made, since it could not be copied: {}",
                            pool_.config.name, why);
  undo();
}

// What is there is destroyed on all members.
void SealedCreation::undo() {
  if (copies_ < pool_.config.balance.min_copies || least_ < pool_.config.balance.min_copies)
    pool_.runtime().log.warn("pool {}: a creation is undone: {} of {} copies could be made (min_copies)",
                             pool_.config.name, std::min(copies_, least_), pool_.config.balance.min_copies);
  if (std::exchange(locked_, false)) pool_.debts.unlock(identity_);
  if (handles_.empty()) return end(CKR_DEVICE_ERROR);
  CopyWrite::Order order;
  order.call = number_of<&List::C_DestroyObject>();
  order.handle = handles_.back();
  order.logged_in = order_.logged_in;
  order.first = order_.on;
  handles_.pop_back();
  CopyWrite::start(pool_, std::move(order), [self = shared_from_this()](CK_RV) {
    self->handles_.empty() ? self->end(CKR_DEVICE_ERROR) : self->undo();
  });
}

void SealedCreation::end(CK_RV rv) {
  if (std::exchange(locked_, false)) pool_.debts.unlock(identity_);
  if (object_->place != nullptr) Applications::end_object(*object_, true);
  done_(rv, handles_, answer_);
}

}  // namespace p11shim
