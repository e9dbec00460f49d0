#include "proxyd/balance/faults.h"

namespace p11shim {

Blame blame_of(CK_RV rv, bool login_is_good) {
  if (rv == CKR_USER_NOT_LOGGED_IN && login_is_good) return Blame::nobody;
  switch (rv) {
    case CKR_DEVICE_ERROR:
    case CKR_DEVICE_REMOVED:
    case CKR_TOKEN_NOT_PRESENT:
    case CKR_TOKEN_NOT_RECOGNIZED:
    case CKR_SESSION_HANDLE_INVALID:
    case CKR_SESSION_CLOSED:
    case CKR_USER_NOT_LOGGED_IN:
    case CKR_CRYPTOKI_NOT_INITIALIZED: return Blame::member;
    case CKR_GENERAL_ERROR:
    case CKR_FUNCTION_FAILED:
    case CKR_DEVICE_MEMORY:
    case CKR_HOST_MEMORY:
    case CKR_TOKEN_RESOURCE_EXCEEDED: return Blame::suspect;
    default: return Blame::nobody;
  }
}

bool needs_new_worker(CK_RV rv) {
  switch (rv) {
    case CKR_DEVICE_REMOVED:
    case CKR_TOKEN_NOT_PRESENT:
    case CKR_SESSION_HANDLE_INVALID:
    case CKR_SESSION_CLOSED:
    case CKR_USER_NOT_LOGGED_IN:
    case CKR_CRYPTOKI_NOT_INITIALIZED: return true;
    default: return false;
  }
}

bool misses_object(CK_RV rv) {
  switch (rv) {
    case CKR_OBJECT_HANDLE_INVALID:
    case CKR_KEY_HANDLE_INVALID:
    case CKR_WRAPPING_KEY_HANDLE_INVALID:
    case CKR_UNWRAPPING_KEY_HANDLE_INVALID: return true;
    default: return false;
  }
}

Recourse recourse(const CallInfo& call, Reached reached, Asked asked) {
  const Policy& policy = call.policy;
  // A PIN is shown to the member that it is meant for, and to no other.
  if (policy.where == Where::shim || policy.audit == AuditClass::auth) return Recourse::none;
  if (asked.brings_init) return Recourse::repeat;
  const bool goes_on = policy.effect == Effect::continues || policy.effect == Effect::ends;
  if (goes_on) {
    // A module may make the nonces of messages by itself; C_SessionCancel and searches have nothing to go on with.
    const bool replayable = policy.operation != Operation::any &&
                            (policy.operation & (kMessageOperations | Operation::find)) == Operation::none;
    return replayable ? Recourse::replay : Recourse::none;
  }
  if (reached == Reached::nothing) return Recourse::repeat;
  return policy.retry == Retry::always || asked.makes_session_key ? Recourse::repeat : Recourse::none;
}

bool is_stateful(CK_MECHANISM_TYPE mechanism) {
  switch (mechanism) {
    case CKM_HSS:
    case CKM_XMSS:
    case CKM_XMSSMT:
    case CKM_HOTP:
    case CKM_SECURID:
    case CKM_ACTI: return true;
    default: return false;
  }
}

bool is_stateful_key(CK_KEY_TYPE type) {
  switch (type) {
    case CKK_HSS:
    case CKK_XMSS:
    case CKK_XMSSMT:
    case CKK_HOTP:
    case CKK_SECURID:
    case CKK_ACTI: return true;
    default: return false;
  }
}

bool makes_stateful_key(CK_MECHANISM_TYPE mechanism) {
  return mechanism == CKM_HSS_KEY_PAIR_GEN || mechanism == CKM_XMSS_KEY_PAIR_GEN ||
         mechanism == CKM_XMSSMT_KEY_PAIR_GEN;
}

}  // namespace p11shim
