#include "tools/shimctl/keys/key_wrapping.h"

#include <algorithm>
#include <array>

#include "config/problem.h"
#include "tools/shimctl/crypto/hash.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/keys/key_templates.h"

namespace p11shim {

namespace {

struct Wrapping {
  std::string_view name;
  CK_MECHANISM_TYPE mechanism;
};
constexpr std::array<Wrapping, 4> kWrappings{{{"aes-kwp", CKM_AES_KEY_WRAP_PAD},
                                              {"aes-kw", CKM_AES_KEY_WRAP},
                                              {"rsa-oaep", CKM_RSA_PKCS_OAEP},
                                              {"rsa-pkcs", CKM_RSA_PKCS}}};

}  // namespace

void choose_wrapping(WrapMechanism& chosen, const Session& session, CK_OBJECT_HANDLE key, const std::string& name,
                     const std::string& hash) {
  const auto type = session.read(key, std::array{CKA_KEY_TYPE}).number(CKA_KEY_TYPE);
  const std::string wanted = !name.empty() ? name : type == CKK_RSA ? "rsa-oaep" : "aes-kwp";
  const auto* found =
      std::find_if(kWrappings.begin(), kWrappings.end(), [&](const Wrapping& each) { return each.name == wanted; });
  if (found == kWrappings.end()) {
    throw Failure(ExitCode::kUsage, "there is no way of wrapping called " + in_quotes(wanted),
                  "aes-kwp, aes-kw, rsa-oaep and rsa-pkcs are");
  }
  require_mechanism(session, found->mechanism, CKF_WRAP | CKF_UNWRAP, "wrap keys this way");
  chosen.mechanism = {found->mechanism, nullptr, 0};
  if (found->mechanism != CKM_RSA_PKCS_OAEP) return;
  chosen.oaep = oaep_parameters(parse_hash(hash));
  chosen.mechanism.pParameter = &chosen.oaep;
  chosen.mechanism.ulParameterLen = sizeof chosen.oaep;
}

std::string wrap_object(const Session& session, WrapMechanism& how, CK_OBJECT_HANDLE with, CK_OBJECT_HANDLE key) {
  const Module& module = session.module();
  CK_ULONG length = 0;
  check("C_WrapKey", module->C_WrapKey(session.handle(), &how.mechanism, with, key, nullptr, &length));
  std::string wrapped(length, '\0');
  check("C_WrapKey", module->C_WrapKey(session.handle(), &how.mechanism, with, key,
                                       reinterpret_cast<CK_BYTE*>(wrapped.data()), &length));
  wrapped.resize(std::min<std::size_t>(length, wrapped.size()));
  return wrapped;
}

CK_OBJECT_HANDLE unwrap_object(const Session& session, WrapMechanism& how, CK_OBJECT_HANDLE with, std::string wrapped,
                               Template attributes) {
  auto view = attributes.view();
  CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
  check("C_UnwrapKey", session.module()->C_UnwrapKey(session.handle(), &how.mechanism, with,
                                                     reinterpret_cast<CK_BYTE*>(wrapped.data()), wrapped.size(),
                                                     view.data(), view.size(), &key));
  return key;
}

}  // namespace p11shim
