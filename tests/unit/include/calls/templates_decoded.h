// What the tests of attribute arrays share.
#pragma once

#include <gtest/gtest.h>

#include <span>

#include "calls/templates.h"

namespace p11shim {

template <class T>
CK_ATTRIBUTE attribute(CK_ATTRIBUTE_TYPE type, T& value) {
  return {type, &value, sizeof value};
}

struct Decoded {
  Arena arena;
  CK_ATTRIBUTE_PTR attributes = nullptr;
  CK_ULONG count = 0;
  bool well_formed = false;
};

inline void decode(std::span<const std::uint8_t> bytes, Decoded& decoded) {
  In in(bytes);
  decode_template(in, decoded.arena, decoded.attributes, decoded.count);
  decoded.well_formed = in.done();
}

inline Buffer encode(std::span<const CK_ATTRIBUTE> attributes) {
  Buffer buffer;
  Out out(buffer);
  encode_template(out, attributes.data(), attributes.size());
  return buffer;
}

}  // namespace p11shim
