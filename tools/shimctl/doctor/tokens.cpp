// Checks 12 to 19: each token that the module shows. A PIN is tried only if nothing was tried before in vain.
#include <array>
#include <set>

#include "config/problem.h"
#include "tools/pkcs11/session.h"
#include "tools/shimctl/doctor/patient.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/token/call_failure.h"
#include "tools/shimctl/token/token_access.h"

namespace p11shim {

namespace {

constexpr const char* kChecks[] = {"tokens",         "user-pin",   "so-pin", "token-state",
                                   "token-sessions", "mechanisms", "random", "login"};

struct PinFlags {
  const char* check;
  CK_FLAGS locked, last, low, to_change;
};
constexpr PinFlags kUser{"user-pin", CKF_USER_PIN_LOCKED, CKF_USER_PIN_FINAL_TRY, CKF_USER_PIN_COUNT_LOW,
                         CKF_USER_PIN_TO_BE_CHANGED};
constexpr PinFlags kOfficer{"so-pin", CKF_SO_PIN_LOCKED, CKF_SO_PIN_FINAL_TRY, CKF_SO_PIN_COUNT_LOW,
                            CKF_SO_PIN_TO_BE_CHANGED};

void examine_pin(const PinFlags& pin, const std::string& token, CK_FLAGS flags, Examination& found) {
  if ((flags & pin.locked) != 0) found.fail(pin.check, token + ": locked");
  else if ((flags & pin.last) != 0) found.fail(pin.check, token + ": one try left before it locks");
  else if ((flags & pin.low) != 0) found.warn(pin.check, token + ": wrong PINs were tried since the last login");
  else found.pass(pin.check, token);
  if ((flags & pin.to_change) != 0) found.warn("token-state", token + ": a PIN must be changed first");
}

void examine_state(const std::string& token, CK_FLAGS flags, Examination& found) {
  if ((flags & CKF_ERROR_STATE) != 0) found.fail("token-state", token + ": in its error state");
  else if ((flags & CKF_WRITE_PROTECTED) != 0) found.warn("token-state", token + ": write-protected");
  else found.pass("token-state", token);
}

void examine_sessions(const std::string& token, const CK_TOKEN_INFO& info, Examination& found) {
  const auto known = [](CK_ULONG count) {
    return count != CK_UNAVAILABLE_INFORMATION && count != CK_EFFECTIVELY_INFINITE;
  };
  if (!known(info.ulSessionCount) || !known(info.ulMaxSessionCount))
    return found.pass("token-sessions", token + ": no limit that it tells");
  const std::string text =
      token + ": " + std::to_string(info.ulSessionCount) + " of " + std::to_string(info.ulMaxSessionCount);
  if (info.ulSessionCount >= info.ulMaxSessionCount) return found.fail("token-sessions", text);
  if (info.ulSessionCount > info.ulMaxSessionCount / 5 * 4) return found.warn("token-sessions", text);
  found.pass("token-sessions", text);
}

void examine_mechanisms(const Module& module, CK_SLOT_ID slot, const std::string& token, Examination& found) {
  const auto mechanisms = module.mechanisms(slot);
  constexpr std::array<std::pair<CK_FLAGS, const char*>, 4> kUses{{{CKF_SIGN, "sign"},
                                                                   {CKF_ENCRYPT, "encrypt"},
                                                                   {CKF_GENERATE, "make keys"},
                                                                   {CKF_GENERATE_KEY_PAIR, "make pairs"}}};
  CK_FLAGS all = 0;
  for (const auto mechanism : mechanisms) {
    try {
      all |= module.mechanism_info(slot, mechanism).flags;
    } catch (const CallError&) {
      found.warn("mechanisms", token + ": " + display(NameKind::ckm, mechanism) + " is listed but has no information");
    }
  }
  std::string missing;
  for (const auto& [flag, what] : kUses)
    if ((all & flag) == 0) missing += (missing.empty() ? "" : ", ") + std::string(what);
  const std::string count = token + ": " + std::to_string(mechanisms.size()) + " mechanisms";
  if ((all & CKF_SIGN) == 0) found.fail("mechanisms", count + ", none that can " + missing);
  else if (!missing.empty()) found.warn("mechanisms", count + ", none that can " + missing);
  else found.pass("mechanisms", count);
}

void examine_random(Module& module, CK_SLOT_ID slot, const std::string& token, Examination& found) {
  const Session session(module, slot, Session::Access::kReadOnly);
  std::array<std::array<CK_BYTE, 32>, 2> bytes{};
  for (auto& each : bytes) {
    const CK_RV rv = module->C_GenerateRandom(session.handle(), each.data(), each.size());
    if (rv == CKR_RANDOM_NO_RNG || rv == CKR_FUNCTION_NOT_SUPPORTED)
      return found.skip("random", token + ": has no generator");
    check("C_GenerateRandom", rv);
  }
  if (bytes[0] == bytes[1]) found.fail("random", token + ": gives the same bytes twice");
  else found.pass("random", token);
}

void examine_token(Module& module, CK_SLOT_ID slot, const CK_TOKEN_INFO& info, Examination& found) {
  const std::string token = in_quotes(padded_text(info.label));
  if ((info.flags & CKF_USER_PIN_INITIALIZED) == 0 && (info.flags & CKF_LOGIN_REQUIRED) != 0)
    found.warn("user-pin", token + ": the security officer has set none");
  examine_pin(kUser, token, info.flags, found);
  examine_pin(kOfficer, token, info.flags, found);
  examine_state(token, info.flags, found);
  examine_sessions(token, info, found);
  try {
    examine_mechanisms(module, slot, token, found);
  } catch (const CallError& error) {
    found.fail("mechanisms", token + ": " + error.what());
  }
  try {
    examine_random(module, slot, token, found);
  } catch (const CallError& error) {
    found.fail("random", token + ": " + error.what());
  }
}

void examine_login(TokenAccess& access, Examination& found) {
  if (!access.has_pin_source()) return found.skip("login", "no --pin-from was given");
  try {
    const auto info = access.module().token_info(access.slot());
    const std::string token = in_quotes(padded_text(info.label));
    if ((info.flags & (CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED)) != 0)
      return found.skip("login", token + ": not tried, since tries were lost before");
    access.session(Session::Access::kReadOnly, Login::kUser);
    found.pass("login", token);
  } catch (const Failure& failure) {
    found.fail("login", failure.reason().what + (failure.reason().why.empty() ? "" : ": " + failure.reason().why));
  } catch (const CallError& error) {
    found.fail("login", error.what());
  }
}

}  // namespace

void examine_tokens(Patient& patient, Examination& found) {
  const Finding* loads = found.find("module-loads");
  if (loads == nullptr || loads->verdict != Verdict::kPass) {
    for (const char* check : kChecks) found.skip(check, "the module does not load");
    return;
  }
  try {
    TokenAccess access(patient.invocation);
    Module& module = access.module();
    std::size_t count = 0;
    std::size_t empty = 0;
    for (const CK_SLOT_ID slot : module.slots(true)) {
      const auto info = module.token_info(slot);
      if ((info.flags & CKF_TOKEN_INITIALIZED) == 0) {
        ++empty;
        continue;
      }
      ++count;
      examine_token(module, slot, info, found);
    }
    if (count > 0) {
      found.pass("tokens", std::to_string(count) + " initialised" +
                               (empty > 0 ? ", " + std::to_string(empty) + " not" : std::string()));
      examine_login(access, found);
    } else {
      found.fail("tokens", "no initialised token");
    }
  } catch (const Failure& failure) {
    found.fail("tokens", failure.reason().what);
  } catch (const CallError& error) {
    found.fail("tokens", error.what());
  }
  for (const char* check : kChecks)
    if (found.find(check) == nullptr) found.skip(check, "there is no token");
}

}  // namespace p11shim
