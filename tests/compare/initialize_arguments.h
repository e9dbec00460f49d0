// C_Initialize arguments of an ordinary threaded application; with NSS's own parameters if there are any.
#pragma once

#include <string>

#include "pkcs11/cryptoki.h"

namespace p11shim::compare {

class InitializeArguments {
 public:
  explicit InitializeArguments(std::string library_parameters) : parameters_(std::move(library_parameters)) {
    arguments_.flags = CKF_OS_LOCKING_OK;
    if (parameters_.empty()) return;
    // NSS declares the member as a pointer to such a pointer, but reads it as the string itself.
    arguments_.LibraryParameters = reinterpret_cast<CK_CHAR_PTR*>(parameters_.data());
  }
  InitializeArguments(const InitializeArguments&) = delete;
  InitializeArguments& operator=(const InitializeArguments&) = delete;

  void* get() { return &arguments_; }

 private:
  std::string parameters_;
  CK_C_INITIALIZE_ARGS arguments_{};
};

}  // namespace p11shim::compare
