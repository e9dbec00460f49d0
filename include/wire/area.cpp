#include "wire/area.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "wire/limits.h"

namespace p11shim {

int Area::create() {
  const int descriptor = ::memfd_create("p11shim-area", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor < 0) return -1;
  if (::ftruncate(descriptor, kSize) == 0 &&
      ::fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
    return descriptor;
  const int error = errno;
  ::close(descriptor);
  errno = error;
  return -1;
}

bool Area::map(int descriptor, bool writable) {
  unmap();
  void* memory = ::mmap(nullptr, kSize, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, descriptor, 0);
  if (memory == MAP_FAILED) return false;
  memory_ = static_cast<std::uint8_t*>(memory);
  ::madvise(memory, kSize, MADV_DONTFORK);
  ::madvise(memory, kSize, MADV_DONTDUMP);
  return true;
}

void Area::unmap() {
  if (memory_ != nullptr) ::munmap(memory_, kSize);
  memory_ = nullptr;
}

void Area::trim(std::size_t keep) {
  if (memory_ != nullptr && keep < kSize) ::madvise(memory_ + keep, kSize - keep, MADV_REMOVE);
}

bool put_in_line(std::span<const std::uint8_t> body, std::span<const std::uint8_t> area, std::size_t max, Buffer& to) {
  In in(body);
  Out out(to);
  while (in.ok() && in.remaining() != 0) {
    std::uint32_t offset = 0;
    std::uint32_t size = 0;
    const std::uint8_t* value = body.data() + (body.size() - in.remaining());
    if (!in.reference_if(offset, size)) {
      in.skip();
      if (in.ok()) to.append(value, static_cast<std::size_t>(body.data() + (body.size() - in.remaining()) - value));
    } else if (size > max || offset > area.size() || size > area.size() - offset) {
      return false;
    } else {
      out.bin(area.data() + offset, size);
    }
    if (to.size() > max) return false;
  }
  return in.ok();
}

}  // namespace p11shim
