#include "proxyd/tokens/object_copy.h"

#include <algorithm>
#include <cstring>

#include "calls/mechanism_codec.h"
#include "calls/table.h"
#include "calls/templates.h"
#include "pkcs11/names.h"
#include "proxyd/balance/faults.h"
#include "proxyd/login/secret_copy.h"
#include "proxyd/tokens/errand.h"
#include "proxyd/tokens/pool.h"

namespace p11shim {
namespace {

using List = CK_FUNCTION_LIST_3_0;
constexpr std::uint64_t kRoom = 64 << 10;  // for a wrapped key
constexpr CK_ULONG kTrialSize = 16;
constexpr CK_ULONG kWrapBlock = 8;

void put_mechanism(Out& out, CK_MECHANISM_TYPE type) {
  Handles none;
  encode_mechanism(out, none, CK_MECHANISM{type, nullptr, 0});
}

Buffer trial_template(bool generate) {
  CK_OBJECT_CLASS object_class = CKO_SECRET_KEY;
  CK_KEY_TYPE type = CKK_AES;
  CK_ULONG size = kTrialSize;
  CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
  const CK_ATTRIBUTE attributes[] = {{CKA_CLASS, &object_class, sizeof object_class},
                                     {CKA_KEY_TYPE, &type, sizeof type},
                                     {CKA_TOKEN, &no, sizeof no},
                                     {CKA_PRIVATE, &yes, sizeof yes},
                                     {CKA_SENSITIVE, &yes, sizeof yes},
                                     {CKA_EXTRACTABLE, &yes, sizeof yes},
                                     {CKA_VALUE_LEN, &size, sizeof size}};
  Buffer tmpl;
  Out out(tmpl);
  encode_template(out, attributes, std::size(attributes) - (generate ? 0 : 1));
  return tmpl;
}

// `number`: if the template does not say.
CK_ULONG number_in(std::span<const std::uint8_t> tmpl, CK_ATTRIBUTE_TYPE type, CK_ULONG number) {
  Arena arena;
  arena.mark_secret();
  CK_ATTRIBUTE_PTR attributes = nullptr;
  CK_ULONG count = 0;
  In in(tmpl);
  decode_template(in, arena, attributes, count);
  for (CK_ULONG i = 0; in.ok() && i < count; ++i)
    if (attributes[i].type == type && attributes[i].ulValueLen == sizeof number)
      std::memcpy(&number, attributes[i].pValue, sizeof number);
  return number;
}

Buffer with(const Buffer& tmpl, bool on_token, bool extractable) {
  Arena arena;
  arena.mark_secret();
  CK_ATTRIBUTE_PTR attributes = nullptr;
  CK_ULONG count = 0;
  In in(tmpl.bytes());
  decode_template(in, arena, attributes, count);
  Buffer changed;
  changed.mark_secret();
  Out out(changed);
  encode_key_template(out, attributes, in.ok() ? count : 0, on_token, extractable);
  return changed;
}

}  // namespace

void encode_key_template(Out& out, const CK_ATTRIBUTE* attributes, CK_ULONG count, bool on_token, bool extractable) {
  CK_BBOOL lives_there = on_token ? CK_TRUE : CK_FALSE, may_leave = extractable ? CK_TRUE : CK_FALSE;
  std::vector<CK_ATTRIBUTE> all;
  for (CK_ULONG i = 0; i < count; ++i)
    if (attributes[i].type != CKA_TOKEN && attributes[i].type != CKA_EXTRACTABLE) all.push_back(attributes[i]);
  all.push_back({CKA_TOKEN, &lives_there, sizeof lives_there});
  all.push_back({CKA_EXTRACTABLE, &may_leave, sizeof may_leave});
  encode_template(out, all.data(), all.size());
}

void ObjectCopy::run(Pool& pool, Order order, Done done) {
  const auto copy = std::make_shared<ObjectCopy>(pool, order, std::move(done));
  if (!order.is_key) return copy->read();
  if (pool.config.balance.replication != Replication::wrap)
    return copy->finish(Outcome::impossible, "keys are copied with replication = \"wrap\" only");
  if (!copy->find_wrapping_key(*order.from, copy->wrapping_from_) ||
      !copy->find_wrapping_key(*order.to, copy->wrapping_to_))
    return;
  if (pool.debts.trusted(*order.from, *order.to)) return copy->wrap();
  copy->try_wrapping();
}

void ObjectCopy::finish(Outcome outcome, const std::string& why, std::span<const std::uint8_t> annex) {
  forget(*order_.from, trial_from_);
  forget(*order_.to, trial_to_);
  const Done done = std::move(done_);
  done(outcome, why, annex);
}

void ObjectCopy::forget(Place& at, std::uint64_t& key) {
  if (key != 0) call(at, number_of<&List::C_DestroyObject>(), {std::exchange(key, 0)}, true, {}, [](Reply*) {});
}

void ObjectCopy::call(Place& at, std::uint32_t number, std::vector<std::uint64_t> objects, bool read_write, Buffer body,
                      std::function<void(Reply*)> done) {
  Errand::call(at, number, std::move(objects), read_write, std::move(body), std::move(done), generation_of(at));
}

bool ObjectCopy::good(const Reply* reply, const Place& at, const char* what) {
  if (reply != nullptr && reply->rv == CKR_OK) return true;
  const bool trouble = reply == nullptr || blame_of(reply->rv) != Blame::nobody || misses_object(reply->rv) ||
                       reply->rv == CKR_USER_NOT_LOGGED_IN;
  finish(trouble  ? making_ ? Outcome::unclear : Outcome::trouble
         : trial_ ? Outcome::hindered
                  : Outcome::impossible,
         "member " + at.member->name() + ": " + what + ": " +
             (reply == nullptr ? "no answer" : display(NameKind::ckr, reply->rv)));
  return false;
}

// The one key of that name there.
bool ObjectCopy::find_wrapping_key(Place& at, std::uint64_t& real) {
  const auto keys = pool_.wrapping_keys_on(at);
  if (keys.size() == 1) {
    real = keys.front();
    return true;
  }
  finish(Outcome::hindered, "member " + at.member->name() + " has " + (keys.empty() ? "no key" : "several keys") +
                                " \"" + pool_.config.balance.wrapping_key + "\" (wrapping_key)");
  return false;
}

void ObjectCopy::read() {
  Buffer all;
  Out(all).array(0);
  call(*order_.from, kReadTemplate, {order_.real}, false, std::move(all), [self = shared_from_this()](Reply* reply) {
    if (!self->good(reply, *self->order_.from, "its attributes cannot be read")) return;
    self->template_ = secret_copy(reply->body);
    if (self->order_.seals) self->template_ = with(self->template_, true, false);  // as the application wanted the key
    self->order_.is_key ? self->unwrap() : self->create();
  });
}

void ObjectCopy::create() {
  making_ = true;
  call(*order_.to, number_of<&List::C_CreateObject>(), {}, true, secret_copy(template_.bytes()),
       [self = shared_from_this()](Reply* reply) {
         if (self->good(reply, *self->order_.to, "C_CreateObject")) self->finish(Outcome::done, {}, reply->annex);
       });
}

void ObjectCopy::wrap_at(Place& at, std::uint64_t wrapping_key, std::uint64_t key,
                         std::function<void(ObjectCopy&, std::span<const std::uint8_t>)> then) {
  Buffer body;
  Out out(body);
  put_mechanism(out, at.member->config().wrap_mechanism);
  out.uint(kRoom);
  call(at, number_of<&List::C_WrapKey>(), {wrapping_key, key}, false, std::move(body),
       [self = shared_from_this(), &at, then = std::move(then)](Reply* reply) {
         if (!self->good(reply, at, "C_WrapKey")) return;
         In in(reply->body);
         Handles none;
         decode_mechanism_outputs(in, none, CK_MECHANISM{at.member->config().wrap_mechanism, nullptr, 0});
         in.uint();
         const auto wrapped = in.bin();
         if (!in.done())
           return self->finish(Outcome::trouble, "member " + at.member->name() + ": C_WrapKey: no result");
         then(*self, wrapped);
       });
}

void ObjectCopy::unwrap_at(std::span<const std::uint8_t> tmpl, std::function<void(ObjectCopy&, Reply&)> then) {
  Buffer body;
  Out out(body);
  put_mechanism(out, order_.to->member->config().wrap_mechanism);
  out.bin(wrapped_);
  body.append(tmpl.data(), tmpl.size());
  call(*order_.to, number_of<&List::C_UnwrapKey>(), {wrapping_to_}, true, std::move(body),
       [self = shared_from_this(), then = std::move(then)](Reply* reply) {
         if (!self->good(reply, *self->order_.to, "C_UnwrapKey")) return;
         if (reply->handles.size() != 1)
           return self->finish(Outcome::unclear,
                               "member " + self->order_.to->member->name() + ": C_UnwrapKey: no result");
         then(*self, *reply);
       });
}

void ObjectCopy::wrap() {
  wrap_at(*order_.from, wrapping_from_, order_.real, [](ObjectCopy& self, std::span<const std::uint8_t> wrapped) {
    self.wrapped_.assign(wrapped.begin(), wrapped.end());
    self.read();
  });
}

void ObjectCopy::unwrap() {
  if (number_in(template_.bytes(), CKA_CLASS, CKO_VENDOR_DEFINED) != CKO_SECRET_KEY) return make();
  ask_length(*order_.from, order_.real, [](ObjectCopy& self, CK_ULONG original) {
    original % kWrapBlock == 0 ? self.make() : self.try_length(original);
  });
}

void ObjectCopy::make() {
  making_ = true;
  unwrap_at(template_.bytes(), [](ObjectCopy& self, Reply& reply) { self.finish(Outcome::done, {}, reply.annex); });
}

// What was filled up to whole blocks says so by its length alone: a MAC made with it is the same. Seen on a session object, since
// one that is of no use must not be there if proxyd or the worker dies now.
void ObjectCopy::try_length(CK_ULONG original) {
  const Buffer tmpl = with(template_, false, !order_.seals);
  unwrap_at(tmpl.bytes(), [original](ObjectCopy& copy, Reply& reply) {
    copy.trial_to_ = reply.handles[0];
    copy.ask_length(*copy.order_.to, copy.trial_to_, [original](ObjectCopy& self, CK_ULONG length) {
      self.forget(*self.order_.to, self.trial_to_);
      if (length == original) return self.make();
      self.finish(Outcome::impossible,
                  "member " + self.order_.to->member->name() + " makes " +
                      (length != 0 ? std::to_string(length) + " bytes" : "a key of unknown length") + " of its " +
                      std::to_string(original) + " bytes");
    });
  });
}

// 0: nothing says how long it is. The class, which every object has, tells that from an object that cannot be read now.
void ObjectCopy::ask_length(Place& at, std::uint64_t key, std::function<void(ObjectCopy&, CK_ULONG)> then) {
  Buffer types;
  Out out(types);
  out.array(2);
  out.uint(CKA_CLASS);
  out.uint(CKA_VALUE_LEN);
  call(at, kReadTemplate, {key}, false, std::move(types),
       [self = shared_from_this(), &at, then = std::move(then)](Reply* reply) {
         if (!self->good(reply, at, "its length cannot be read")) return;
         then(*self, number_in(reply->body, CKA_VALUE_LEN, 0));
       });
}

void ObjectCopy::try_wrapping() {
  trial_ = true;
  Buffer body;
  Out out(body);
  put_mechanism(out, CKM_AES_KEY_GEN);
  const Buffer tmpl = trial_template(true);
  body.append(tmpl.data(), tmpl.size());
  call(*order_.from, number_of<&List::C_GenerateKey>(), {}, true, std::move(body),
       [self = shared_from_this()](Reply* reply) {
         if (!self->good(reply, *self->order_.from, "C_GenerateKey")) return;
         if (reply->handles.size() != 1)
           return self->finish(Outcome::trouble,
                               "member " + self->order_.from->member->name() + ": C_GenerateKey: no result");
         self->trial_from_ = reply->handles[0];
         self->wrap_at(*self->order_.from, self->wrapping_from_, self->trial_from_,
                       [](ObjectCopy& copy, std::span<const std::uint8_t> wrapped) {
                         copy.wrapped_.assign(wrapped.begin(), wrapped.end());
                         copy.try_unwrapping();
                       });
       });
}

// What is refused here says that the wrapping keys or the mechanisms differ.
void ObjectCopy::try_unwrapping() {
  Buffer body;
  Out out(body);
  put_mechanism(out, order_.to->member->config().wrap_mechanism);
  out.bin(wrapped_);
  const Buffer tmpl = trial_template(false);
  body.append(tmpl.data(), tmpl.size());
  call(*order_.to, number_of<&List::C_UnwrapKey>(), {wrapping_to_}, true, std::move(body),
       [self = shared_from_this()](Reply* reply) {
         if (reply == nullptr || blame_of(reply->rv) == Blame::member)
           return void(self->good(reply, *self->order_.to, "C_UnwrapKey"));
         if (reply->rv != CKR_OK || reply->handles.size() != 1) return self->tried(false);
         self->trial_to_ = reply->handles[0];
         self->compare_wrapping();
       });
}

void ObjectCopy::compare_wrapping() {
  wrap_at(*order_.to, wrapping_to_, trial_to_, [](ObjectCopy& self, std::span<const std::uint8_t> wrapped) {
    self.tried(std::ranges::equal(wrapped, self.wrapped_));
  });
}

void ObjectCopy::tried(bool same) {
  forget(*order_.from, trial_from_);
  forget(*order_.to, trial_to_);
  if (!same)
    return finish(Outcome::hindered,
                  "what member " + order_.from->member->name() + " wraps member " + order_.to->member->name() +
                      " does not unwrap: their wrapping keys differ, or what they mean by their wrap_mechanism");
  trial_ = false;
  pool_.debts.trust(*order_.from, *order_.to);
  wrap();
}

}  // namespace p11shim
