// Every bound on what a peer may send, in one place. A message beyond one of them is malformed (docs/protocol.md, "Bounds").
#pragma once

#include <cstddef>
#include <cstdint>

namespace p11shim::limits {

inline constexpr std::size_t kMaxFrame = std::size_t{64}
                                         << 20;          // bytes after the length prefix; proxyd may configure less
inline constexpr std::size_t kFrameOverhead = 64 << 10;  // kept free in a frame for everything but bulk data
inline constexpr std::size_t kMaxBulk =
    kMaxFrame - kFrameOverhead;  // data in, data out, and the capacity told to a module
inline constexpr std::size_t kMaxHandles = std::size_t{1} << 20;  // handles in one message (a find's result)
inline constexpr std::size_t kMaxSearch = 65536;                  // objects of a search that is done in one step
inline constexpr std::size_t kMaxRequestHandles = 4096;           // handles that one request may name
inline constexpr std::size_t kMaxAttributes = 4096;               // attributes in one template
inline constexpr std::size_t kMaxTemplateDepth = 3;      // CKA_WRAP_TEMPLATE inside CKA_DERIVE_TEMPLATE inside …
inline constexpr std::size_t kMaxMechanismDepth = 3;     // CK_KIP_PARAMS and CK_CMS_SIG_PARAMS nest mechanisms
inline constexpr std::size_t kMaxParameterItems = 1024;  // items of an array inside a mechanism parameter
inline constexpr std::size_t kMaxAttributeCapacity = std::size_t{4}
                                                     << 20;  // what a module is told an attribute's buffer holds
inline constexpr std::size_t kMaxListItems = 65536;          // slots, mechanisms
inline constexpr std::size_t kMaxProgramName = 256;          // bytes
inline constexpr std::size_t kMaxPin = 64 << 10;             // bytes; modules have their own, lower, limits

}  // namespace p11shim::limits
