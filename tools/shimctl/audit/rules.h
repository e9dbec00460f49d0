// The rules of audit keys, numbered and explained in explain/data/checks_audit.toml.
#pragma once

#include <ctime>
#include <string>
#include <vector>

#include "tools/shimctl/audit/inventory.h"

namespace p11shim {

struct KeyFinding {
  std::string rule;
  const AuditedObject* object = nullptr;
  std::string detail;
  std::string severity{};  // empty: the rule's own
};

struct AuditTime {
  std::time_t now = 0;
  unsigned days = 30;  // until which a certificate "expires soon"
};

// In the inventory's order. Nothing is changed and no key is used.
std::vector<KeyFinding> audit_keys(const std::vector<AuditedObject>& objects, const AuditTime& time);

// Of certificates.cpp: the certificates among them.
void audit_certificates(const std::vector<AuditedObject>& objects, const AuditTime& time,
                        std::vector<KeyFinding>& findings);

}  // namespace p11shim
