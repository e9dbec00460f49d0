#include "proxyd/loop/fair_line.h"

#include <algorithm>

namespace p11shim {

FairLine::~FairLine() {
  for (auto& [application, share] : shares_)
    while (share.first != nullptr) unlink(share, *share.first);
}

void FairLine::Round::add(Share& share) {
  share.next = nullptr;
  (first == nullptr ? first : last->next) = &share;
  last = &share;
}

void FairLine::Round::drop_first() { first = first->next; }

void FairLine::add(Item& item, const void* application) {
  Share& share = share_of(application);
  item.line_ = this;
  item.application_ = application;
  item.next_ = nullptr;
  item.previous_ = share.last;
  (share.first == nullptr ? share.first : share.last->next_) = &item;
  share.last = &item;
  ++share.waiting;
  ++size_;
  if (share.in_round) return;
  share.in_round = true;
  next_.add(share);  // in this one it may have had a turn already
}

void FairLine::remove(Item& item) {
  unlink(shares_.at(item.application_), item);  // where nobody is left is seen when the turn comes
  if (size_ == 0) forget(true);
}

void FairLine::unlink(Share& share, Item& item) {
  (item.previous_ == nullptr ? share.first : item.previous_->next_) = item.next_;
  (item.next_ == nullptr ? share.last : item.next_->previous_) = item.previous_;
  item.line_ = nullptr;
  --share.waiting;
  --size_;
}

FairLine::Item& FairLine::take() {
  for (;;) {
    if (now_.first == nullptr) begin_round();
    Share& share = *now_.first;
    if (share.round != round_) begin_turn(share);
    if (share.first != nullptr && share.left_us > 0) return take_from(share);
    now_.drop_first();
    if (share.first != nullptr) next_.add(share);
    else share.in_round = false;
  }
}

FairLine::Item& FairLine::take_from(Share& share) {
  Item& item = *share.first;
  unlink(share, item);
  served_ = true;
  if (share.application == nullptr) {
    --share.left_us;
  } else {
    const std::int64_t cost = share.cost_us != 0 ? share.cost_us : turn_us_;
    share.left_us -= cost;
    longest_us_ = std::max(longest_us_, cost);
  }
  if (size_ == 0) forget(true);
  return item;
}

// What it did not take of an earlier turn is not kept for it; what it took too much is, also while it does not wait.
void FairLine::begin_turn(Share& share) {
  const auto rounds = static_cast<std::int64_t>(std::min<std::uint64_t>(round_ - share.round, kHighestCost));
  share.round = round_;
  share.left_us = share.application == nullptr
                      ? static_cast<std::int64_t>(share.waiting)
                      : std::min(std::min<std::int64_t>(share.left_us, 0) + rounds * turn_us_, turn_us_);
}

void FairLine::begin_round() {
  ++round_;
  turn_us_ = std::min(longest_us_, kLongestTurn);
  longest_us_ = 1;
  std::swap(now_, next_);
  next_ = {};
  if (!served_) skip_rounds();
  served_ = false;
}

// Everybody in the line still owes: the rounds that would pass like that pass at once.
void FairLine::skip_rounds() {
  turn_us_ = kLongestTurn;
  std::int64_t least = kHighestCost;
  for (const Share* share = now_.first; share != nullptr; share = share->next)
    if (share->first != nullptr) least = std::min(least, share->application == nullptr ? 0 : -share->left_us);
  round_ += static_cast<std::uint64_t>(std::max<std::int64_t>(least, 0) / turn_us_);
}

void FairLine::took(const void* application, std::uint64_t us) {
  if (shares_.empty()) return;
  const auto found = shares_.find(application);
  if (found == shares_.end()) return;
  const auto taken = static_cast<std::int64_t>(std::clamp<std::uint64_t>(us, 1, kHighestCost));
  std::int64_t& cost = found->second.cost_us;
  cost = cost == 0 ? taken : (7 * cost + taken + 7) / 8;
}

FairLine::Share& FairLine::share_of(const void* application) {
  if (const auto found = shares_.find(application); found != shares_.end()) return found->second;
  if (shares_.size() >= most_shares_) forget(false);
  if (spare_.empty()) {
    Share& share = shares_[application];
    share.application = application;
    share.round = round_;
    return share;
  }
  Shares::node_type node = std::move(spare_.back());
  spare_.pop_back();
  node.key() = application;
  node.mapped() = {};
  node.mapped().application = application;
  node.mapped().round = round_;
  return shares_.insert(std::move(node)).position->second;
}

// All of them: nobody waits. Otherwise those that are not in the line, now that there are many.
void FairLine::forget(bool all) {
  if (all) {
    now_ = next_ = {};
    turn_us_ = longest_us_ = 1;
    served_ = true;
  }
  for (auto share = shares_.begin(); share != shares_.end();) {
    const auto here = share++;
    if (all || !here->second.in_round) spare_.push_back(shares_.extract(here));
  }
  if (!all) most_shares_ = std::max(kFewShares, 2 * shares_.size());
}

}  // namespace p11shim
