// The PIN that last succeeded for one login domain, kept while an application is logged in with it, because a worker that
// dies must be logged in again. It lives in memory of its own that is locked, left out of dumps and wiped. All that can be
// done with it is to compare it, in constant time, and to hand it to a worker of the same member as a C_Login.
#pragma once

#include <cstdint>
#include <span>

#include "wire/buffer.h"

namespace p11shim {

class KeptPin {
 public:
  KeptPin() = default;
  KeptPin(const KeptPin&) = delete;
  KeptPin& operator=(const KeptPin&) = delete;
  ~KeptPin() { wipe_and_release(); }

  // Replaces what is kept. False: it does not fit or no memory could be locked; then nothing is kept.
  bool keep(std::span<const std::uint8_t> pin, std::uint64_t now_ms);
  void wipe_and_release();

  [[nodiscard]] bool present() const { return memory_ != nullptr; }
  [[nodiscard]] std::uint64_t kept_since_ms() const { return kept_since_ms_; }
  [[nodiscard]] bool matches(std::span<const std::uint8_t> pin) const;
  // Appends it, as the PIN argument of C_Login, to the body of that call, which becomes secret.
  void hand_to(Buffer& body) const;

 private:
  std::uint8_t* memory_ = nullptr;
  std::size_t size_ = 0;
  std::uint64_t kept_since_ms_ = 0;
};

}  // namespace p11shim
