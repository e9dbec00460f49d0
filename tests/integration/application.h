// One application of a test: a copy of the shim of its own, so that one process can be several applications.
#pragma once

#include <string>
#include <vector>

#include "pkcs11/cryptoki.h"
#include "private_proxyd.h"

namespace p11shim {

using Bytes = std::vector<CK_BYTE>;

class TestApplication {
 public:
  // `settings`: the text of its shim.toml.
  explicit TestApplication(const std::string& endpoint, const std::string& settings = {});
  explicit TestApplication(const PrivateProxyd& proxyd, const std::string& settings = {})
      : TestApplication(proxyd.endpoint(), settings) {}
  ~TestApplication();
  TestApplication(const TestApplication&) = delete;
  TestApplication& operator=(const TestApplication&) = delete;

  CK_FUNCTION_LIST* operator->() const { return functions_; }

  // The functions of 3.0.
  [[nodiscard]] const CK_FUNCTION_LIST_3_0& v3() const;

  [[nodiscard]] std::vector<CK_SLOT_ID> slots() const;
  [[nodiscard]] CK_SESSION_HANDLE open(bool read_write = true, CK_SLOT_ID slot = 0) const;
  CK_RV log_in(CK_SESSION_HANDLE session, std::string pin, CK_USER_TYPE user = CKU_USER) const;
  CK_RV set_pin(CK_SESSION_HANDLE session, std::string before, std::string after) const;
  [[nodiscard]] CK_FLAGS token_flags(CK_SLOT_ID slot = 0) const;

  // Objects of this class and label.
  [[nodiscard]] std::vector<CK_OBJECT_HANDLE> find(CK_SESSION_HANDLE session, CK_OBJECT_CLASS object_class,
                                                   std::string label = {}) const;
  [[nodiscard]] CK_OBJECT_HANDLE one(CK_SESSION_HANDLE session, CK_OBJECT_CLASS object_class,
                                     std::string label = {}) const;
  CK_OBJECT_HANDLE generate_aes(CK_SESSION_HANDLE session, bool on_token, std::string label, bool is_private = true,
                                CK_RV* rv = nullptr) const;
  CK_OBJECT_HANDLE create_data(CK_SESSION_HANDLE session, bool on_token, std::string label, std::string value) const;
  CK_RV set_label(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, std::string label) const;
  CK_RV encrypt(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE aes_key) const;

 private:
  compare::PrivateDirectory directory_;
  void* library_ = nullptr;
  CK_FUNCTION_LIST* functions_ = nullptr;
};

}  // namespace p11shim
