// Where audit lines go. Called by the audit log's writer thread only, with whole lines, each ended by '\n'.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace p11shim {

// What went wrong, in words for the operator ("cannot write /var/log/…: No space left on device").
struct AuditSinkError : std::runtime_error {
  explicit AuditSinkError(const std::string& message, bool lines_lost = true)
      : std::runtime_error(message), lost(lines_lost) {}
  bool lost;  // false: the lines are stored, something else failed (rotation)
};

class AuditSink {
 public:
  virtual ~AuditSink() = default;

  // All of it or nothing, and then AuditSinkError.
  virtual void write(std::string_view lines) = 0;

  // The operator moved the file away (SIGHUP). Errors show at the next write.
  virtual void reopen() = 0;
};

}  // namespace p11shim
