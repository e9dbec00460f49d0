// What the audit log will say of an operation that is under way: its Init's mechanism and key, and what its calls have come
// to so far. A logical operation is one record, written when it ends.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "calls/policy.h"
#include "proxyd/audit/audit_record.h"

namespace p11shim {

class Member;

// As far as they are known; a copy, since the object may be gone when the record is written.
struct NamedKey {
  CK_OBJECT_CLASS object_class = 0;
  bool has_type = false;
  CK_KEY_TYPE type = 0;
  std::vector<std::uint8_t> id;
  std::string label;
};

struct OperationRecord {
  AuditClass audit_class = AuditClass::none;
  Operation operation = Operation::none;
  std::uint32_t function = 0;  // the call that came last
  CK_RV rv = CKR_OK;           // its answer
  std::optional<CK_MECHANISM_TYPE> mechanism;
  std::optional<NamedKey> key;
  const Member* member = nullptr;  // where it ran last
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  std::uint32_t attempts = 1;  // 1, and one more for each time that a call of it was made again
  AuditTimes times;            // sums
  std::array<std::uint8_t, 16> trace_id{};

  // One more call of the same operation.
  void add(const OperationRecord& call) {
    audit_class = call.audit_class;
    function = call.function;
    rv = call.rv;
    if (!mechanism) mechanism = call.mechanism;
    if (!key) key = call.key;
    if (call.member != nullptr) member = call.member;
    bytes_in += call.bytes_in;
    bytes_out += call.bytes_out;
    attempts += call.attempts - 1;
    for (const auto stage : {&AuditTimes::queue, &AuditTimes::hsm, &AuditTimes::total})
      if (call.times.*stage) times.*stage = (times.*stage).value_or(0) + *(call.times.*stage);
    trace_id = call.trace_id;
  }
};

}  // namespace p11shim
