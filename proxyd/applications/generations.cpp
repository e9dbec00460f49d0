#include "proxyd/applications/generations.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <new>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

namespace p11shim {

Generations::Generations() {
  descriptor_ = memfd_create("p11shim-generations", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor_ < 0) return;
  void* memory = MAP_FAILED;
  if (ftruncate(descriptor_, sizeof(GenerationPage)) == 0)
    memory = mmap(nullptr, sizeof(GenerationPage), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_, 0);
  // From here on only this mapping can write.
  const bool is_sealed =
      memory != MAP_FAILED &&
      fcntl(descriptor_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) == 0;
  if (!is_sealed) {
    if (memory != MAP_FAILED) munmap(memory, sizeof(GenerationPage));
    close(descriptor_);
    descriptor_ = -1;
    return;
  }
  page_ = new (memory) GenerationPage{};
  all_moved();  // 0 means that nobody tells
  page_->is_alive = 1;
}

Generations::~Generations() {
  if (descriptor_ < 0) return;
  page_->is_alive = 0;
  munmap(page_, sizeof(GenerationPage));
  close(descriptor_);
}

void Generations::all_moved() {
  for (auto& number : page_->numbers) ++number;
}

}  // namespace p11shim
