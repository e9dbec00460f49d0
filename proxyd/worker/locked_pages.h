// Memory that is not written to swap while this lives; as far as the system allows, since modules lock memory of their own.
#pragma once

#include <sys/mman.h>

#include <cstddef>

namespace p11shim {

class LockedPages {
 public:
  LockedPages(const void* begin, std::size_t size) : begin_(begin), size_(::mlock(begin, size) == 0 ? size : 0) {}
  LockedPages(const LockedPages&) = delete;
  LockedPages& operator=(const LockedPages&) = delete;
  ~LockedPages() {
    if (size_ != 0) ::munlock(begin_, size_);
  }

 private:
  const void* begin_;
  std::size_t size_;
};

}  // namespace p11shim
