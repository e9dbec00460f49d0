#include "shim/generations.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace p11shim {

GenerationView::~GenerationView() {
  for (void* page : mapped_) munmap(page, sizeof(GenerationPage));
}

void GenerationView::take(int descriptor) {
  if (descriptor < 0) return;
  struct stat file {};
  void* memory = MAP_FAILED;
  if (fstat(descriptor, &file) == 0 && file.st_size >= static_cast<off_t>(sizeof(GenerationPage)))
    memory = mmap(nullptr, sizeof(GenerationPage), PROT_READ, MAP_SHARED, descriptor, 0);
  close(descriptor);
  if (memory == MAP_FAILED) return;
  const std::lock_guard lock(mutex_);
  try {
    mapped_.push_back(memory);
  } catch (const std::bad_alloc&) {
    munmap(memory, sizeof(GenerationPage));
    return;
  }
  page_.store(static_cast<const GenerationPage*>(memory), std::memory_order_release);
}

void GenerationView::drop() {
  page_.store(nullptr, std::memory_order_release);
  lost_.store(0, std::memory_order_relaxed);
  asked_.store(false, std::memory_order_release);
}

}  // namespace p11shim
