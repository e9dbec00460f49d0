// What an application does with secrets in all its calls; each is remembered to be searched for.
#pragma once

#include <string>
#include <vector>

#include "pkcs11/cryptoki.h"
#include "secret_traces.h"

namespace p11shim {

class SecretWork {
 public:
  static constexpr char kKeyLabel[] = "canary-key-label";

  explicit SecretWork(const CK_FUNCTION_LIST_3_0& p11) : p11_(p11) {}

  static CK_BYTE_PTR bytes(std::string& text);
  // Remembers `value` and returns it.
  std::string secret(const std::string& what, const std::string& value);
  [[nodiscard]] const std::vector<Secret>& secrets() const { return secrets_; }

  // Both in a session that is logged in.
  void use_keys(CK_SESSION_HANDLE session);
  void use_parameters(CK_SESSION_HANDLE session);

 private:
  void keep_result(const std::string& what, const std::string& buffer, CK_ULONG length);

  const CK_FUNCTION_LIST_3_0& p11_;
  std::vector<Secret> secrets_;
};

}  // namespace p11shim
