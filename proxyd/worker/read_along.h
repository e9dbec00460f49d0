// Reads attribute values that a request wants along with its objects (calls/values.h).
#pragma once

#include "calls/arena.h"
#include "calls/values.h"

namespace p11shim {

// Appends to `values` what the objects show of the attributes in `wanted`, the first objects first, up to the limits.
// Malformed or unknown wishes are left out. `arena` is used for one object after the other. Throws std::bad_alloc.
void read_along(const CK_FUNCTION_LIST_3_0& module, CK_SESSION_HANDLE session, std::span<const std::uint64_t> objects,
                std::span<const std::uint8_t> wanted, Arena& arena, Buffer& values);

}  // namespace p11shim
