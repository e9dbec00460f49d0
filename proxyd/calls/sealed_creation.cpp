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
#include "proxyd/tokens/fingerprint.h"
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
  std::make_shared<SealedCreation>(pool, std::move(order), std::move(done))->begin();
}

SealedCreation::SealedCreation(Pool& pool, Order order, Done done)
    : pool_(pool),
      order_(std::move(order)),
      done_(std::move(done)),
      generation_(order_.on->worker.generation()),
      pool_lives_(pool.alive()),
      timer_(pool.runtime().loop, [this] {
        if (pool_lives_.expired()) return waiting_.reset();
        too_late_ = true;
        stop_waiting();
        if (waiting_ != nullptr) resume();
      }) {}

SealedCreation::Sight SealedCreation::sight_of(Membership& membership) const {
  if (Pool::is_away(membership)) return Sight::away;
  LoginDomain& user = membership.member.user();
  if ((order_.logged_in ? user.worker() : membership.member.backend().worker()).rests()) return Sight::away;
  Place* place = pool_.place_of(membership, order_.logged_in);
  if (place == nullptr) return Sight::settling;
  const Survey& survey = membership.survey_of(*place);
  return survey.looked_twice_since(0) && !survey.running() ? Sight::known : Sight::settling;
}

void SealedCreation::wait(Step step) {
  step_ = step;
  if (!timer_.active()) timer_.start(pool_.config.balance.attempt_timeout);
  waiting_ = shared_from_this();
  pool_.changed.add(*this);
}

void SealedCreation::resume() {
  const auto self = std::move(waiting_);
  (this->*step_)();
}

// Everything that is there now must be known: what is there afterwards and is not was made by this.
void SealedCreation::begin() {
  among_ = 0;
  bool settles = false;
  for (const auto& each : pool_.members) {
    const Sight sight = sight_of(*each);
    settles |= sight == Sight::settling;
    if (sight == Sight::known) among_ |= each->bit();
  }
  if (settles && !too_late_) return wait(&SealedCreation::begin);
  timer_.stop();
  too_late_ = false;
  Membership& maker = pool_.of(*order_.on);
  if ((among_ & maker.bit()) == 0 || generation_ != order_.on->worker.generation()) {
    pool_.runtime().log.warn("pool {}: a key that is not extractable is not made: what member {} has is not known now",
                             pool_.config.name, maker.member.name());
    return done_(CKR_DEVICE_ERROR, {}, answer_);
  }
  if (!order_.logged_in)  // private objects are out of sight
    for (Debt& each : order_.makes) each.is_private = false;
  write_ = pool_.debts.begin_creation(order_.makes, among_);
  if (!write_) return done_(CKR_DEVICE_ERROR, {}, answer_);
  left_ = among_ & ~maker.bit();
  creation_ = maker.creations.begin();
  Errand::make_key(
      *order_.on, order_.call, order_.objects, std::move(order_.body),
      [self = shared_from_this()](Reply* reply, std::shared_ptr<SessionObject> object) {
        self->made(reply, std::move(object));
      },
      generation_);
}

void SealedCreation::made(Reply* reply, std::shared_ptr<SessionObject> object) {
  object_ = std::move(object);
  const bool is_done = reply != nullptr && reply->rv == CKR_OK && object_ != nullptr;
  if (!is_done && (reply == nullptr || blame_of(reply->rv) != Blame::nobody || reply->rv == CKR_OK))
    unclear_ |= pool_.of(*order_.on).bit();
  if (!is_done) return end(reply == nullptr || reply->rv == CKR_OK ? CKR_DEVICE_ERROR : reply->rv);
  answer_.append(reply->body.data(), reply->body.size());
  described_.append(reply->annex.data(), reply->annex.size());
  const bool is_pair = reply->handles.size() == 2;
  if (!is_pair) return note_key({});
  const std::uint64_t real = reply->handles[0];
  In in(reply->annex);
  Description description;
  ByteString content;
  while (in.remaining() != 0 && read_description(in, description))
    if (description.object == real) content.assign(description.content.begin(), description.content.end());
  pool_.of(*order_.on)
      .survey_of(*order_.on)
      .take_created(reply->annex,
                    [self = shared_from_this(), real, content](const auto&) { self->note_public(real, content); });
}

void SealedCreation::note_public(std::uint64_t real, const ByteString& content) {
  const std::uint64_t handle = order_.on->objects.handle_of(real);
  const TokenObject* object = handle != 0 ? pool_.objects.find(handle) : nullptr;
  if (object == nullptr) return fail_unclear("its public key is not shown");
  handles_.push_back(handle);
  if (object->by_content && !pool_.debts.note_made(*write_, object->object_class, object->identity))
    return fail("the journal cannot be written");
  note_key(content);
}

// Before any copy can be anywhere.
void SealedCreation::note_key(const ByteString& public_content) {
  if (is_lost()) return fail("its worker was lost");
  In in(described_.bytes());
  Description description, key;
  while (in.remaining() != 0 && read_description(in, description))
    if (description.object == object_->real) key = description;
  if (!key.readable) return fail("it is not described");
  Fingerprint::take(
      pool_, *order_.on, key, public_content, generation_,
      [self = shared_from_this(), object_class = key.object_class](const Fingerprint::Result& result) {
        if (!result.known) return self->fail("it cannot be checked");
        if (result.identity && !self->pool_.debts.note_made(*self->write_, object_class, *result.identity))
          return self->fail("the journal cannot be written");
        self->handles_.empty() ? self->seal_first() : self->copy_public();
      });
}

// Public keys first: they prove what the private ones are.
void SealedCreation::copy_public() {
  CreationCopies::run(
      pool_, *order_.on, order_.logged_in, handles_, {},
      [self = shared_from_this()](std::size_t least) {
        self->least_ = least;
        self->seal_first();
      },
      among_);
}

void SealedCreation::seal_first() {
  if (is_lost()) return fail("its worker was lost");
  ObjectCopy::run(pool_, {order_.on, object_->real, order_.on, true, true},
                  [self = shared_from_this()](ObjectCopy::Outcome outcome, const std::string& why,
                                              std::span<const std::uint8_t> annex) {
                    if (outcome == ObjectCopy::Outcome::done) return self->bind_first(annex);
                    outcome == ObjectCopy::Outcome::unclear ? self->fail_unclear(why) : self->fail(why);
                  });
}

void SealedCreation::bind_first(std::span<const std::uint8_t> annex) {
  In in(annex);
  Description description;
  if (!read_description(in, description)) return fail_unclear("it is not described");
  const std::uint64_t real = description.object;
  pool_.of(*order_.on).survey_of(*order_.on).take_created(annex, [self = shared_from_this(), real](const auto&) {
    const std::uint64_t handle = self->order_.on->objects.handle_of(real);
    const TokenObject* object = handle != 0 ? self->pool_.objects.find(handle) : nullptr;
    if (object == nullptr) return self->fail_unclear("nobody can say what it is");
    self->handles_.push_back(handle);
    self->identity_ = object->identity;
    self->pool_.debts.lock(self->identity_, [self] {
      self->locked_ = true;
      for (const auto& each : self->pool_.members)
        if ((self->among_ & each->bit()) == 0) self->without(*each, "it cannot be reached");
      self->seal_next();
    });
  });
}

void SealedCreation::without(const Membership& membership, const std::string& why) {
  pool_.runtime().log.warn(
      "pool {}: member {} has no copy of a key that is not extractable, and cannot get one later: {}",
      pool_.config.name, membership.member.name(), why);
}

void SealedCreation::seal_next() {
  const auto next = std::ranges::find_if(pool_.members, [&](const auto& each) { return (left_ & each->bit()) != 0; });
  if (next == pool_.members.end()) {
    const bool enough = std::min(copies_, least_) >= pool_.config.balance.min_copies;
    return enough ? end(CKR_OK) : undo();
  }
  Membership& membership = **next;
  const Sight sight = sight_of(membership);
  if (sight == Sight::settling && !too_late_ && !is_lost()) return wait(&SealedCreation::seal_next);
  timer_.stop();
  too_late_ = false;
  left_ &= ~membership.bit();
  Place* to = pool_.place_of(membership, order_.logged_in);
  if (sight != Sight::known || to == nullptr || is_lost()) {
    without(membership, is_lost() ? "the member that made it was lost" : "it cannot be reached");
    return seal_next();
  }
  ObjectCopy::run(pool_, {order_.on, object_->real, to, true, true},
                  [self = shared_from_this(), to, &membership, creation = membership.creations.begin()](
                      ObjectCopy::Outcome outcome, const std::string& why, std::span<const std::uint8_t> annex) {
                    const auto over = [self, &membership, creation] {
                      membership.creations.end(creation);
                      self->seal_next();
                    };
                    if (outcome == ObjectCopy::Outcome::done) return self->bind_copy(*to, annex, over);
                    self->without(membership, why);
                    if (outcome == ObjectCopy::Outcome::unclear) self->unclear_ |= membership.bit();
                    over();
                  });
}

// It is known as what it is a copy of: by what proves it, or because it was just made.
void SealedCreation::bind_copy(Place& to, std::span<const std::uint8_t> annex, std::function<void()> then) {
  pool_.debts.bind_made(to, annex, identity_, [self = shared_from_this(), &to, then](Debts::Bound bound) {
    Membership& membership = self->pool_.of(to);
    if (bound == Debts::Bound::known) ++self->copies_;
    else self->without(membership, "nobody can say whether what was made there is the same");
    if (bound != Debts::Bound::known) self->unclear_ |= membership.bit();
    then();
  });
}

void SealedCreation::fail(const std::string& why) {
  pool_.runtime().log.error("pool {}: a key that is not extractable is not made, since it could not be copied: {}",
                            pool_.config.name, why);
  undo();
}

// Nobody knows what the member that makes it has now.
void SealedCreation::fail_unclear(const std::string& why) {
  unclear_ |= pool_.of(*order_.on).bit();
  fail(why);
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
  CopyWrite::start(pool_, std::move(order), [self = shared_from_this()](CK_RV rv) {
    if (rv != CKR_OK) self->unclear_ = self->among_;
    self->handles_.empty() ? self->end(CKR_DEVICE_ERROR) : self->undo();
  });
}

void SealedCreation::end(CK_RV rv) {
  if (std::exchange(locked_, false)) pool_.debts.unlock(identity_);
  if (object_ != nullptr && object_->place != nullptr) Applications::end_object(*object_, true);
  pool_.of(*order_.on).creations.end(creation_);
  if (rv == CKR_OK && !pool_.debts.finish_creation(*write_, handles_, unclear_)) {
    rv = CKR_DEVICE_ERROR;
    unclear_ = among_;
  }
  if (rv != CKR_OK) pool_.debts.fail_creation(*write_, unclear_);
  done_(rv, handles_, answer_);
}

}  // namespace p11shim
