#include "proxyd/tokens/replication.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "proxyd/tokens/pool.h"

namespace p11shim {

void CreationCopies::run(Pool& pool, Place& made_on, bool logged_in, std::vector<std::uint64_t> handles,
                         std::vector<std::uint64_t> intentions, Done done, std::uint64_t among) {
  const auto copies =
      std::make_shared<CreationCopies>(pool, made_on, logged_in, std::move(intentions), std::move(done));
  copies->among_ = among;
  for (const std::uint64_t handle : handles)
    if (const TokenObject* object = pool.objects.find(handle);
        object != nullptr && pool.debts.copies(object->object_class))
      copies->objects_.push_back({handle, object->identity});
  // Public keys first: they prove what the private ones are.
  std::ranges::stable_sort(copies->objects_, {}, [&](const Object& each) {
    return pool.objects.find(each.handle)->object_class == CKO_PRIVATE_KEY;
  });
  copies->lock_next(0);
}

CreationCopies::CreationCopies(Pool& pool, Place& made_on, bool logged_in, std::vector<std::uint64_t> intentions,
                               Done done)
    : pool_(pool),
      made_on_(made_on),
      logged_in_(logged_in),
      intentions_(std::move(intentions)),
      done_(std::move(done)),
      timer_(pool.runtime().loop, [this] { conclude(); }) {}

void CreationCopies::lock_next(std::size_t index) {
  if (index == objects_.size()) return begin();
  pool_.debts.lock(objects_[index].identity, [self = shared_from_this(), index] { self->lock_next(index + 1); });
}

void CreationCopies::begin() {
  Debts& debts = pool_.debts;
  const Membership& maker = pool_.of(made_on_);
  JournalChange change;
  change.remove = intentions_;
  for (const Object& each : objects_) {
    TokenObject* object = pool_.objects.find(each.handle);
    if (object == nullptr || object->identity != each.identity) continue;
    debts.add_copies(change, *object, maker);
  }
  const std::size_t owed = change.add.size();
  const auto write = debts.journal().apply(std::move(change));
  if (!write) {
    pool_.runtime().log.error("pool {}: nothing is copied yet: {}", pool_.config.name, debts.journal().problem());
    for (const std::uint64_t number : intentions_) debts.look_for_creation(number);
  }
  if (!write || owed == 0) return conclude();
  for (const auto& each : pool_.members) {
    if (each.get() == &maker || (among_ & each->bit()) == 0) continue;
    Place* to = pool_.place_of(*each, logged_in_);
    if (to == nullptr || each->health.breaker.state() == Breaker::State::open || each->survey_of(*to).incomplete())
      continue;
    const auto tasks = std::make_shared<std::vector<Task>>();
    for (std::uint64_t number = *write; number != *write + owed; ++number) {
      Debt* debt = debts.journal().find(number);
      if (debt == nullptr || debt->member != each->member.name()) continue;  // paid already, or another's
      if (debts.owes(*each, debt->identity)) continue;                       // its older debts first
      for (std::size_t i = 0; i < objects_.size(); ++i)
        if (objects_[i].handle == debt->handle) tasks->push_back({i, number});
      debt->under_way = true;
    }
    ++members_left_;
    copy_next(*to, tasks, 0);
  }
  timer_.start(pool_.config.balance.attempt_timeout);
  member_done();
}

void CreationCopies::copy_next(Place& to, const std::shared_ptr<std::vector<Task>>& tasks, std::size_t index) {
  Debts& debts = pool_.debts;
  if (index == tasks->size() || concluded_) {
    for (; index < tasks->size(); ++index)
      if (Debt* debt = debts.journal().find((*tasks)[index].debt)) debt->under_way = false;
    return member_done();
  }
  const Task task = (*tasks)[index];
  debts.copy(task.debt, to, [self = shared_from_this(), &to, tasks, index, task](Debts::CopyOutcome outcome) {
    if (Debt* debt = self->pool_.debts.journal().find(task.debt)) debt->under_way = false;
    self->objects_[task.object].copies += outcome == Debts::CopyOutcome::done;
    self->copy_next(to, tasks, index + 1);
  });
}

void CreationCopies::member_done() {
  if (--members_left_ == 0) conclude();
}

void CreationCopies::conclude() {
  if (std::exchange(concluded_, true)) return;
  timer_.stop();
  std::size_t least = pool_.members.size();
  for (const Object& each : objects_) {
    least = std::min(least, each.copies);
    pool_.debts.unlock(each.identity);
  }
  done_(least);
}

}  // namespace p11shim
