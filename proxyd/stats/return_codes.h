// Calls counted by return code. At most kDistinct codes other than CKR_OK are told apart: a module may return
// anything, and a broken one must not make proxyd grow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <utility>
#include <vector>

#include "pkcs11/cryptoki.h"

namespace p11shim {

class ReturnCodes {
 public:
  static constexpr std::size_t kDistinct = 64;

  void count(CK_RV rv);

  std::uint64_t calls() const noexcept { return calls_; }
  std::uint64_t failed() const noexcept { return failed_; }

  // {"CKR_PIN_INCORRECT": 2, …}, without CKR_OK.
  nlohmann::json errors() const;

 private:
  std::uint64_t calls_ = 0;
  std::uint64_t failed_ = 0;
  std::uint64_t other_ = 0;
  std::vector<std::pair<CK_RV, std::uint64_t>> errors_;
};

}  // namespace p11shim
