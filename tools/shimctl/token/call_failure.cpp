#include "tools/shimctl/token/call_failure.h"

#include <algorithm>
#include <iterator>

namespace p11shim {

namespace {

struct Advice {
  CK_RV rv;
  ExitCode code;
  const char* fix;
};

constexpr Advice kAdvice[] = {
    {CKR_PIN_INCORRECT, ExitCode::kPermission, "it was tried once; check the PIN before the token locks it"},
    {CKR_PIN_INVALID, ExitCode::kPermission, "the token does not allow such a PIN"},
    {CKR_PIN_LEN_RANGE, ExitCode::kPermission, "shimctl token info shows how long a PIN may be"},
    {CKR_PIN_EXPIRED, ExitCode::kPermission, "set a new one: shimctl token set-pin"},
    {CKR_PIN_LOCKED, ExitCode::kPermission, "the security officer can set a new one: shimctl token init-pin"},
    {CKR_PIN_TOO_WEAK, ExitCode::kPermission, "choose a longer PIN"},
    {CKR_USER_NOT_LOGGED_IN, ExitCode::kPermission, "give the PIN's source: --pin-from env:NAME, file:PATH or prompt"},
    {CKR_USER_PIN_NOT_INITIALIZED, ExitCode::kPermission, "shimctl token init-pin sets the first one"},
    {CKR_USER_TYPE_INVALID, ExitCode::kPermission, ""},
    {CKR_USER_ANOTHER_ALREADY_LOGGED_IN, ExitCode::kPermission, "try again when the other user has logged out"},
    {CKR_FUNCTION_REJECTED, ExitCode::kPermission, "ask whoever configured proxyd or the token"},
    {CKR_ACTION_PROHIBITED, ExitCode::kPermission, "the object or the policy forbids it"},
    {CKR_TOKEN_WRITE_PROTECTED, ExitCode::kPermission, ""},
    {CKR_SESSION_READ_ONLY, ExitCode::kPermission, ""},
    {CKR_TOKEN_NOT_PRESENT, ExitCode::kToken, "shimctl slot list shows what is there"},
    {CKR_TOKEN_NOT_RECOGNIZED, ExitCode::kToken, "shimctl token init initialises it"},
    {CKR_TOKEN_NOT_INITIALIZED, ExitCode::kToken, "shimctl token init initialises it"},
    {CKR_DEVICE_REMOVED, ExitCode::kToken, ""},
    {CKR_DEVICE_ERROR, ExitCode::kToken, "with proxyd, shimctl status and its log say more"},
    {CKR_SESSION_EXISTS, ExitCode::kToken, "end the applications that use the token first"},
    {CKR_SLOT_ID_INVALID, ExitCode::kNotFound, "shimctl slot list shows the slots"},
    {CKR_KEY_FUNCTION_NOT_PERMITTED, ExitCode::kPkcs11, "shimctl key show tells what the key may do"},
    {CKR_KEY_UNEXTRACTABLE, ExitCode::kPkcs11, "only a key made with extractable can be wrapped"},
    {CKR_DEVICE_MEMORY, ExitCode::kPkcs11, "the token is full; shimctl key list shows what might go"},
    {CKR_MECHANISM_INVALID, ExitCode::kPkcs11, "shimctl mech list shows what the token has"},
};

}  // namespace

ExitCode exit_code_of(CK_RV rv) {
  const auto* found =
      std::find_if(std::begin(kAdvice), std::end(kAdvice), [rv](const Advice& advice) { return advice.rv == rv; });
  return found == std::end(kAdvice) ? ExitCode::kPkcs11 : found->code;
}

bool blames_parameters(CK_RV rv) { return rv == CKR_ARGUMENTS_BAD || rv == CKR_MECHANISM_PARAM_INVALID; }

Failure failure_of(const CallError& error, const std::string& what) {
  const auto* found = std::find_if(std::begin(kAdvice), std::end(kAdvice),
                                   [&](const Advice& advice) { return advice.rv == error.rv(); });
  const auto name = ckr_name(error.rv());
  return Failure(exit_code_of(error.rv()), {.what = what,
                                            .why = error.what(),
                                            .fix = found == std::end(kAdvice) ? "" : found->fix,
                                            .explain = name ? std::string(*name) : hexadecimal(error.rv(), 8)});
}

}  // namespace p11shim
