// A template that owns its values: Template().set(CKA_CLASS, CKO_DATA).set(CKA_LABEL, "k"). Values are wiped,
// since they may be keys.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pkcs11/cryptoki.h"
#include "wire/buffer.h"

namespace p11shim {

class Template {
 public:
  Template() = default;
  ~Template() {
    for (auto& entry : entries_) wipe(entry.value.data(), entry.value.size());
  }
  Template(Template&&) = default;
  Template& operator=(Template&&) = default;
  Template(const Template&) = default;
  Template& operator=(const Template&) = default;

  // Replaces what was there.
  Template& set(CK_ATTRIBUTE_TYPE type, std::string_view bytes) {
    for (auto& entry : entries_) {
      if (entry.type == type) return entry.value = bytes, *this;
    }
    entries_.push_back({type, std::string(bytes)});
    return *this;
  }
  Template& set(CK_ATTRIBUTE_TYPE type, const char* text) { return set(type, std::string_view(text)); }
  Template& set(CK_ATTRIBUTE_TYPE type, CK_ULONG value) {
    return set(type, std::string_view(reinterpret_cast<const char*>(&value), sizeof value));
  }
  Template& set(CK_ATTRIBUTE_TYPE type, bool value) {
    const char byte = value ? CK_TRUE : CK_FALSE;
    return set(type, std::string_view(&byte, 1));
  }
  Template& set_all(const Template& other) {
    for (const auto& entry : other.entries_) set(entry.type, entry.value);
    return *this;
  }
  bool has(CK_ATTRIBUTE_TYPE type) const {
    for (const auto& entry : entries_)
      if (entry.type == type) return true;
    return false;
  }
  bool empty() const { return entries_.empty(); }

  struct Entry {
    CK_ATTRIBUTE_TYPE type;
    std::string value;
  };
  const std::vector<Entry>& entries() const { return entries_; }

  // Valid as long as nothing is set.
  std::vector<CK_ATTRIBUTE> view() {
    std::vector<CK_ATTRIBUTE> view;
    for (auto& entry : entries_) view.push_back({entry.type, entry.value.data(), entry.value.size()});
    return view;
  }

 private:
  std::vector<Entry> entries_;
};

}  // namespace p11shim
