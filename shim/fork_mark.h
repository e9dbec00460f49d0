// Tells a process whether it is the one that set the mark or a child forked from it, without a fork handler:
// the owner stands in a page that the kernel wipes in a child (MADV_WIPEONFORK; where that is unknown,
// process ids are compared). It is also the lock under which a child makes its own state: no ordinary lock
// can be trusted there, since a thread that does not exist in the child may have held it.
#pragma once

#include <atomic>

#include <sys/types.h>

namespace p11shim {

class ForkMark {
 public:
  ForkMark();  // nobody has settled; throws std::bad_alloc
  ForkMark(const ForkMark&) = delete;
  ForkMark& operator=(const ForkMark&) = delete;
  ~ForkMark();

  // This process has settled: the state that the mark guards is its own.
  [[nodiscard]] bool is_settled() const noexcept;
  // True for one thread of a process that has not settled; it must then settle() or give_up(). False: try
  // again.
  [[nodiscard]] bool claim() noexcept;
  void settle() noexcept;
  void give_up() noexcept;

 private:
  std::atomic<pid_t>* owner_;  // 0: nobody; the process that has settled; its negative while it is about to
  bool wiped_on_fork_;
};

}  // namespace p11shim
