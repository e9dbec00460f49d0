// From what a call was to what the audit log says.
#pragma once

#include <span>

#include "proxyd/applications/application.h"
#include "proxyd/audit/audit_log.h"

namespace p11shim {

// Bytes of data in an encoded body: of its own byte strings, not of those in a mechanism or a template.
std::uint64_t data_size(std::span<const std::uint8_t> body);

// `pool`: null if the call got to none. `unfinished`: the application gave the operation up.
void write_record(AuditLog& audit, const Application& application, const Pool* pool, const OperationRecord& record,
                  bool unfinished);

// A session ends with operations under way.
void write_unfinished(AuditLog& audit, const Application& application, const VirtualSession& session);

}  // namespace p11shim
