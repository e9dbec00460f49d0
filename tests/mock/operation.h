// Which operation a function begins, needs or ends, read off its name: C_SignInit begins "Sign", C_SignUpdate
// needs it, C_Sign and C_SignFinal end it. Functions that have nothing to do with operations yield kNone.
#pragma once

#include <string_view>

#include "functions.h"

namespace p11shim {

struct Step {
  enum class Kind { kNone, kBegin, kNeed, kEnd };
  Kind kind = Kind::kNone;
  std::string_view operation;
};

constexpr Step operation_step(Function function) {
  std::string_view name = function_name(function);
  name.remove_prefix(2);
  // Longest names first: "SignRecover" is not "Sign", "MessageSign" neither.
  constexpr std::string_view kOperations[] = {"MessageEncrypt", "MessageDecrypt", "MessageSign", "MessageVerify",
                                              "VerifyRecover",  "SignRecover",    "FindObjects", "Encrypt",
                                              "Decrypt",        "Digest",         "Sign",        "Verify"};
  for (const std::string_view operation : kOperations) {
    if (!name.starts_with(operation)) continue;
    const std::string_view rest = name.substr(operation.size());
    if (rest == "Init") return {Step::Kind::kBegin, operation};
    if (rest == "Final") return {Step::Kind::kEnd, operation};
    if (rest == "Update" || rest == "Key") return {Step::Kind::kNeed, operation};
    if (rest.starts_with("Message")) {  // C_SignMessage, C_SignMessageBegin: what C_MessageSignInit began
      for (const std::string_view message : kOperations) {
        if (message.starts_with("Message") && message.substr(7) == operation) return {Step::Kind::kNeed, message};
      }
    }
    if (rest.empty()) return {operation == "FindObjects" ? Step::Kind::kNeed : Step::Kind::kEnd, operation};
  }
  return {};
}

static_assert(operation_step(Function::C_SignInit).kind == Step::Kind::kBegin);
static_assert(operation_step(Function::C_SignRecover).operation == "SignRecover");
static_assert(operation_step(Function::C_VerifyMessageNext).operation == "MessageVerify");
static_assert(operation_step(Function::C_DigestKey).kind == Step::Kind::kNeed);
static_assert(operation_step(Function::C_DigestEncryptUpdate).kind == Step::Kind::kNone);
static_assert(operation_step(Function::C_OpenSession).kind == Step::Kind::kNone);

}  // namespace p11shim
