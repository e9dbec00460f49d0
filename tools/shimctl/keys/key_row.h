// What a list of keys shows of one object.
#pragma once

#include <span>

#include "tools/pkcs11/session.h"
#include "tools/shimctl/output/report.h"

namespace p11shim {

std::span<const CK_ATTRIBUTE_TYPE> key_row_attributes();
Value key_row(CK_OBJECT_HANDLE object, const ObjectAttributes& attributes);
std::vector<ReportColumn> key_columns();

// "rsa", "ec"; bits or the name of a curve; null if there is none.
Value key_size(const ObjectAttributes& attributes);

}  // namespace p11shim
