// Attributes as people write and read them: "sign !extractable label=k id=0a1b end-date=2031-12-31".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pkcs11/cryptoki.h"
#include "tools/pkcs11/template.h"
#include "tools/shimctl/output/value.h"

namespace p11shim {

// "always_sensitive"; "0x80001234" if it has no name.
std::string attribute_name(CK_ATTRIBUTE_TYPE type);
// By the attribute's kind; bytes in hexadecimal.
Value attribute_value(CK_ATTRIBUTE_TYPE type, std::string_view bytes);

// Words as above, separated by blanks or given apart; CKA_SIGN, sign and SIGN are the same. Throws Failure
// (kUsage).
Template parse_attributes(const std::vector<std::string>& words);
CK_ATTRIBUTE_TYPE parse_attribute_name(const std::string& name);

}  // namespace p11shim
