// Keys and certificates in files, PEM or DER, as attributes of the objects they become.
#pragma once

#include <string_view>
#include <vector>

#include "tools/pkcs11/template.h"

namespace p11shim {

// Class, key type and value only. A private key gives its public half, too; a certificate gives itself.
// Throws Failure (kUsage) if the file holds none of them, or one that is encrypted.
std::vector<Template> objects_in(std::string_view file);

}  // namespace p11shim
