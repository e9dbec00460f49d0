#include "tools/shimctl/keys/key_maker.h"

namespace p11shim {

KeyType as_the_token_makes(const Session& session, KeyType type) {
  if (type.generate != CKM_EC_MONTGOMERY_KEY_PAIR_GEN) return type;
  const auto has = [&](CK_MECHANISM_TYPE mechanism) {
    return session.module().has_mechanism(session.slot(), mechanism);
  };
  if (has(CKM_EC_MONTGOMERY_KEY_PAIR_GEN) || !has(CKM_EC_EDWARDS_KEY_PAIR_GEN)) return type;
  type.type = CKK_EC_EDWARDS;
  type.generate = CKM_EC_EDWARDS_KEY_PAIR_GEN;
  return type;
}

MadeKey make_key(const Session& session, const KeyType& type, const KeyNames& names, const Template& changes,
                 const Template& public_changes) {
  if (!type.pair) {
    Template secret = secret_key_template(names, type.type);
    if (type.type != CKK_DES3) secret.set(CKA_VALUE_LEN, type.bits / 8);
    return {.key = session.generate({type.generate, nullptr, 0}, secret.set_all(changes))};
  }
  Template public_key = public_key_template(names, type.type);
  if (type.type == CKK_RSA) {
    public_key.set(CKA_MODULUS_BITS, type.bits).set(CKA_PUBLIC_EXPONENT, std::string_view("\x01\x00\x01", 3));
  } else {
    public_key.set(CKA_EC_PARAMS, type.ec_params);
  }
  Template private_key = private_key_template(names, type.type);
  if (type.type == CKK_EC_EDWARDS && agrees_only(type.ec_params)) {
    private_key.set(CKA_SIGN, false).set(CKA_DERIVE, true);
    public_key.set(CKA_VERIFY, false);
  }
  private_key.set_all(changes);
  const auto pair = session.generate_pair({type.generate, nullptr, 0}, public_key.set_all(public_changes), private_key);
  return {.key = pair.private_key, .public_key = pair.public_key};
}

}  // namespace p11shim
