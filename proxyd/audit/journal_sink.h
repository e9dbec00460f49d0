// Audit lines in the systemd journal: MESSAGE is the line, SYSLOG_IDENTIFIER is "p11shim-audit".
#pragma once

#include "proxyd/audit/audit_sink.h"

namespace p11shim {

class JournalSink final : public AuditSink {
 public:
  void write(std::string_view lines) override;
  void reopen() override {}
};

}  // namespace p11shim
