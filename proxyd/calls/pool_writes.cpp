// What is made, changed and destroyed in a pool of several members.
#include <spdlog/spdlog.h>

#include "calls/templates.h"
#include "proxyd/calls/client_call.h"
#include "proxyd/calls/sealed_creation.h"
#include "proxyd/login/secret_copy.h"
#include "proxyd/tokens/copy_write.h"
#include "proxyd/tokens/replication.h"

namespace p11shim {
namespace {

using List = CK_FUNCTION_LIST_3_0;

// What a call is to make, as far as its template says.
struct Making {
  CK_OBJECT_CLASS object_class = CKO_SECRET_KEY;
  bool on_token = false;
  std::optional<bool> is_private;
  std::vector<std::uint8_t> id;
  std::string label;
};

void read_making(In& in, Making& making) {
  Arena arena;
  arena.mark_secret();
  CK_ATTRIBUTE_PTR attributes = nullptr;
  CK_ULONG count = 0;
  decode_template(in, arena, attributes, count);
  for (CK_ULONG i = 0; in.ok() && attributes != nullptr && i < count; ++i) {
    const CK_ATTRIBUTE& each = attributes[i];
    const auto* bytes = static_cast<const std::uint8_t*>(each.pValue);
    if (bytes == nullptr) continue;
    const bool is_flag = each.ulValueLen == sizeof(CK_BBOOL);
    if (each.type == CKA_CLASS && each.ulValueLen == sizeof(CK_ULONG))
      std::memcpy(&making.object_class, bytes, sizeof making.object_class);
    if (each.type == CKA_TOKEN && is_flag) making.on_token = *bytes != CK_FALSE;
    if (each.type == CKA_PRIVATE && is_flag) making.is_private = *bytes != CK_FALSE;
    if (each.type == CKA_ID) making.id.assign(bytes, bytes + each.ulValueLen);
    if (each.type == CKA_LABEL) making.label.assign(bytes, bytes + each.ulValueLen);
  }
}

// `original`: of C_CopyObject, if it is a token object.
std::vector<Making> made_by(const Request& request, const TokenObject* original) {
  std::vector<Making> all(1);
  In in(request.body);
  switch (request.call) {
    case number_of<&List::C_CreateObject>(): break;
    case number_of<&List::C_CopyObject>():
      if (original != nullptr)
        all[0] = {original->object_class, true, original->is_private, original->id, original->label};
      break;
    case number_of<&List::C_GenerateKeyPair>():
      in.skip();
      all[0].object_class = CKO_PUBLIC_KEY;
      all.emplace_back().object_class = CKO_PRIVATE_KEY;
      break;
    case number_of<&List::C_UnwrapKey>():
      in.skip();
      in.skip();
      break;
    default: in.skip();
  }
  for (Making& each : all) read_making(in, each);
  if (!in.ok()) return {};
  std::erase_if(all, [](const Making& each) { return !each.on_token; });
  return all;
}

Debt debt_of(const Making& making) {
  const bool is_key = making.object_class == CKO_PRIVATE_KEY || making.object_class == CKO_SECRET_KEY;
  Debt debt;
  debt.kind = DebtKind::create;
  debt.object_class = making.object_class;
  debt.is_private = making.is_private.value_or(is_key);
  debt.id = making.id;
  debt.label = making.label;
  return debt;
}

}  // namespace

// It changes or destroys a token object that this application may see. Of any other the module says what is wrong.
bool ClientCall::writes_to_copies() {
  const Objects kind = info_->policy.objects;
  if ((kind != Objects::changes && kind != Objects::destroys) || request_.handles.size() != 2) return false;
  const TokenObject* object = pool_->objects.find(request_.handles[1]);
  return object != nullptr &&
         (!object->is_private ||
          (sees_private() && application_->token(*pool_).private_handles.contains(object->handle)));
}

void ClientCall::write_copies() {
  step_ = &ClientCall::write_copies;
  if (!enter_session()) return;
  if (!writes_to_copies()) return go(&ClientCall::forward_balanced);  // gone meanwhile
  if (!session_->read_write) return finish(CKR_SESSION_READ_ONLY);
  place_ = choose_member();
  if (place_ == nullptr) return;
  note_key(pool_->objects.find(request_.handles[1]), nullptr);
  CopyWrite::Order order;
  order.call = request_.call;
  order.handle = request_.handles[1];
  order.body = secret_copy(request_.body);
  order.logged_in = logged_in();
  order.first = place_;
  CopyWrite::start(*pool_, std::move(order), guarded([this](CK_RV rv) {
    if (rv == CKR_OK && info_->policy.objects == Objects::destroys)
      application_->token(*pool_).private_handles.erase(request_.handles[1]);
    finish(rv);
  }));
}

// A key that is not to be extractable, on all members at once: sealed_creation.h.
void ClientCall::create_sealed() {
  step_ = &ClientCall::create_sealed;
  if (!enter_session()) return;
  if (!session_->read_write) return finish(CKR_SESSION_READ_ONLY);
  place_ = choose_member();
  if (place_ == nullptr) return;
  SealedCreation::Order order;
  order.on = place_;
  order.call = request_.call;
  order.logged_in = logged_in();
  for (std::size_t i = 1; i < request_.handles.size(); ++i) {
    std::uint64_t real = CK_INVALID_HANDLE;
    resolve(*place_, request_.handles[i], real);
    order.objects.push_back(real);
  }
  if (!sealed_body(request_, order.body)) return finish(CKR_ARGUMENTS_BAD);
  for (const Making& each : made_by(request_, nullptr)) order.makes.push_back(debt_of(each));
  SealedCreation::run(*pool_, std::move(order),
                      guarded([this](CK_RV rv, const std::vector<std::uint64_t>& handles, const Buffer& body) {
                        if (rv != CKR_OK) return finish(rv);
                        for (const std::uint64_t handle : handles) {
                          const TokenObject* object = pool_->objects.find(handle);
                          if (object != nullptr && object->is_private)
                            application_->token(*pool_).private_handles.insert(handle);
                          note_key(object, nullptr);
                          reply_.handles.add(handle);
                        }
                        scratch_.clear();
                        scratch_.append(body.data(), body.size());
                        finish(CKR_OK, scratch_.bytes());
                      }));
}

// As a session object: it dies with the real session in which it is made, which nobody uses again if this call is given up.
bool ClientCall::makes_session_key() const {
  if (request_.call != number_of<&List::C_DeriveKey>() || !request_.has_mechanism) return false;
  // These may name more keys in their parameter, each with a template of its own.
  const CK_MECHANISM_TYPE mechanism = request_.mechanism;
  if (mechanism == CKM_SP800_108_COUNTER_KDF || mechanism == CKM_SP800_108_FEEDBACK_KDF ||
      mechanism == CKM_SP800_108_DOUBLE_PIPELINE_KDF || mechanism >= CKM_VENDOR_DEFINED)
    return false;
  return made_by(request_, nullptr).empty();
}

// Written down before it is sent to the member that place_ is on: whatever happens then, it is known that something may be
// there that the others do not have. False: it is finished.
bool ClientCall::begin_creation() {
  if (info_->policy.objects != Objects::creates) return true;
  Membership& on = pool_->of(*place_);
  if (creates_on_ == &on) return true;
  end_creation(true);  // where it was before nothing was begun
  creates_on_ = &on;
  creation_ = on.creations.begin();
  Debts& debts = pool_->debts;
  // What is not copied may still be what was destroyed once, and is then no offence.
  const bool may_be_again = debts.journal().has_limits();
  if (pool_->config.balance.replication == Replication::none && !may_be_again) return true;
  JournalChange change;
  const TokenObject* original = request_.handles.size() > 1 ? pool_->objects.find(request_.handles[1]) : nullptr;
  for (const Making& each : made_by(request_, original)) {
    if (!debts.copies(each.object_class) && !may_be_again) continue;
    Debt& debt = change.add.emplace_back(debt_of(each));
    debt.pool = pool_->config.name;
    debt.member = on.member.name();
  }
  const std::size_t count = change.add.size();
  if (count == 0) return true;
  const auto write = debts.journal().apply(std::move(change));
  if (!write) {
    services_.runtime.log.error("pool {}: nothing was made: {}", pool_->config.name, debts.journal().problem());
    return finish(CKR_DEVICE_ERROR), false;
  }
  for (std::uint64_t number = *write; number != *write + count; ++number) {
    debts.journal().find(number)->under_way = true;
    creations_.push_back(number);
  }
  return true;
}

// `known`: nothing was made, or somebody else sees to it.
void ClientCall::end_creation(bool known) {
  if (creates_on_ == nullptr) return;
  Debts& debts = pool_->debts;
  std::exchange(creates_on_, nullptr)->creations.end(creation_);
  JournalChange change;
  change.remove = std::exchange(creations_, {});
  if (!known)
    for (const std::uint64_t number : change.remove) debts.look_for_creation(number);
  else if (!change.remove.empty()) debts.write_down(std::move(change));
}

// What a module has made is checked before the application learns its handle, so that it is the same object from then on
// whatever happens.
void ClientCall::created_in_pool(Reply& reply) {
  bool on_token = false, all_readable = true;
  In in(reply.annex);
  Description description;
  while (in.remaining() != 0 && read_description(in, description)) {
    on_token |= description.readable && description.is_token;
    all_readable &= description.readable;
  }
  // The member failed when it was to show what it has made: that is looked for.
  if (!all_readable && !creations_.empty()) return finish(CKR_DEVICE_ERROR);
  if (!on_token) {
    end_creation(true);
    after_success(reply);
    return finish(reply.rv, reply.body);
  }
  struct Created {
    Reply reply;
    Buffer annex;
  };
  auto created = std::make_shared<Created>();
  created->reply.rv = reply.rv;
  for (const std::uint64_t real : reply.handles) created->reply.handles.add(real);
  created->annex.append(reply.annex.data(), reply.annex.size());
  created->reply.annex = created->annex.bytes();
  scratch_.clear();
  scratch_.append(reply.body.data(), reply.body.size());
  const std::uint64_t generation = place_->worker.generation();
  pool_->of(*place_).survey_of(*place_).take_created(
      created->reply.annex, guarded([this, created, generation](const auto&) {
        if (generation != place_->worker.generation() || place_->worker.state() != Worker::State::ready) {
          lease_ = nullptr;  // gone with its worker
          return finish(CKR_DEVICE_ERROR);
        }
        In annex(created->reply.annex);
        Description made;
        bool all_known = true;
        while (annex.remaining() != 0 && read_description(annex, made))
          all_known &= !made.readable || !made.is_token || place_->objects.handle_of(made.object) != 0;
        if (!all_known) return finish(CKR_DEVICE_ERROR);  // the member failed when it was to show what it has made
        after_success(created->reply);
        std::vector<std::uint64_t> handles(reply_.handles.begin(), reply_.handles.end());
        std::erase_if(handles, [](std::uint64_t handle) { return (handle & kSessionObjectBit) != 0; });
        copy_created(handles);
      }));
}

void ClientCall::copy_created(const std::vector<std::uint64_t>& handles) {
  const BalanceConfig& balance = pool_->config.balance;
  if (balance.replication == Replication::none) {
    end_creation(true);
    return finish(CKR_OK, scratch_.bytes());
  }
  settle_lease();
  if (!pool_->debts.acknowledge(handles)) return finish(CKR_DEVICE_ERROR);
  auto intentions = std::exchange(creations_, {});
  end_creation(true);
  CreationCopies::run(
      *pool_, *place_, logged_in(), handles, std::move(intentions), guarded([this, handles](std::size_t least) {
        if (least >= pool_->config.balance.min_copies) return finish(CKR_OK, scratch_.bytes());
        services_.runtime.log.warn("pool {}: {} is undone: {} of {} copies could be made (min_copies)",
                                   pool_->config.name, info_->name, least, pool_->config.balance.min_copies);
        const auto left = std::make_shared<std::size_t>(handles.size());
        for (const std::uint64_t handle : handles) {
          application_->token(*pool_).private_handles.erase(handle);
          CopyWrite::Order order;
          order.call = number_of<&List::C_DestroyObject>();
          order.handle = handle;
          order.logged_in = logged_in();
          order.first = place_;
          CopyWrite::start(*pool_, std::move(order), guarded([this, left](CK_RV) {
            if (--*left == 0) finish(CKR_DEVICE_ERROR);
          }));
        }
      }));
}

}  // namespace p11shim
