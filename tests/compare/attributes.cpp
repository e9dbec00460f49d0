#include "attributes.h"

#include <algorithm>
#include <cstring>

namespace p11shim::compare {

Attribute::Attribute(CK_ATTRIBUTE_TYPE t, const Template& inner) : type(t), nested(inner.attributes()) {}

Attribute Attribute::null(CK_ATTRIBUTE_TYPE type, CK_ULONG length) {
  Attribute made(type, Bytes{});
  made.null_pointer = true;
  made.claimed_length = length;
  return made;
}

Attribute Attribute::with_length(CK_ATTRIBUTE_TYPE type, const Bytes& value, CK_ULONG length) {
  Attribute made(type, value);
  made.claimed_length = length;
  return made;
}

Bytes Attribute::bytes_of(CK_ULONG number) {
  Bytes bytes(sizeof number);
  std::memcpy(bytes.data(), &number, sizeof number);
  return bytes;
}

Template Template::with(std::initializer_list<Attribute> more) const {
  Template changed = *this;
  for (const Attribute& attribute : more) {
    auto same = std::ranges::find(changed.attributes_, attribute.type, &Attribute::type);
    if (same == changed.attributes_.end()) {
      changed.attributes_.push_back(attribute);
      continue;
    }
    *same = attribute;
  }
  return changed;
}

Template Template::without(CK_ATTRIBUTE_TYPE type) const {
  Template changed = *this;
  std::erase_if(changed.attributes_, [&](const Attribute& attribute) { return attribute.type == type; });
  return changed;
}

bool Template::has(CK_ATTRIBUTE_TYPE type) const {
  return std::ranges::find(attributes_, type, &Attribute::type) != attributes_.end();
}

TemplateMemory::TemplateMemory(const std::vector<Attribute>& attributes) {
  attributes_.reserve(attributes.size());
  for (const Attribute& attribute : attributes) {
    CK_ATTRIBUTE& made = attributes_.emplace_back();
    made.type = attribute.type;
    if (!attribute.nested.empty()) {
      TemplateMemory& inner = nested_.emplace_back(attribute.nested);
      made.pValue = inner.data();
      made.ulValueLen = inner.size() * sizeof(CK_ATTRIBUTE);
      continue;
    }
    Bytes& value = values_.emplace_back(attribute.value);
    made.ulValueLen = attribute.claimed_length.value_or(static_cast<CK_ULONG>(value.size()));
    made.pValue = attribute.null_pointer ? nullptr : value.data();
  }
}

Query roomy(std::initializer_list<CK_ATTRIBUTE_TYPE> types, CK_ULONG room) {
  Query query;
  for (CK_ATTRIBUTE_TYPE type : types) query.emplace_back(type, room);
  return query;
}

Query lengths(std::initializer_list<CK_ATTRIBUTE_TYPE> types) { return Query(types.begin(), types.end()); }

}  // namespace p11shim::compare
