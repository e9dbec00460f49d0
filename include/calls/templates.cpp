#include "calls/templates.h"

#include <algorithm>

#include "pkcs11/attributes.h"

namespace p11shim {
namespace {

bool is_nested(CK_ATTRIBUTE_TYPE type) {
  return (type & CKF_ARRAY_ATTRIBUTE) != 0 && attribute_kind(type) == AttributeKind::attribute_template;
}
bool is_ulong(CK_ATTRIBUTE_TYPE type) { return attribute_kind(type) == AttributeKind::ulong; }
bool is_whole_template(CK_ULONG size) { return size % sizeof(CK_ATTRIBUTE) == 0; }

// No pointer of one process is ever read in another. An array that only its vendor knows may be of CK_ATTRIBUTEs, with
// pointers in them, or of numbers: nothing is mapped where a small number points to.
bool may_hold_pointers(CK_ATTRIBUTE_TYPE type, const void* value, CK_ULONG size) {
  if ((type & CKF_ARRAY_ATTRIBUTE) == 0 || attribute_kind(type) != AttributeKind::bytes) return false;
  if (!is_whole_template(size)) return false;
  for (CK_ULONG at = 0; at < size; at += sizeof(CK_ATTRIBUTE)) {
    CK_ATTRIBUTE element;
    std::memcpy(&element, static_cast<const std::uint8_t*>(value) + at, sizeof element);
    if (std::uint64_t{reinterpret_cast<std::uintptr_t>(element.pValue)} > UINT32_MAX) return true;
  }
  return false;
}

// Whether a query's attribute was sent as a template to be filled, not as a buffer. Inside a nested template the types are
// the module's to say, so nesting ends there: a template in a template in a query is read as bytes by nobody.
bool was_nested_query(const CK_ATTRIBUTE& asked, std::size_t depth) {
  return depth == 0 && asked.pValue != nullptr && is_nested(asked.type) && is_whole_template(asked.ulValueLen);
}

CK_ULONG load_ulong(const void* place) {
  CK_ULONG value;
  std::memcpy(&value, place, sizeof value);
  return value;
}

// A NULL array with the count that was claimed for it travels as that count.
bool put_count(Out& out, const CK_ATTRIBUTE* attributes, CK_ULONG count) {
  if (attributes == nullptr) {
    out.uint(count);
    return false;
  }
  out.array(count);
  return true;
}

bool take_count(In& in, Arena& arena, CK_ATTRIBUTE_PTR& attributes, CK_ULONG& count, std::size_t depth,
                std::size_t copies = 1) {
  attributes = nullptr;
  count = 0;
  if (depth > limits::kMaxTemplateDepth) {
    in.fail();
    return false;
  }
  if (in.next_is_uint()) {
    count = in.uint();
    return false;
  }
  count = in.array(limits::kMaxAttributes);
  if (!in.ok()) return false;
  attributes = arena.make<CK_ATTRIBUTE>(count * copies);
  return true;
}

void encode_value(Out& out, const CK_ATTRIBUTE& attribute, std::size_t depth) {
  if (attribute.pValue == nullptr) {
    out.array(1);
    return out.uint(attribute.ulValueLen);
  }
  if (is_ulong(attribute.type) && attribute.ulValueLen == sizeof(CK_ULONG))
    return out.uint(load_ulong(attribute.pValue));
  if (is_nested(attribute.type) && is_whole_template(attribute.ulValueLen)) {
    // Nested deeper than the bound, it arrives as a NULL pointer: the module refuses it.
    if (depth >= limits::kMaxTemplateDepth) return out.uint(attribute.ulValueLen / sizeof(CK_ATTRIBUTE));
    return encode_template(out, static_cast<const CK_ATTRIBUTE*>(attribute.pValue),
                           attribute.ulValueLen / sizeof(CK_ATTRIBUTE), depth + 1);
  }
  // A length that no attribute can have, or pointers that nobody can follow: passed on with no bytes, likewise.
  if (attribute.ulValueLen > limits::kMaxBulk ||
      may_hold_pointers(attribute.type, attribute.pValue, attribute.ulValueLen)) {
    out.array(1);
    return out.uint(attribute.ulValueLen);
  }
  out.bin(attribute.pValue, attribute.ulValueLen);
}

void decode_value(In& in, Arena& arena, CK_ATTRIBUTE& attribute, std::size_t depth) {
  if (in.next_is_uint()) {
    auto* number = arena.make<CK_ULONG>();
    *number = in.uint();
    attribute.pValue = number;
    attribute.ulValueLen = sizeof(CK_ULONG);
    return;
  }
  const std::uint8_t tag = in.peek();
  if (tag == 0xc4 || tag == 0xc5 || tag == 0xc6) {
    const auto bytes = in.bin(limits::kMaxBulk);
    attribute.ulValueLen = bytes.size();
    if (is_nested(attribute.type)) {  // of a size that no template has; a module that looks inside finds no pointers
      if (is_whole_template(bytes.size())) in.fail();
      attribute.pValue = arena.make<std::uint8_t>(bytes.size());
      return;
    }
    if (may_hold_pointers(attribute.type, bytes.data(), bytes.size())) return in.fail();
    attribute.pValue = arena.bytes(bytes.size());  // a copy, aligned as modules expect
    if (!bytes.empty()) std::memcpy(attribute.pValue, bytes.data(), bytes.size());
    return;
  }
  if (tag == 0x91 && !is_nested(attribute.type)) {
    in.array_of(1);
    attribute.ulValueLen = in.uint();
    return;
  }
  if (!is_nested(attribute.type)) return in.fail();
  CK_ATTRIBUTE_PTR nested = nullptr;
  CK_ULONG count = 0;
  decode_template(in, arena, nested, count, depth + 1);
  attribute.pValue = nested;
  attribute.ulValueLen = count * sizeof(CK_ATTRIBUTE);
}

}  // namespace

void encode_template(Out& out, const CK_ATTRIBUTE* attributes, CK_ULONG count, std::size_t depth) {
  if (!put_count(out, attributes, count)) return;
  for (CK_ULONG i = 0; i < count; ++i) {
    out.array(2);
    out.uint(attributes[i].type);
    // A nested template with a NULL pointer travels as a NULL array would: [count].
    if (is_nested(attributes[i].type) && attributes[i].pValue == nullptr) {
      out.uint(attributes[i].ulValueLen / sizeof(CK_ATTRIBUTE));
      continue;
    }
    encode_value(out, attributes[i], depth);
  }
}

void decode_template(In& in, Arena& arena, CK_ATTRIBUTE_PTR& attributes, CK_ULONG& count, std::size_t depth) {
  if (!take_count(in, arena, attributes, count, depth)) return;
  for (CK_ULONG i = 0; i < count && in.ok(); ++i) {
    in.array_of(2);
    attributes[i].type = in.uint();
    if (is_nested(attributes[i].type) && in.next_is_uint()) {
      attributes[i].ulValueLen = in.uint_max(limits::kMaxAttributes) * sizeof(CK_ATTRIBUTE);
      continue;
    }
    decode_value(in, arena, attributes[i], depth);
  }
}

void encode_query(Out& out, const CK_ATTRIBUTE* attributes, CK_ULONG count, std::size_t depth) {
  if (!put_count(out, attributes, count)) return;
  for (CK_ULONG i = 0; i < count; ++i) {
    const CK_ATTRIBUTE& attribute = attributes[i];
    out.array(2);
    out.uint(attribute.type);
    if (attribute.pValue == nullptr) out.nil();
    else if (was_nested_query(attribute, depth))
      encode_query(out, static_cast<const CK_ATTRIBUTE*>(attribute.pValue), attribute.ulValueLen / sizeof(CK_ATTRIBUTE),
                   depth + 1);
    else out.uint(attribute.ulValueLen);
  }
}

void decode_query(In& in, Arena& arena, CK_ATTRIBUTE_PTR& attributes, CK_ULONG& count, std::size_t depth) {
  if (!take_count(in, arena, attributes, count, depth, 2)) return;
  for (CK_ULONG i = 0; i < count && in.ok(); ++i) {
    CK_ATTRIBUTE& attribute = attributes[i];
    in.array_of(2);
    attribute.type = in.uint();
    if (in.nil_if()) continue;
    if (in.next_is_uint()) {
      attribute.ulValueLen = std::min<CK_ULONG>(in.uint(), limits::kMaxAttributeCapacity);
      if (was_nested_query({attribute.type, &attribute, attribute.ulValueLen}, depth)) in.fail();
      // What the module may take for a template holds no pointers that an earlier call has left there.
      const bool may_nest = depth != 0 || (attribute.type & CKF_ARRAY_ATTRIBUTE) != 0;
      attribute.pValue = may_nest ? arena.make<std::uint8_t>(attribute.ulValueLen) : arena.bytes(attribute.ulValueLen);
      continue;
    }
    CK_ATTRIBUTE_PTR nested = nullptr;
    CK_ULONG nested_count = 0;
    decode_query(in, arena, nested, nested_count, depth + 1);
    if (depth != 0 || !is_nested(attribute.type)) in.fail();
    attribute.pValue = nested;
    attribute.ulValueLen = nested_count * sizeof(CK_ATTRIBUTE);
  }
  std::copy(attributes, attributes + count, attributes + count);
}

// An answer is [length or nil for CK_UNAVAILABLE_INFORMATION, value or nil]; inside a nested template, whose types the
// module fills in, the type comes first.
void encode_answers(Out& out, const CK_ATTRIBUTE* attributes, CK_ULONG count, std::size_t depth) {
  const CK_ATTRIBUTE* asked = attributes + count;
  out.array(count);
  for (CK_ULONG i = 0; i < count; ++i) {
    const CK_ATTRIBUTE& attribute = attributes[i];
    out.array(depth == 0 ? 2 : 3);
    if (depth != 0) out.uint(attribute.type);
    if (attribute.ulValueLen == CK_UNAVAILABLE_INFORMATION) {
      out.nil();
      out.nil();
      continue;
    }
    out.uint(attribute.ulValueLen);
    // Without a buffer, or with one that was too small, there is a length and no value.
    if (asked[i].pValue == nullptr || attribute.ulValueLen > asked[i].ulValueLen) out.nil();
    else if (was_nested_query(asked[i], depth))
      encode_answers(out, static_cast<const CK_ATTRIBUTE*>(asked[i].pValue), asked[i].ulValueLen / sizeof(CK_ATTRIBUTE),
                     depth + 1);
    else if (is_ulong(attribute.type) && attribute.ulValueLen == sizeof(CK_ULONG))
      out.uint(load_ulong(asked[i].pValue));
    else out.bin(asked[i].pValue, attribute.ulValueLen);
  }
}

void decode_answers(In& in, CK_ATTRIBUTE_PTR attributes, CK_ULONG count, std::size_t depth) {
  if (in.array(limits::kMaxAttributes) != count) in.fail();
  for (CK_ULONG i = 0; i < count && in.ok(); ++i) {
    CK_ATTRIBUTE& attribute = attributes[i];
    const CK_ULONG capacity = attribute.pValue == nullptr ? 0 : attribute.ulValueLen;
    const bool nested = was_nested_query(attribute, depth);
    in.array_of(depth == 0 ? 2 : 3);
    if (depth != 0) attribute.type = in.uint();
    if (in.nil_if()) {
      in.nil();
      if (in.ok()) attribute.ulValueLen = CK_UNAVAILABLE_INFORMATION;
      continue;
    }
    const CK_ULONG length = in.uint();
    if (in.nil_if()) {
      if (in.ok()) attribute.ulValueLen = length;
      continue;
    }
    if (nested) {
      decode_answers(in, static_cast<CK_ATTRIBUTE_PTR>(attribute.pValue), capacity / sizeof(CK_ATTRIBUTE), depth + 1);
    } else if (in.next_is_uint()) {
      const CK_ULONG number = in.uint();
      if (length != sizeof number || capacity < sizeof number) in.fail();
      if (in.ok()) std::memcpy(attribute.pValue, &number, sizeof number);
    } else {
      const auto bytes = in.bin(capacity);
      if (bytes.size() != length) in.fail();
      if (in.ok() && !bytes.empty()) std::memcpy(attribute.pValue, bytes.data(), bytes.size());
    }
    if (in.ok()) attribute.ulValueLen = length;
  }
}

}  // namespace p11shim
