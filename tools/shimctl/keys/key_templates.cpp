#include "tools/shimctl/keys/key_templates.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>

#include "config/nearest.h"
#include "config/problem.h"
#include "pkcs11/names.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/keys/hex.h"

namespace p11shim {

namespace {

constexpr std::size_t kMostNamed = 12;

Template named(const KeyNames& names, CK_OBJECT_CLASS object_class, CK_KEY_TYPE type) {
  Template key;
  key.set(CKA_CLASS, object_class).set(CKA_KEY_TYPE, type).set(CKA_TOKEN, names.token);
  return key.set(CKA_LABEL, names.label).set(CKA_ID, names.id);
}

bool agrees(CK_KEY_TYPE type) { return type == CKK_EC || type == CKK_EC_MONTGOMERY; }

bool signs(CK_KEY_TYPE type) { return type != CKK_EC_MONTGOMERY; }

// The part of a name that tells families apart: "AES" of CKM_AES_GCM, "SHA" of CKM_SHA3_256.
std::string_view family(std::string_view name) {
  name.remove_prefix(std::min<std::size_t>(4, name.size()));
  return name.substr(0, name.find_first_of("_0123456789"));
}

}  // namespace

// Modules differ in what a key may do that is not told: it is always told.
Template private_key_template(const KeyNames& names, CK_KEY_TYPE type) {
  Template key = named(names, CKO_PRIVATE_KEY, type);
  key.set(CKA_PRIVATE, true).set(CKA_SENSITIVE, true).set(CKA_EXTRACTABLE, false);
  key.set(CKA_SIGN, signs(type)).set(CKA_SIGN_RECOVER, false).set(CKA_DECRYPT, type == CKK_RSA);
  return key.set(CKA_UNWRAP, false).set(CKA_DERIVE, agrees(type));
}

Template public_key_template(const KeyNames& names, CK_KEY_TYPE type) {
  Template key = named(names, CKO_PUBLIC_KEY, type);
  key.set(CKA_PRIVATE, false).set(CKA_VERIFY, signs(type)).set(CKA_VERIFY_RECOVER, false);
  return key.set(CKA_ENCRYPT, type == CKK_RSA).set(CKA_WRAP, false);
}

Template secret_key_template(const KeyNames& names, CK_KEY_TYPE type) {
  const bool block_cipher = type == CKK_AES || type == CKK_DES3;
  const bool cipher = block_cipher || type == CKK_CHACHA20;
  const bool authenticates = block_cipher || type == CKK_GENERIC_SECRET;
  Template key = named(names, CKO_SECRET_KEY, type);
  key.set(CKA_PRIVATE, true).set(CKA_SENSITIVE, true).set(CKA_EXTRACTABLE, false);
  key.set(CKA_ENCRYPT, cipher).set(CKA_DECRYPT, cipher).set(CKA_WRAP, block_cipher).set(CKA_UNWRAP, block_cipher);
  return key.set(CKA_SIGN, authenticates).set(CKA_VERIFY, authenticates).set(CKA_DERIVE, false);
}

std::string id_or_random(const std::string& id) {
  if (id.empty()) {
    std::string random(8, '\0');
    if (RAND_bytes(reinterpret_cast<unsigned char*>(random.data()), 8) != 1) {
      throw Failure(ExitCode::kNegative, "no random numbers for an id", "give one with --id");
    }
    return random;
  }
  const auto bytes = parse_hex(id);
  if (!bytes || bytes->empty()) {
    throw Failure(ExitCode::kUsage, in_quotes(id) + " is no id", "--id 0a1b takes digits in pairs");
  }
  return *bytes;
}

void refuse_duplicate(const Session& session, const std::string& label) {
  for (const auto object_class : {CKO_PRIVATE_KEY, CKO_SECRET_KEY, CKO_PUBLIC_KEY}) {
    const auto found = session.find(Template().set(CKA_CLASS, object_class).set(CKA_LABEL, label));
    if (found.empty()) continue;
    const auto id = session.read(found.front(), std::array{CKA_ID}).text(CKA_ID);
    throw Failure(ExitCode::kNotFound, {.what = "there is a key " + in_quotes(label) + " already",
                                        .why = "its id is " + hex(id),
                                        .fix = "choose another label, or --allow-duplicate"});
  }
}

void require_mechanism(const Session& session, CK_MECHANISM_TYPE mechanism, CK_FLAGS use, const std::string& what_for) {
  const Module& module = session.module();
  if (module.has_mechanism(session.slot(), mechanism)) return;
  const std::string name = display(NameKind::ckm, mechanism);
  // Those of its family; if there are none, all that are for the same use.
  std::string alike;
  for (const bool of_family : {true, false}) {
    std::size_t named = 0;
    for (const auto other : module.mechanisms(session.slot())) {
      const auto known = ckm_name(other);
      if (!known || (of_family && family(*known) != family(name))) continue;
      if ((module.mechanism_info(session.slot(), other).flags & use) == 0 || named++ >= kMostNamed) continue;
      alike += (alike.empty() ? "" : ", ") + std::string(*known);
    }
    if (!alike.empty()) break;
  }
  throw Failure(ExitCode::kPkcs11, {.what = "the token cannot " + what_for,
                                    .why = "it does not have " + name +
                                           (alike.empty() ? ", nor any other for that" : "; what it has is " + alike),
                                    .fix = "shimctl mech list shows all it has",
                                    .explain = "CKR_MECHANISM_INVALID"});
}

}  // namespace p11shim
