// An audit record as its stored bytes: one line of JSON, printable ASCII, keys always in the same order, no
// spaces, so that the bytes of a record can be hashed and compared. docs/audit.md describes the keys.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "proxyd/audit/audit_record.h"

namespace p11shim {

inline constexpr int kAuditVersion = 1;  // "v": raised when a key changes its meaning or place

// Labels, program names and ids are cut at so many bytes (and end in "…"), so that a line stays short.
inline constexpr std::size_t kAuditTextLimit = 256;
inline constexpr std::size_t kAuditIdLimit = 64;

// Both append the line with its '\n'. A loss line says that `lost` records are missing before it.
void append_audit_line(std::string& out, const AuditRecord& record);
void append_loss_line(std::string& out, std::chrono::system_clock::time_point time, std::uint64_t lost);

}  // namespace p11shim
