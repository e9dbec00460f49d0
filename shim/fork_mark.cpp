#include "shim/fork_mark.h"

#include <new>

#include <sys/mman.h>
#include <unistd.h>

namespace p11shim {
namespace {
constexpr std::size_t kSize = sizeof(std::atomic<pid_t>);  // the kernel rounds it up to a page
}

ForkMark::ForkMark() {
  void* page = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) throw std::bad_alloc();
  wiped_on_fork_ = madvise(page, kSize, MADV_WIPEONFORK) == 0;
  owner_ = new (page) std::atomic<pid_t>(0);
}

ForkMark::~ForkMark() { munmap(owner_, kSize); }

bool ForkMark::is_settled() const noexcept {
  const pid_t owner = owner_->load(std::memory_order_acquire);
  return owner > 0 && (wiped_on_fork_ || owner == getpid());
}

bool ForkMark::claim() noexcept {
  const pid_t self = getpid();
  pid_t owner = owner_->load(std::memory_order_acquire);
  if (owner == self || owner == -self) return false;
  return owner_->compare_exchange_strong(owner, -self, std::memory_order_acq_rel);
}

void ForkMark::settle() noexcept { owner_->store(getpid(), std::memory_order_release); }

void ForkMark::give_up() noexcept { owner_->store(0, std::memory_order_release); }

}  // namespace p11shim
