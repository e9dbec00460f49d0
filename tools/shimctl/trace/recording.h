// Calls that were recorded: by `shimctl trace`, by OpenSC's pkcs11-spy, or by proxyd's audit log.
#pragma once

#include <cstdint>
#include <istream>
#include <optional>
#include <string>
#include <vector>

#include "pkcs11/cryptoki.h"

namespace p11shim {

struct RecordedCall {
  std::string function;
  std::int64_t began_ns = 0;  // since 1970
  std::int64_t took_ns = 0;
  CK_RV rv = CKR_OK;
  std::uint64_t thread = 0;  // an index into Recording::threads
  std::optional<CK_MECHANISM_TYPE> mechanism;
};

struct Recording {
  enum class Kind : std::uint8_t { kOurs, kSpy, kAudit };

  Kind kind = Kind::kOurs;
  std::string module;                // the last one named
  std::vector<std::string> threads;  // "pkcs11-tool 4711", "4711/4712"
  std::vector<RecordedCall> calls;   // by time
  std::uint64_t skipped = 0;         // lines that were not understood, of ours and the audit log's

  // pkcs11-spy notes when a call begins, not how long it takes: the time until the next begins stands for it.
  bool measured() const { return kind != Kind::kSpy; }
};

// Throws Failure (kUsage) if it is none of them, or holds no call.
Recording read_recording(std::istream& file, const std::string& name);

}  // namespace p11shim
