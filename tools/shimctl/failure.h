// Why a command cannot go on: what failed, why, what the user can do, and where to read more. Printed as one
// line; as JSON where JSON was asked for.
#pragma once

#include <stdexcept>
#include <string>

#include "tools/shimctl/exit_code.h"

namespace p11shim {

struct FailureReason {
  std::string what;
  std::string why{};
  std::string fix{};
  std::string explain{};  // what `shimctl explain-error` knows it by: "CKR_PIN_INCORRECT"
};

class Failure : public std::runtime_error {
 public:
  // `fix` completes "…; try to": it may be empty.
  Failure(ExitCode code, const std::string& what_and_why, const std::string& fix)
      : Failure(code, FailureReason{.what = what_and_why, .fix = fix}) {}
  Failure(ExitCode code, FailureReason reason)
      : std::runtime_error(line(reason)), code_(code), reason_(std::move(reason)) {}

  ExitCode code() const noexcept { return code_; }
  const FailureReason& reason() const noexcept { return reason_; }

 private:
  static std::string line(const FailureReason& reason) {
    std::string text = reason.what + (reason.why.empty() ? "" : ": " + reason.why);
    std::string advice = reason.fix;
    if (!reason.explain.empty()) advice += (advice.empty() ? "" : "; ") + ("shimctl explain-error " + reason.explain);
    return advice.empty() ? text : text + " (" + advice + ")";
  }

  ExitCode code_;
  FailureReason reason_;
};

}  // namespace p11shim
