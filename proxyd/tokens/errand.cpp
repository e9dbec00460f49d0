#include "proxyd/tokens/errand.h"

#include <algorithm>

#include "calls/table.h"

namespace p11shim {
namespace {
constexpr auto kFindObjectsInit = number_of<&CK_FUNCTION_LIST_3_0::C_FindObjectsInit>();
constexpr auto kFindObjectsFinal = number_of<&CK_FUNCTION_LIST_3_0::C_FindObjectsFinal>();
constexpr auto kCreateObject = number_of<&CK_FUNCTION_LIST_3_0::C_CreateObject>();
constexpr auto kReadOut = static_cast<std::uint32_t>(LaneCall::read_out);
constexpr auto kDescribe = static_cast<std::uint32_t>(LaneCall::describe);

std::size_t count_descriptions(std::span<const std::uint8_t> annex) {
  In in(annex);
  Description description;
  std::size_t count = 0;
  while (in.remaining() != 0 && read_description(in, description)) ++count;
  return count;
}

}  // namespace

void Errand::find(Place& place, Buffer tmpl, Done done) {
  (new Errand(place, kFindObjectsInit, {}, std::move(tmpl), std::move(done)))->resume();
}

void Errand::describe(Place& place, std::vector<std::uint64_t> objects, Done done) {
  if (objects.size() > kMostDescribed) objects.resize(kMostDescribed);
  (new Errand(place, kDescribe, std::move(objects), {}, std::move(done)))->resume();
}

void Errand::describe_some(Place& place, std::vector<std::uint64_t> unknown,
                           std::function<void(Reply* reply, std::vector<std::uint64_t> left)> done) {
  const auto begin = unknown.end() - static_cast<std::ptrdiff_t>(std::min(unknown.size(), kMostDescribed));
  std::vector<std::uint64_t> some(begin, unknown.end());
  unknown.erase(begin, unknown.end());
  describe(place, some, [some, left = std::move(unknown), done = std::move(done)](Reply* reply) mutable {
    const std::size_t count = reply != nullptr ? std::min(count_descriptions(reply->annex), some.size()) : 0;
    left.insert(left.end(), some.begin() + static_cast<std::ptrdiff_t>(count), some.end());
    done(count != 0 ? reply : nullptr, std::move(left));
  });
}

void Errand::change(Place& place, std::uint32_t call, std::uint64_t object, Buffer body, Done done) {
  Errand::call(place, call, {object}, true, std::move(body), std::move(done));
}

void Errand::call(Place& place, std::uint32_t call, std::vector<std::uint64_t> objects, bool read_write, Buffer body,
                  Done done, std::optional<std::uint64_t> generation) {
  auto* errand = new Errand(place, call, std::move(objects), std::move(body), std::move(done));
  errand->read_write_ = read_write;
  errand->generation_ = generation.value_or(errand->generation_);
  errand->bound_ |= generation.has_value();
  errand->resume();
}

void Errand::read_out(Place& place, std::uint64_t object, Done done) {
  (new Errand(place, kReadOut, {object}, {}, std::move(done)))->resume();
}

void Errand::make(Place& place, Buffer tmpl, Made made) {
  auto* errand = new Errand(place, kCreateObject, {}, std::move(tmpl), {});
  errand->made_ = std::move(made);
  errand->resume();
}

void Errand::make_key(Place& place, std::uint32_t call, std::vector<std::uint64_t> objects, Buffer body, MadeKey made,
                      std::uint64_t generation) {
  auto* errand = new Errand(place, call, std::move(objects), std::move(body), {});
  errand->read_write_ = true;
  errand->made_key_ = std::move(made);
  errand->generation_ = generation;
  errand->bound_ = true;
  errand->resume();
}

void Errand::resume() {
  if (place_.worker.state() == Worker::State::backoff) return finish(nullptr);
  if (bound_ && generation_ != place_.worker.generation()) return finish(nullptr);
  if (!place_.worker.require(*this)) return;
  const auto lease = place_.sessions(read_write_).borrow(*this);
  if (lease.outcome == RealSessions::Outcome::waiting) return;
  if (lease.outcome == RealSessions::Outcome::failed) return finish(nullptr);
  RealSession& session = *lease.session;
  std::vector<std::uint64_t> handles{session.handle};
  handles.insert(handles.end(), objects_.begin(), objects_.end());
  OwnCall::start(place_.worker, call_, handles, std::move(body_),
                 [this, &session](Reply* reply) { answered(session, reply); });
}

void Errand::answered(RealSession& session, Reply* reply) {
  if (reply == nullptr) return finish(nullptr);  // the worker is gone, and the session with it
  if ((made_ || made_key_) && reply->rv == CKR_OK && !reply->handles.empty()) {
    object_ = std::make_shared<SessionObject>();
    object_->real = reply->handles[reply->handles.size() - 1];
    object_->place = &place_.objects;
    object_->creator = &session;  // it is closed no more while the object lives
    ++session.owned_objects;
    place_.objects.add(object_);
  }
  if (call_ == kFindObjectsInit && reply->rv == CKR_OK) {
    const std::uint64_t handle = session.handle;
    OwnCall::start(place_.worker, kFindObjectsFinal, {&handle, 1}, {}, [&session](Reply* final_reply) {
      if (final_reply == nullptr) return;
      session.tainted = final_reply->rv != CKR_OK;
      session.pool->give_back(session);
    });
  } else {
    session.pool->give_back(session);
  }
  finish(reply);
}

void Errand::finish(Reply* reply) {
  const Done done = std::move(done_);
  const Made made = std::move(made_);
  const MadeKey made_key = std::move(made_key_);
  std::shared_ptr<SessionObject> object = std::move(object_);
  delete this;
  if (made_key) return made_key(reply, std::move(object));
  made ? made(std::move(object)) : done(reply);
}

}  // namespace p11shim
