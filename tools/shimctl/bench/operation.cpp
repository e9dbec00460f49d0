#include "tools/shimctl/bench/operation.h"

#include <algorithm>
#include <array>

#include "pkcs11/names.h"
#include "tools/shimctl/bench/crypto_operations.h"
#include "tools/shimctl/bench/object_operations.h"

namespace p11shim {

namespace {

// The token cannot do this at all, in contrast to failing at it.
constexpr std::array kCannot{CKR_MECHANISM_INVALID,
                             CKR_MECHANISM_PARAM_INVALID,
                             CKR_KEY_TYPE_INCONSISTENT,
                             CKR_KEY_FUNCTION_NOT_PERMITTED,
                             CKR_FUNCTION_NOT_SUPPORTED,
                             CKR_KEY_SIZE_RANGE,
                             CKR_DATA_LEN_RANGE,
                             CKR_TEMPLATE_INCONSISTENT,
                             CKR_ATTRIBUTE_VALUE_INVALID,
                             CKR_ATTRIBUTE_TYPE_INVALID,
                             CKR_CURVE_NOT_SUPPORTED,
                             CKR_DOMAIN_PARAMS_INVALID,
                             CKR_KEY_UNEXTRACTABLE,
                             CKR_KEY_NOT_WRAPPABLE,
                             CKR_WRAPPING_KEY_TYPE_INCONSISTENT,
                             CKR_USER_NOT_LOGGED_IN,
                             CKR_SESSION_READ_ONLY,
                             CKR_RANDOM_NO_RNG,
                             CKR_ARGUMENTS_BAD};

bool cannot(CK_RV rv) { return std::find(kCannot.begin(), kCannot.end(), rv) != kCannot.end(); }

std::unique_ptr<Operation> make(const OperationPlace& place) {
  switch (place.test.action) {
    case BenchAction::kSign: return make_sign_operation(place);
    case BenchAction::kVerify: return make_verify_operation(place);
    case BenchAction::kEncrypt: return make_encrypt_operation(place);
    case BenchAction::kDecrypt: return make_decrypt_operation(place);
    case BenchAction::kDigest: return make_digest_operation(place);
    case BenchAction::kWrap: return make_wrap_operation(place);
    case BenchAction::kUnwrap: return make_unwrap_operation(place);
    case BenchAction::kDerive: return make_derive_operation(place);
    case BenchAction::kGenerate: return make_generate_operation(place);
    case BenchAction::kRandom: return make_random_operation(place);
    case BenchAction::kFind: return make_find_operation(place);
    case BenchAction::kAttributes: return make_attributes_operation(place);
    case BenchAction::kSession: return make_session_operation(place);
    case BenchAction::kLogin: break;
  }
  if (place.pin == nullptr) {
    throw TestSkipped("it needs a PIN that can be read again: --pin-from env:NAME or file:PATH");
  }
  return make_login_operation(place);
}

}  // namespace

std::unique_ptr<Operation> make_operation(const OperationPlace& place) {
  try {
    auto operation = make(place);
    const CK_RV rv = operation->run();
    if (cannot(rv)) throw TestSkipped("the token refuses: " + display(NameKind::ckr, rv));
    rv == CKR_OK ? operation->tidy() : operation->recover();
    return operation;
  } catch (const CallError& error) {
    if (cannot(error.rv())) throw TestSkipped(error.what());
    throw;
  }
}

}  // namespace p11shim
