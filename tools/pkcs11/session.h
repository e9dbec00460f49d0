// A session, closed with this object. Objects are handles: they live as long as their token or session says.
#pragma once

#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "tools/pkcs11/module.h"
#include "tools/pkcs11/object_attributes.h"
#include "tools/pkcs11/template.h"

namespace p11shim {

class Session {
 public:
  enum class Access : std::uint8_t { kReadOnly, kReadWrite };

  Session(Module& module, CK_SLOT_ID slot, Access access);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  Module& module() const { return module_; }
  CK_SLOT_ID slot() const { return slot_; }
  CK_SESSION_HANDLE handle() const { return handle_; }

  void login(CK_USER_TYPE user, std::string_view pin);
  void logout();

  // In the module's order. `found` is told how many came at a time.
  std::vector<CK_OBJECT_HANDLE> find(Template search, const std::function<void(std::size_t)>& found = {}) const;

  // What cannot be read is left out. Throws CallError if the object is not there.
  ObjectAttributes read(CK_OBJECT_HANDLE object, std::span<const CK_ATTRIBUTE_TYPE> types) const;
  // One attribute: CKR_OK, or why it cannot be read.
  CK_RV read_one(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, std::string& value) const;

  CK_OBJECT_HANDLE create(Template attributes) const;
  CK_OBJECT_HANDLE copy(CK_OBJECT_HANDLE object, Template changes) const;
  void set(CK_OBJECT_HANDLE object, Template changes) const;
  void destroy(CK_OBJECT_HANDLE object) const;
  CK_OBJECT_HANDLE generate(CK_MECHANISM mechanism, Template attributes) const;
  struct Pair {
    CK_OBJECT_HANDLE public_key;
    CK_OBJECT_HANDLE private_key;
  };
  Pair generate_pair(CK_MECHANISM mechanism, Template public_key, Template private_key) const;

 private:
  ObjectAttributes read_each(CK_OBJECT_HANDLE object, std::span<const CK_ATTRIBUTE_TYPE> types) const;

  Module& module_;
  CK_SLOT_ID slot_;
  CK_SESSION_HANDLE handle_ = CK_INVALID_HANDLE;
};

}  // namespace p11shim
