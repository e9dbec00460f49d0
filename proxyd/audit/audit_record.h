// What the audit log says about one logical operation, and all that it can say: there is no field here that
// could hold a PIN, data, a signature, an IV or a value. Text is borrowed for the length of
// AuditLog::write().
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "calls/policy.h"
#include "pkcs11/cryptoki.h"

namespace p11shim {

struct AuditCaller {
  std::array<std::uint8_t, 16> application{};  // instance id
  std::optional<std::uint32_t> uid, gid, pid;  // as the kernel attests them; none over TCP
  std::string_view program;                    // as the application tells it
};

struct AuditKey {
  std::optional<CK_OBJECT_CLASS> object_class;
  std::optional<CK_KEY_TYPE> type;
  std::span<const std::uint8_t> id;
  std::string_view label;
};

// Microseconds; none if the operation did not pass that stage.
struct AuditTimes {
  std::optional<std::uint64_t> queue, hsm, total;
};

struct AuditRecord {
  std::chrono::system_clock::time_point time;
  AuditClass audit_class = AuditClass::none;  // as the call table has it; none is never written
  AuditCaller caller;
  std::string_view pool;
  std::string_view member;
  std::uint32_t function = 0;  // number in the call table
  std::optional<CK_MECHANISM_TYPE> mechanism;
  std::optional<AuditKey> key;
  std::optional<std::uint64_t> bytes_in, bytes_out;  // of data; written for AuditClass::use only
  CK_RV rv = CKR_OK;
  bool unfinished = false;  // the application gave the operation up; rv is of its last call
  std::uint32_t attempts = 1;
  AuditTimes times;
  std::array<std::uint8_t, 16> trace_id{};  // W3C trace context; zero is none
};

}  // namespace p11shim
