// Attributes that only take something away from a key: without them a copy or a successor could do more than the key.
#pragma once

#include <array>
#include <string>

#include "tools/pkcs11/session.h"

namespace p11shim {

struct KeyRestriction {
  CK_ATTRIBUTE_TYPE type;
  bool without;  // its value on a key that does not have it
};
inline constexpr std::array<KeyRestriction, 8> kKeyRestrictions{{{CKA_PRIVATE, false},
                                                                 {CKA_SENSITIVE, false},
                                                                 {CKA_EXTRACTABLE, true},
                                                                 {CKA_ALWAYS_AUTHENTICATE, false},
                                                                 {CKA_WRAP_WITH_TRUSTED, false},
                                                                 {CKA_COPYABLE, true},
                                                                 {CKA_DESTROYABLE, true},
                                                                 {CKA_MODIFIABLE, true}}};

// Those that `wanted` has and `object` has not: "always_authenticate, allowed_mechanisms"; empty if there are none.
std::string lost_restrictions(const Session& session, CK_OBJECT_HANDLE object, const Template& wanted);

// Why another key cannot be given all that restricts this one: "it has an unwrap_template"; empty if it can.
std::string unrepeatable(const Session& session, CK_OBJECT_HANDLE object);

}  // namespace p11shim
