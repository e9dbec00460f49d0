// A PKCS#11 module in this process: loaded and initialised with this object, finalised with it, never
// unloaded (modules do not survive that).
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "pkcs11/cryptoki.h"
#include "tools/pkcs11/call_error.h"

namespace p11shim {

// The file is no PKCS#11 module.
class LoadError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Module {
 public:
  // Throws LoadError, or CallError if C_Initialize fails. `library_parameters` is NSS's; empty: none.
  explicit Module(const std::string& path, const std::string& library_parameters = {});
  ~Module();
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  CK_FUNCTION_LIST* operator->() const { return functions_; }
  // The 3.0 functions; null if the module has none.
  CK_FUNCTION_LIST_3_0* v3() const { return functions_3_0_; }
  const std::string& path() const { return path_; }

  CK_INFO info() const;
  std::vector<CK_SLOT_ID> slots(bool with_token) const;
  CK_SLOT_INFO slot_info(CK_SLOT_ID slot) const;
  CK_TOKEN_INFO token_info(CK_SLOT_ID slot) const;
  std::vector<CK_MECHANISM_TYPE> mechanisms(CK_SLOT_ID slot) const;  // ascending
  CK_MECHANISM_INFO mechanism_info(CK_SLOT_ID slot, CK_MECHANISM_TYPE mechanism) const;
  bool has_mechanism(CK_SLOT_ID slot, CK_MECHANISM_TYPE mechanism) const;

 private:
  std::string path_;
  CK_FUNCTION_LIST* functions_ = nullptr;
  CK_FUNCTION_LIST_3_0* functions_3_0_ = nullptr;
};

// The text of a field that the standard pads with blanks.
template <std::size_t N>
std::string padded_text(const CK_UTF8CHAR (&field)[N]) {
  std::string text(reinterpret_cast<const char*>(field), N);
  // Some modules end their fields with zeros.
  text.erase(text.find_last_not_of(std::string_view(" \0", 2)) + 1);
  return text;
}

inline std::string version_text(const CK_VERSION& version) {
  return std::to_string(version.major) + "." + std::to_string(version.minor);
}

}  // namespace p11shim
