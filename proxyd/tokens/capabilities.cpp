#include "proxyd/tokens/capabilities.h"

#include <algorithm>

#include "calls/table.h"
#include "proxyd/balance/faults.h"

namespace p11shim {
namespace {
constexpr auto kList = number_of<&CK_FUNCTION_LIST_3_0::C_GetMechanismList>();
constexpr auto kInfo = number_of<&CK_FUNCTION_LIST_3_0::C_GetMechanismInfo>();
constexpr std::uint32_t kMostFaults = 100;

bool same(const Capabilities::Mechanisms& a, const Capabilities::Mechanisms& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && x.second.ulMinKeySize == y.second.ulMinKeySize &&
           x.second.ulMaxKeySize == y.second.ulMaxKeySize && x.second.flags == y.second.flags;
  });
}

}  // namespace

void Capabilities::ask(Worker& worker, CK_SLOT_ID slot, std::function<void()> changed) {
  if (worker_ != nullptr || worker.state() != Worker::State::ready || generation_ == worker.generation()) return;
  worker_ = &worker;
  slot_ = slot;
  changed_ = std::move(changed);
  asked_.clear();
  faults_ = 0;
  Buffer body;
  Out(body).uint(limits::kMaxListItems);
  const std::uint64_t handle = slot;
  OwnCall::start(worker, kList, {&handle, 1}, std::move(body),
                 [this, alive = std::weak_ptr<char>(alive_)](Reply* reply) {
                   if (alive.expired()) return;
                   if (reply == nullptr || reply->rv != CKR_OK) return give_up();
                   In in(reply->body);
                   in.uint();
                   left_.clear();
                   for (std::size_t count = in.array(limits::kMaxListItems); count != 0 && in.ok(); --count)
                     left_.push_back(in.uint());
                   in.done() ? ask_next() : give_up();
                 });
}

void Capabilities::ask_next() {
  if (left_.empty()) return told();
  const CK_MECHANISM_TYPE type = left_.back();
  left_.pop_back();
  Buffer body;
  Out(body).uint(type);
  const std::uint64_t handle = slot_;
  OwnCall::start(*worker_, kInfo, {&handle, 1}, std::move(body),
                 [this, type, alive = std::weak_ptr<char>(alive_)](Reply* reply) {
                   if (alive.expired()) return;
                   if (reply == nullptr) return give_up();
                   CK_MECHANISM_INFO info{};
                   In in(reply->body);
                   if (reply->rv == CKR_OK) read_info(in, info);
                   if (reply->rv == CKR_OK && in.done()) asked_[type] = info;
                   // It says nothing of this mechanism: a list without it would be wrong for as long as this process lives.
                   if (blame_of(reply->rv) == Blame::member) {
                     if (++faults_ > kMostFaults) return give_up();
                     left_.push_back(type);
                   }
                   ask_next();
                 });
}

void Capabilities::told() {
  generation_ = worker_->generation();
  give_up();
  if (std::exchange(known_, true) && same(asked_, mechanisms_)) return;
  mechanisms_.swap(asked_);
  changed_();
}

void Capabilities::restore(std::span<const std::uint8_t> stored) {
  In in(stored);
  Mechanisms before;
  for (std::size_t count = in.array(limits::kMaxListItems); count != 0 && in.ok(); --count) {
    const CK_MECHANISM_TYPE type = in.uint();
    read_info(in, before[type]);
  }
  if (!in.done()) return;
  mechanisms_.swap(before);
  known_ = true;
}

Buffer Capabilities::stored() const {
  Buffer bytes;
  Out out(bytes);
  out.array(mechanisms_.size());
  for (const auto& [type, info] : mechanisms_) {
    out.uint(type);
    write_info(out, info);
  }
  return bytes;
}

void Capabilities::give_up() { worker_ = nullptr; }

}  // namespace p11shim
