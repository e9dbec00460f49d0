// libuv handles that close themselves. Memory is given back when libuv has let go of it; no callback comes after the
// owner is gone.
#pragma once

#include <uv.h>

#include <chrono>
#include <functional>
#include <memory>

namespace p11shim {

template <class Handle>
struct CloseHandle {
  void operator()(Handle* handle) const {
    handle->data = nullptr;
    uv_close(reinterpret_cast<uv_handle_t*>(handle),
             [](uv_handle_t* closed) { delete reinterpret_cast<Handle*>(closed); });
  }
};
template <class Handle>
using HandlePtr = std::unique_ptr<Handle, CloseHandle<Handle>>;

class Timer {
 public:
  Timer(uv_loop_t& loop, std::function<void()> fired) : fired_(std::move(fired)), handle_(new uv_timer_t) {
    uv_timer_init(&loop, handle_.get());
    handle_->data = this;
  }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  void start(std::chrono::milliseconds delay, std::chrono::milliseconds repeat = std::chrono::milliseconds(0)) {
    uv_timer_start(handle_.get(), &Timer::on_timer, static_cast<std::uint64_t>(delay.count()),
                   static_cast<std::uint64_t>(repeat.count()));
  }
  void stop() { uv_timer_stop(handle_.get()); }
  [[nodiscard]] bool active() const { return uv_is_active(reinterpret_cast<const uv_handle_t*>(handle_.get())) != 0; }
  // It alone does not keep the loop running.
  void unref() { uv_unref(reinterpret_cast<uv_handle_t*>(handle_.get())); }

 private:
  static void on_timer(uv_timer_t* handle) {
    if (handle->data != nullptr) static_cast<Timer*>(handle->data)->fired_();
  }
  std::function<void()> fired_;
  HandlePtr<uv_timer_t> handle_;
};

// Readiness of a descriptor, which stays the owner's to close (after this object is gone).
class Poll {
 public:
  Poll(uv_loop_t& loop, int fd, std::function<void(int events)> ready)
      : ready_(std::move(ready)), handle_(new uv_poll_t) {
    uv_poll_init(&loop, handle_.get(), fd);
    handle_->data = this;
  }
  Poll(const Poll&) = delete;
  Poll& operator=(const Poll&) = delete;

  // `events`: UV_READABLE | UV_WRITABLE; 0 stops.
  void watch(int events) {
    if (events == events_) return;
    events_ = events;
    if (events == 0) uv_poll_stop(handle_.get());
    else uv_poll_start(handle_.get(), events, &Poll::on_poll);
  }
  // It alone does not keep the loop running.
  void unref() { uv_unref(reinterpret_cast<uv_handle_t*>(handle_.get())); }

 private:
  static void on_poll(uv_poll_t* handle, int status, int events) {
    if (handle->data == nullptr) return;
    // An error shows at the next read or write, where it is handled.
    static_cast<Poll*>(handle->data)->ready_(status < 0 ? UV_READABLE : events);
  }
  std::function<void(int)> ready_;
  HandlePtr<uv_poll_t> handle_;
  int events_ = 0;
};

}  // namespace p11shim
