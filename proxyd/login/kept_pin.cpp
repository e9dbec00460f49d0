#include "proxyd/login/kept_pin.h"

#include <openssl/crypto.h>
#include <sys/mman.h>

#include "wire/out.h"

namespace p11shim {
namespace {
constexpr std::size_t kMemory = 4096;  // one page; modules take far shorter PINs
}

bool KeptPin::keep(std::span<const std::uint8_t> pin, std::uint64_t now_ms) {
  wipe_and_release();
  if (pin.size() > kMemory) return false;
  void* memory = ::mmap(nullptr, kMemory, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return false;
  if (::mlock(memory, kMemory) != 0 || ::madvise(memory, kMemory, MADV_DONTDUMP) != 0 ||
      ::madvise(memory, kMemory, MADV_DONTFORK) != 0) {
    ::munmap(memory, kMemory);
    return false;
  }
  memory_ = static_cast<std::uint8_t*>(memory);
  if (!pin.empty()) std::memcpy(memory_, pin.data(), pin.size());
  size_ = pin.size();
  kept_since_ms_ = now_ms;
  return true;
}

void KeptPin::wipe_and_release() {
  if (memory_ == nullptr) return;
  wipe(memory_, kMemory);
  ::munmap(memory_, kMemory);
  memory_ = nullptr;
  size_ = 0;
}

bool KeptPin::matches(std::span<const std::uint8_t> pin) const {
  // Both are padded to the whole page, so the time tells nothing about where they differ, nor about the length.
  if (memory_ == nullptr || pin.size() > kMemory) return false;
  std::uint8_t padded[kMemory] = {};
  if (!pin.empty()) std::memcpy(padded, pin.data(), pin.size());
  const std::size_t sizes[] = {pin.size(), size_};
  const int different = CRYPTO_memcmp(padded, memory_, kMemory) | CRYPTO_memcmp(&sizes[0], &sizes[1], sizeof sizes[0]);
  wipe(padded, sizeof padded);
  return different == 0;
}

void KeptPin::hand_to(Buffer& body) const {
  Out out(body);
  out.mark_secret();
  out.bin(memory_, size_);
}

}  // namespace p11shim
