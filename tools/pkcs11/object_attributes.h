// What C_GetAttributeValue said of one object.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "pkcs11/cryptoki.h"

namespace p11shim {

class ObjectAttributes {
 public:
  void set(CK_ATTRIBUTE_TYPE type, std::string value) { values_[type] = std::move(value); }
  // Only those that the object has and shows.
  const std::map<CK_ATTRIBUTE_TYPE, std::string>& all() const { return values_; }

  bool has(CK_ATTRIBUTE_TYPE type) const { return values_.contains(type); }
  std::optional<std::string_view> bytes(CK_ATTRIBUTE_TYPE type) const {
    const auto found = values_.find(type);
    if (found == values_.end()) return std::nullopt;
    return found->second;
  }
  std::string text(CK_ATTRIBUTE_TYPE type) const { return std::string(bytes(type).value_or("")); }
  // None too if the value does not have a CK_ULONG's length.
  std::optional<CK_ULONG> number(CK_ATTRIBUTE_TYPE type) const {
    const auto value = bytes(type);
    if (!value || value->size() != sizeof(CK_ULONG)) return std::nullopt;
    CK_ULONG number;
    value->copy(reinterpret_cast<char*>(&number), sizeof number);
    return number;
  }
  std::optional<bool> truth(CK_ATTRIBUTE_TYPE type) const {
    const auto value = bytes(type);
    if (!value || value->size() != 1) return std::nullopt;
    return (*value)[0] != CK_FALSE;
  }
  bool is(CK_ATTRIBUTE_TYPE type) const { return truth(type).value_or(false); }

 private:
  std::map<CK_ATTRIBUTE_TYPE, std::string> values_;
};

}  // namespace p11shim
