#include "proxyd/tokens/copy_write.h"

#include <spdlog/spdlog.h>

#include <algorithm>

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

// The types of a template, encoded as LaneCall::read_template takes them; empty: it cannot be read.
std::vector<std::uint8_t> types_in(const Buffer& body) {
  Arena arena;
  arena.mark_secret();
  In in(body.bytes());
  CK_ATTRIBUTE_PTR attributes = nullptr;
  CK_ULONG count = 0;
  decode_template(in, arena, attributes, count);
  if (!in.done() || attributes == nullptr || count == 0) return {};
  Buffer types;
  Out out(types);
  out.array(count);
  for (CK_ULONG i = 0; i < count; ++i) out.uint(attributes[i].type);
  return {types.data(), types.data() + types.size()};
}

}  // namespace

void CopyWrite::start(Pool& pool, Order order, Done done) {
  const TokenObject* object = pool.objects.find(order.handle);
  if (object == nullptr) return done(CKR_OBJECT_HANDLE_INVALID);
  const auto write = std::make_shared<CopyWrite>(pool, std::move(order), std::move(done));
  write->identity_ = object->identity;
  pool.debts.lock(object->identity, [write] { write->begin(); });
}

CopyWrite::CopyWrite(Pool& pool, Order order, Done done)
    : pool_(pool),
      order_(std::move(order)),
      done_(std::move(done)),
      destroys_(order_.call == number_of<&List::C_DestroyObject>()),
      timer_(pool.runtime().loop, [this] { too_slow(); }) {}

bool CopyWrite::any(State state) const {
  return std::ranges::any_of(targets_, [&](const Target& each) { return each.state == state; });
}

void CopyWrite::begin() {
  const TokenObject* object = pool_.objects.find(order_.handle);
  if (object == nullptr || object->identity != identity_) {  // gone while this waited for its turn
    rv_ = CKR_OBJECT_HANDLE_INVALID;
    return conclude();
  }
  label_ = object->label;
  if (!plan(*object) || !write_intention(*object)) return conclude();
  next();
}

// Who has a copy, and who may have one and cannot be asked. False: it is not begun.
bool CopyWrite::plan(const TokenObject& object) {
  for (const auto& each : pool_.members) {
    Target target;
    target.member = each.get();
    target.place = pool_.place_of(*each, order_.logged_in);
    bool under_way = false;
    for (const Debt* debt : pool_.debts.journal().about(identity_))
      under_way |= debt->under_way && debt->member == each->member.name() && debt->pool == pool_.config.name;
    const Survey* survey = target.place != nullptr ? &each->survey_of(*target.place) : nullptr;
    const bool known = survey != nullptr && !survey->incomplete() && !survey->running() &&
                       survey->looked_twice_since(0) && !pool_.debts.owes(*each, identity_) &&
                       !pool_.debts.holds(*target.place, identity_) && !under_way;
    if (target.place != nullptr) {
      target.real = target.place->objects.real_of(order_.handle);
      target.generation = target.place->worker.generation();
    }
    if (target.real == 0) {
      const bool was_there = (object.members & each->bit()) != 0;
      if (destroys_ && target.place != nullptr && !object.by_content && !object.fleeting)
        target.hidden = pool_.debts.hidden_in(*target.place, debt_about(object));
      if (!was_there && !target.hidden && (known || !object.proven)) continue;
      target.state = State::out_of_reach;
      target.lost = known && !target.hidden;
    }
    targets_.push_back(target);
  }
  if (!std::ranges::any_of(targets_, [](const Target& each) { return each.state == State::waiting; })) {
    rv_ = CKR_OBJECT_HANDLE_INVALID;
    return false;
  }
  if (!destroys_ || pool_.config.balance.destroy == Destroy::journaled || !any(State::out_of_reach)) return true;
  pool_.runtime().log.warn(
      "pool {}: C_DestroyObject of \"{}\" refused: not every member that may have a copy can be reached (destroy = "
      "\"all\")",
      pool_.config.name, object.label);
  return false;
}

Debt CopyWrite::debt_about(const TokenObject& object) const {
  Debt debt;
  debt.kind = destroys_ ? DebtKind::destroy : DebtKind::refresh;
  debt.pool = pool_.config.name;
  debt.identity = identity_;
  debt.handle = order_.handle;
  debt.object_class = object.object_class;
  debt.is_private = object.is_private;
  debt.id = object.id;
  debt.label = object.label;
  return debt;
}

std::uint64_t CopyWrite::left_on(const Target& target) const {
  if (target.hidden) return target.hidden->left;
  const std::size_t twins = pool_.twins_on(identity_, target.place) + unlinked_on(target);
  return twins == 0 ? 0 : twins - 1;
}

// Copies that this process knows as such, and the next one only by what they look like: as what is destroyed here.
std::size_t CopyWrite::unlinked_on(const Target& target) const {
  const TokenObject* object = pool_.objects.find(order_.handle);
  const Identity* origin = pool_.debts.journal().origin(identity_);
  if (object == nullptr || object->by_content || target.place == nullptr || origin == nullptr || *origin != identity_)
    return 0;
  const std::uint32_t number = target.member->number;
  const Identity& features = object->features_on(number);
  std::size_t count = 0;
  pool_.objects.for_each([&](const TokenObject& other) {
    count += other.identity != identity_ && !other.by_content && other.has_features(features, number) &&
             target.place->objects.real_of(other.handle) != 0;
  });
  return count;
}

bool CopyWrite::write_intention(const TokenObject& object) {
  Journal& journal = pool_.debts.journal();
  JournalChange change;
  Debt debt = debt_about(object);
  if (destroys_) {
    limit_before_ = journal.limit(identity_);
    std::uint64_t most_left = 0;
    for (const Target& target : targets_)
      if (target.identity_or(identity_) == identity_) most_left = std::max(most_left, left_on(target));
    change.limits.emplace_back(identity_, most_left);
    // What was to be done to it before need not be done any more.
    for (const Debt* older : journal.about(identity_))
      if (most_left == 0 && older->kind != DebtKind::destroy && !older->under_way) {
        change.remove.push_back(older->number);
        dropped_.push_back(*older);
      }
  } else {
    if (!pool_.debts.acknowledge({order_.handle}, true)) return false;
    debt.details = types_in(order_.body);
    // Alone it is one call: it is done or it is not.
    if (debt.details.empty() || targets_.size() == 1) return true;
  }
  for (const Target& target : targets_) {
    debt.member = target.member->member.name();
    debt.identity = target.identity_or(identity_);
    if (destroys_) {
      debt.count = left_on(target);
      const int flags = (order_.logged_in ? 0 : Debt::kAnonymous) | (target.hidden ? Debt::kUnsure : 0);
      debt.keep_limit(limit_before_, static_cast<std::uint8_t>(flags));
    }
    // What it owes is about what they are known as: they must be that in the next process, too.
    if (debt.identity != identity_) change.origins.emplace_back(debt.identity, debt.identity);
    change.add.push_back(debt);
  }
  write_ = journal.apply(std::move(change));
  if (!write_) {
    pool_.runtime().log.error("pool {}: nothing was changed: {}", pool_.config.name, journal.problem());
    return false;
  }
  std::uint64_t number = *write_;
  for (Target& target : targets_) {
    target.debt = number++;
    if (target.lost) pool_.debts.doubt(*journal.find(target.debt));
  }
  return true;
}

// The one that decides, then all others at once.
void CopyWrite::next() {
  if (decided_) {
    for (std::size_t i = 0; i < targets_.size(); ++i)
      if (targets_[i].state == State::waiting) send(i);
    if (!any(State::under_way) && !concluded_) conclude();
    return;
  }
  std::size_t chosen = targets_.size();
  for (std::size_t i = 0; i < targets_.size(); ++i)
    if (targets_[i].state == State::waiting && (chosen == targets_.size() || targets_[i].place == order_.first))
      chosen = i;
  if (chosen != targets_.size()) return send(chosen);
  if (any(State::under_way)) return;
  if (any(State::failed)) return look();
  conclude();
}

void CopyWrite::send(std::size_t index) {
  Target& target = targets_[index];
  target.state = State::under_way;
  if (Debt* debt = pool_.debts.journal().find(target.debt)) debt->under_way = true;
  timer_.start(pool_.config.balance.attempt_timeout);
  // The object stays locked meanwhile, so nothing else touches it there. In another process than the one that was asked for the
  // handle it would be another object.
  Errand::call(
      *target.place, order_.call, {target.real}, true, secret_copy(order_.body),
      [self = shared_from_this(), index](Reply* reply) { self->answered(index, reply); }, target.generation);
}

void CopyWrite::answered(std::size_t index, Reply* reply) {
  Target& target = targets_[index];
  if (Debt* debt = pool_.debts.journal().find(target.debt)) debt->under_way = false;
  if (reply == nullptr) {
    target.state = State::failed;
  } else if (reply->rv == CKR_OK) {
    target.state = State::done;
  } else if (misses_object(reply->rv)) {
    target.state = State::missing;
  } else if (blame_of(reply->rv, target.place == &target.member->member.public_place()) == Blame::nobody) {
    target.state = State::refused;
  } else {
    target.state = State::failed;
    target.rv = reply->rv;
    if (blame_of(reply->rv, true) == Blame::member) blame(target);  // if its login is gone it is started anew
    if (needs_new_worker(reply->rv)) pool_.renew_worker(*target.place, reply->rv);
  }
  if (concluded_) {  // too late for the application, but it counts
    if (target.state == State::done) pool_.debts.paid(target.debt);
    return;
  }
  if (target.state == State::done && !decided_) {
    decided_ = true;
    rv_ = CKR_OK;
    for (const Target& each : targets_)
      if (blame_of(each.rv) == Blame::suspect) blame(each);
    description_.append(reply->annex.data(), reply->annex.size());
    described_by_ = target.place;
  } else if (target.state == State::refused) {
    rv_ = reply->rv;
    if (!decided_) return conclude();
  } else if (decided_ && blame_of(target.rv) == Blame::suspect) {
    blame(target);
  }
  next();
}

void CopyWrite::blame(const Target& target) {
  target.member->health.breaker.failed(
      pool_.runtime().now_ms(),
      std::string(destroys_ ? "C_DestroyObject" : "C_SetAttributeValue") + ": " + display(NameKind::ckr, target.rv),
      false);
}

// All that were asked are done with it, and none has done it. If all have answered the application gets a module's code. What
// came of a change is compared (debts); where an object that was to be destroyed is still there, nothing was done.
void CopyWrite::look() {
  for (auto each = targets_.rbegin(); each != targets_.rend(); ++each)
    if (each->state == State::failed && each->rv != CKR_OK) rv_ = each->rv;
  const bool all_answered = std::ranges::none_of(
      targets_, [](const Target& each) { return each.state == State::failed && each.rv == CKR_OK; });
  if (!all_answered) rv_ = CKR_DEVICE_ERROR;
  if (!all_answered || !destroys_) return conclude();
  timer_.start(pool_.config.balance.attempt_timeout);
  looks_ = true;
  left_to_look_ = targets_.size();
  for (std::size_t i = 0; i < targets_.size(); ++i) {
    const Target& target = targets_[i];
    if (target.state != State::failed) {
      looked(i, nullptr);
      continue;
    }
    // In another process the handle would mean something else.
    Errand::call(
        *target.place, static_cast<std::uint32_t>(LaneCall::describe), {target.real}, false, {},
        [self = shared_from_this(), i](Reply* reply) { self->looked(i, reply); }, target.generation);
  }
}

void CopyWrite::looked(std::size_t index, Reply* reply) {
  if (concluded_) return;
  In in(reply != nullptr ? reply->annex : std::span<const std::uint8_t>());
  Description now;
  if (in.remaining() != 0 && read_description(in, now) && now.readable) targets_[index].state = State::refused;
  if (--left_to_look_ == 0) conclude();
}

void CopyWrite::too_slow() {
  if (concluded_) return;
  if (decided_ || looks_ || !any(State::waiting)) return conclude();
  next();
}

void CopyWrite::conclude() {
  concluded_ = true;
  timer_.stop();
  Debts& debts = pool_.debts;
  // What was looked at and is not there any more may have been done after all, and is done by all then.
  const bool refused = !decided_ && any(State::refused) && !(looks_ && any(State::failed));
  if (looks_ && !refused) rv_ = CKR_DEVICE_ERROR;
  const bool nowhere = !decided_ && write_ && std::ranges::all_of(targets_, [](const Target& each) {
    return each.state == State::missing || each.state == State::out_of_reach;
  });
  if (nowhere) rv_ = CKR_OBJECT_HANDLE_INVALID;
  if (write_ && (refused || nowhere)) {
    debts.give_up(*write_, identity_, limit_before_);
    // It stays, and with it what was owed: copies that members did not have yet.
    if (refused && !dropped_.empty()) debts.write_down({.add = std::move(dropped_)});
  } else if (write_) {
    JournalChange change;
    for (const Target& target : targets_) {
      const bool paid = target.state == State::done || (target.state == State::refused && !destroys_);
      if (paid) change.remove.push_back(target.debt);
    }
    if (decided_) debts.decide(change, *write_);
    debts.write_down(std::move(change));
  }
  for (const Target& target : targets_)
    if (target.state == State::missing) {  // gone, there by another handle, or out of sight: owed until that is known
      target.place->objects.unbind_handle(order_.handle);
      if (Debt* debt = debts.journal().find(target.debt)) debts.doubt(*debt);
      else target.member->survey_of(*target.place).doubt(pool_.runtime().now_ms());
    }
  if (decided_) settle_object();
  const bool pending = write_ && !refused && !nowhere;
  for (const Target& target : targets_) {
    const Identity& identity = target.identity_or(identity_);
    if (pending && debts.owes(*target.member, identity)) debts.withhold(*target.member, identity);
    if (!decided_ || target.state == State::done || target.state == State::missing) continue;
    pool_.runtime().log.warn("pool {}: member {} has not {} object \"{}\" yet: it does not serve it until it has",
                             pool_.config.name, target.member->member.name(), destroys_ ? "destroyed" : "changed",
                             label_);
    if (destroys_ && pool_.config.balance.destroy == Destroy::all) rv_ = CKR_DEVICE_ERROR;
  }
  debts.unlock(identity_);
  pool_.changed.resume_all();
  done_(rv_);
}

void CopyWrite::settle_object() {
  // What is left on other members is withheld before the object is forgotten.
  for (const Target& target : targets_) {
    if (destroys_ && target.state != State::done) pool_.debts.withhold(*target.member, identity_);
  }
  if (destroys_) return pool_.note_destroyed(order_.handle);
  TokenObject* object = pool_.objects.find(order_.handle);
  In in(description_.bytes());
  Description now;
  if (object != nullptr && in.remaining() != 0 && read_description(in, now) && now.readable)
    pool_.note_changed(*described_by_, *object, now);
  pool_.debts.acknowledge({order_.handle});  // by the name that it has now
}

}  // namespace p11shim
