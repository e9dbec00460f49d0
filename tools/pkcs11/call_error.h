// A PKCS#11 function that answered with something other than CKR_OK.
#pragma once

#include <stdexcept>
#include <string>

#include "pkcs11/cryptoki.h"
#include "pkcs11/names.h"

namespace p11shim {

class CallError : public std::runtime_error {
 public:
  CallError(const char* function, CK_RV rv)
      : std::runtime_error(std::string(function) + ": " + display(NameKind::ckr, rv)), function_(function), rv_(rv) {}

  const char* function() const noexcept { return function_; }
  CK_RV rv() const noexcept { return rv_; }

 private:
  const char* function_;
  CK_RV rv_;
};

inline void check(const char* function, CK_RV rv) {
  if (rv != CKR_OK) throw CallError(function, rv);
}

}  // namespace p11shim
