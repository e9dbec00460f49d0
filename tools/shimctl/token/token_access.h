// The module, slot and login that --module, --token, --slot, --uri and --pin-from ask for. Everything is
// opened when it is first needed; a PIN is given to a token once and never again.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "tools/pkcs11/session.h"
#include "tools/shimctl/invocation.h"
#include "tools/shimctl/token/uri.h"

namespace p11shim {

enum class Login : std::uint8_t {
  kNone,
  kIfGiven,  // a PIN's source
  kUser,     // required
  kSecurityOfficer,
};

class TokenAccess {
 public:
  explicit TokenAccess(const Invocation& invocation);
  // Another token of a module that is open already; `module` must outlive this object.
  TokenAccess(const Invocation& invocation, TokenChoice choice, Module& module);

  // Throws Failure: kConfiguration (no module), kUnreachable (no proxyd).
  Module& module();
  // Throws Failure: kNotFound (none or several match), kToken (there is none).
  CK_SLOT_ID slot();
  std::string label();  // of the token, for messages
  const TokenUri& uri() const { return uri_; }

  // Opens this command's session and logs in, once; later calls give the same session. Throws Failure
  // (kPermission), also if a login would be the last try of the PIN and --yes was not given.
  Session& session(Session::Access access, Login login = Login::kIfGiven);

  // After the C_…Init of an operation: a key with CKA_ALWAYS_AUTHENTICATE wants the PIN again, from its
  // source.
  void authenticate_operation(CK_OBJECT_HANDLE key);

  bool goes_through_proxyd() const { return choice_.module.empty(); }
  bool has_pin_source() const { return !choice_.pin_from.empty(); }

 private:
  bool matches(CK_SLOT_ID slot, const CK_TOKEN_INFO& info) const;
  void login(Session& session, Login login);
  void check_tries(const CK_TOKEN_INFO& info, bool security_officer) const;

  const Invocation& invocation_;
  TokenChoice choice_;
  TokenUri uri_;
  std::unique_ptr<Module> loaded_;
  Module* module_ = nullptr;  // loaded_, or another's
  std::optional<CK_SLOT_ID> slot_;
  std::unique_ptr<Session> session_;
};

}  // namespace p11shim
