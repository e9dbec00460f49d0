// Attributes of one object, read with one call when none is longer than 1 KiB. What was read is wiped.
#pragma once

#include <cstring>
#include <list>
#include <span>
#include <vector>

#include "pkcs11/attributes.h"
#include "wire/buffer.h"

namespace p11shim {

class ObjectAttributes {
 public:
  explicit ObjectAttributes(std::span<const CK_ATTRIBUTE_TYPE> types);
  ObjectAttributes(const ObjectAttributes&) = delete;
  ObjectAttributes& operator=(const ObjectAttributes&) = delete;
  ~ObjectAttributes();

  // False: the object could not be read just now, and nothing is known of it.
  bool read(const CK_FUNCTION_LIST_3_0& module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object);
  // Empty: the object has no such attribute, or does not show it.
  [[nodiscard]] std::span<const std::uint8_t> operator[](CK_ATTRIBUTE_TYPE type) const;
  [[nodiscard]] bool number(CK_ATTRIBUTE_TYPE type, CK_ULONG& value) const {
    const auto bytes = (*this)[type];
    if (bytes.size() != sizeof value) return false;
    std::memcpy(&value, bytes.data(), sizeof value);
    return true;
  }
  [[nodiscard]] bool flag(CK_ATTRIBUTE_TYPE type) const {
    const auto bytes = (*this)[type];
    return bytes.size() == sizeof(CK_BBOOL) && bytes[0] != CK_FALSE;
  }

 private:
  bool read_all(const CK_FUNCTION_LIST_3_0& module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object);
  bool read_numbers(const CK_FUNCTION_LIST_3_0& module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object);
  bool read_each(const CK_FUNCTION_LIST_3_0& module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object);

  std::vector<std::uint8_t> memory_;
  std::vector<CK_ATTRIBUTE> query_;
  std::list<std::vector<std::uint8_t>> long_;
};

}  // namespace p11shim
