// What shimctl's exit codes mean, for all commands. Scripts depend on them; docs/shimctl.md lists them.
#pragma once

namespace p11shim {

enum class ExitCode : int {
  kOk = 0,
  kNegative = 1,  // the question was answered, with no
  kUsage = 2,
  kConfiguration = 3,
  kUnreachable = 4,  // proxyd
  kToken = 5,        // unavailable
  kPermission = 6,   // or authentication
  kNotFound = 7,     // or ambiguous
  kPkcs11 = 8,       // the module said no
  kPartial = 9,
  kDeadline = 10,
  kTampered = 11,  // the audit log
};

}  // namespace p11shim
