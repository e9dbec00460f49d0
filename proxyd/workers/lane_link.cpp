#include "proxyd/workers/lane_link.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "proxyd/loop/socket_io.h"

namespace p11shim {
namespace {
constexpr std::size_t kKeptBuffer = 2 << 20;
constexpr std::size_t kLargestFrame = limits::kMaxFrame + limits::kFrameOverhead;
}  // namespace

LaneLink::LaneLink(uv_loop_t& loop, Stream stream, Shared shared, Events events)
    : stream_(stream),
      shared_(std::move(shared)),
      events_(std::move(events)),
      readable_(loop, stream.in,
                [this](int) {
                  shared_.watch.wake();
                  if (!failed_) read();
                }),
      writable_(loop, stream.out, [this](int) {
        if (!failed_) flush();
      }) {
  readable_.watch(UV_READABLE);
  incoming_ = shared_.rings.replies;
  has_bell_ = shared_.bell != nullptr;
}

LaneLink::~LaneLink() {
  shared_.watch.remove(*this);
  if (shared_.rings) shared_.rings.requests.give_up();
  readable_.watch(0);
  writable_.watch(0);
  ::close(stream_.in);
  ::close(stream_.out);
}

void LaneLink::send(LaneJob& job) {
  job_ = &job;
  job.lane_ = this;
  job.sent_ns_ = sent_ns_ = uv_hrtime();
  application_ = job.application();
  if (shared_.rings) {
    shared_.watch.add(*this);
    shared_.rings.requests.tell_cores(this_core(), shared_.watch.client_core);
    if (shared_.rings.requests.put(job.head_.bytes(), job.body_)) return;
  }
  if (!send_parts(stream_, job.head_, job.body_, unsent_)) return fail();
  if (!unsent_.empty()) writable_.watch(UV_WRITABLE);
}

void LaneLink::withdraw(LaneJob& job, std::function<void()> late) {
  if (job_ != &job) return;
  job.lane_ = nullptr;
  job_ = nullptr;
  stuck_ = true;
  late_ = std::move(late);
}

void LaneLink::hand_over(LaneJob& from, LaneJob& to) {
  if (job_ != &from) return;
  from.lane_ = nullptr;
  job_ = &to;
  to.lane_ = this;
  to.sent_ns_ = from.sent_ns_;
}

LaneJob* LaneLink::release_job() {
  LaneJob* job = std::exchange(job_, nullptr);
  if (job != nullptr) job->lane_ = nullptr;
  return job;
}

LaneJob* LaneLink::disconnect() {
  failed_ = true;
  shared_.watch.remove(*this);
  late_ = nullptr;
  readable_.watch(0);
  writable_.watch(0);
  return release_job();
}

void LaneLink::flush() {
  if (!send_buffered(stream_, unsent_)) return fail();
  if (unsent_.empty()) writable_.watch(0);
}

void LaneLink::read() {
  input_.mark_secret();  // before it grows: what it outgrows is wiped then
  switch (receive_frame(stream_, input_, kLargestFrame)) {
    case Received::partial: return;
    case Received::closed:
    case Received::malformed: return fail();
    case Received::frame: return finish_reply();
  }
}

void LaneLink::on_ring() {
  input_.mark_secret();
  if (!input_.empty() || !incoming_.take(input_)) return fail();
  finish_reply();
}

void LaneLink::finish_reply() {
  if (shared_.rings) {
    // A lane answers once.
    if (!shared_.watch.remove(*this)) return fail();
    shared_.watch.lane_core = incoming_.core();
  }
  const std::size_t length = kLengthPrefix + load_length(input_.data());
  if (input_.size() != length || (job_ == nullptr && !stuck_)) return fail();
  const auto frame = input_.bytes().subspan(kLengthPrefix);
  const bool refused = message_kind(frame) == MessageKind::refusal;
  if (!refused && !read_reply(frame, reply_)) return fail();
  LaneJob* job = release_job();
  if (job != nullptr) refused ? job->on_failure(JobFailure::malformed) : job->on_reply(reply_);
  input_.clear();
  input_.trim(kKeptBuffer);
  if (stuck_) {
    stuck_ = false;
    if (auto late = std::exchange(late_, nullptr)) late();
  }
  events_.idle(*this);
}

void LaneLink::fail() {
  if (failed_) return;
  failed_ = true;
  shared_.watch.remove(*this);
  readable_.watch(0);
  writable_.watch(0);
  events_.lost(*this);
}

}  // namespace p11shim
