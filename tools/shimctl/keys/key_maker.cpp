#include "tools/shimctl/keys/key_maker.h"

namespace p11shim {

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
  Template private_key = private_key_template(names, type.type).set_all(changes);
  const auto pair =
      session.generate_pair({type.generate, nullptr, 0}, public_key.set_all(public_changes), private_key);
  return {.key = pair.private_key, .public_key = pair.public_key};
}

}  // namespace p11shim
