// What the mock's tokens hold: a few objects that are the same in every process (a proxy's workers must
// agree), and those made since. An object is a map of attributes; access rules are the standard's, reduced to
// login and sensitivity.
#pragma once

#include <map>
#include <vector>

#include "pkcs11/cryptoki.h"

namespace p11shim {

using Bytes = std::vector<CK_BYTE>;
using Attributes = std::map<CK_ATTRIBUTE_TYPE, Bytes>;

struct MockObject {
  CK_SLOT_ID slot = 0;            // index of the slot, not its id
  CK_SESSION_HANDLE session = 0;  // that owns it; 0 for token objects
  Attributes attributes;

  bool is(CK_ATTRIBUTE_TYPE flag) const;
  bool matches(const CK_ATTRIBUTE* attributes, CK_ULONG count) const;
  bool hides(CK_ATTRIBUTE_TYPE type) const;  // sensitive
};

Bytes ulong_bytes(CK_ULONG value);
Attributes to_attributes(const CK_ATTRIBUTE* attributes, CK_ULONG count);

// A key pair of either kind, an AES key, a certificate and a data object; values differ between slots.
// Of the first token so many secret keys more.
std::vector<Attributes> initial_objects(CK_SLOT_ID slot, CK_ULONG keys);

inline constexpr char kMockUserPin[] = "1234";
inline constexpr char kMockSoPin[] = "so-1234";

}  // namespace p11shim
