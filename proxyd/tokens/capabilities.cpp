#include "proxyd/tokens/capabilities.h"

#include "calls/table.h"

namespace p11shim {
namespace {
constexpr auto kList = number_of<&CK_FUNCTION_LIST_3_0::C_GetMechanismList>();
constexpr auto kInfo = number_of<&CK_FUNCTION_LIST_3_0::C_GetMechanismInfo>();
}  // namespace

void Capabilities::ask(Worker& worker, CK_SLOT_ID slot, std::function<void()> done) {
  if (known_ || worker_ != nullptr || worker.state() != Worker::State::ready) return;
  worker_ = &worker;
  slot_ = slot;
  done_ = std::move(done);
  mechanisms_.clear();
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
  if (left_.empty()) {
    known_ = true;
    give_up();
    return done_();
  }
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
                   if (reply->rv == CKR_OK && in.done()) mechanisms_[type] = info;
                   ask_next();
                 });
}

void Capabilities::give_up() { worker_ = nullptr; }

}  // namespace p11shim
