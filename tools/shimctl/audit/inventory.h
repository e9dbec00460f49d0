// All keys and certificates of a token, with what an audit asks of them.
#pragma once

#include <string>
#include <vector>

#include "tools/pkcs11/session.h"
#include "tools/shimctl/invocation.h"
#include "tools/shimctl/output/value.h"

namespace p11shim {

struct AuditedObject {
  CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;
  CK_OBJECT_CLASS object_class = CKO_DATA;
  CK_KEY_TYPE type = CKK_VENDOR_DEFINED;  // of keys
  std::string identity;                   // tells it from the others, today and next year: "private k 0a1b"
  ObjectAttributes attributes;
  std::string public_key;  // SubjectPublicKeyInfo, DER; empty if it is not known

  std::string label() const { return attributes.text(CKA_LABEL); }
  std::string id() const { return attributes.text(CKA_ID); }
  bool is_secret() const { return object_class == CKO_PRIVATE_KEY || object_class == CKO_SECRET_KEY; }
};

// Reads them, with progress. A private key that does not know its public half has it from its other half.
std::vector<AuditedObject> take_inventory(const Invocation& invocation, const Session& session);

// What a snapshot keeps of an object, and a diff compares: nothing secret, nothing that changes by itself.
Value snapshot_of(const AuditedObject& object);

}  // namespace p11shim
