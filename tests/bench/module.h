// A PKCS#11 module as a benchmark client uses it: loaded, initialised, the bench token found and the user
// logged in. Any failure throws ModuleError, which names the function: a benchmark of failing calls means
// nothing.
#pragma once

#include <stdexcept>
#include <string>

#include "pkcs11/cryptoki.h"

namespace p11shim {

struct ModuleError : std::runtime_error {
  ModuleError(const char* function, CK_RV rv);
};

void require(const char* function, CK_RV rv);

// Loads only; the library stays loaded until the process ends.
CK_FUNCTION_LIST& load_module(const std::string& path);

CK_SLOT_ID find_bench_slot(CK_FUNCTION_LIST& module);
CK_SESSION_HANDLE open_bench_session(CK_FUNCTION_LIST& module, CK_SLOT_ID slot);
void log_in(CK_FUNCTION_LIST& module, CK_SESSION_HANDLE session);
CK_OBJECT_HANDLE find_object(CK_FUNCTION_LIST& module, CK_SESSION_HANDLE session, CK_OBJECT_CLASS type,
                             const char* label);

}  // namespace p11shim
