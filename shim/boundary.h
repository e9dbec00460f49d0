// The C boundary: nothing is thrown across it, errno is the application's, and a thread that is cancelled
// during a call is cancelled after it (unwinding through C code would leave locks and half-read replies
// behind).
#pragma once

#include <cerrno>
#include <new>

#include <pthread.h>

#include "shim/return_codes.h"

namespace p11shim {

class Boundary {
 public:
  Boundary() : errno_(errno) { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state_); }
  Boundary(const Boundary&) = delete;
  Boundary& operator=(const Boundary&) = delete;
  ~Boundary() {
    pthread_setcancelstate(cancel_state_, nullptr);
    errno = errno_;
  }

 private:
  int errno_;
  int cancel_state_ = PTHREAD_CANCEL_ENABLE;
};

template <class Fn>
CK_RV at_the_boundary(Fn&& fn) noexcept {
  const Boundary boundary;
  try {
    return fn();
  } catch (const std::bad_alloc&) {
    return codes::kNoMemory;
  } catch (...) {
    return codes::kInternal;
  }
}

}  // namespace p11shim
