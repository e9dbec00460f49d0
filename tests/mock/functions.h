// Every function of PKCS#11 3.0 as a number and a name, taken from the packaged header so that none is
// written twice.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "pkcs11/cryptoki.h"

namespace p11shim {

#define CK_PKCS11_3_0 1  // pkcs11f.h leaves out the 3.0 functions without it

#define CK_PKCS11_FUNCTION_INFO(name) name,
enum class Function : std::uint8_t {
#include <pkcs11f.h>
};
#undef CK_PKCS11_FUNCTION_INFO

#define CK_PKCS11_FUNCTION_INFO(name) std::string_view(#name),
inline constexpr std::array kFunctionNames{
#include <pkcs11f.h>
};
#undef CK_PKCS11_FUNCTION_INFO

#undef CK_PKCS11_3_0

inline constexpr std::size_t kFunctionCount = kFunctionNames.size();
using FunctionSet = std::bitset<kFunctionCount>;

constexpr std::string_view function_name(Function function) {
  return kFunctionNames[static_cast<std::size_t>(function)];
}

constexpr std::optional<Function> function_named(std::string_view name) {
  for (std::size_t i = 0; i < kFunctionCount; ++i) {
    if (kFunctionNames[i] == name) return static_cast<Function>(i);
  }
  return std::nullopt;
}

}  // namespace p11shim
