#include <algorithm>

#include "walker.h"

namespace p11shim::walk {

Bytes Walker::data(Choice& choice) {
  static const std::vector<std::size_t> kSizes = {0, 1, 8, 15, 16, 17, 32, 48, 100, 128};
  std::size_t size = choice.of(kSizes);
  if (choice.one_in(40)) size = 5000 + choice.below(70'000);
  return pattern(size, static_cast<CK_BYTE>(choice.below(4)));
}

Room Walker::room(Choice& choice, CK_ULONG usual) {
  if (choice.one_in(6)) return Room::query(choice.one_in(2) ? 0 : 7);
  if (choice.one_in(8)) return Room::of(choice.below(40));
  return Room::of(usual);
}

// Padding found or not under a key that differs from run to run is chance: such keys decrypt without it.
Mechanism Walker::cipher(Choice& choice, const Key* key, bool decrypts) {
  if (choice.one_in(25)) return Mechanism(choice.one_in(2) ? CKM_SHA256 : 0x7fffffffUL);
  const bool rsa = key && key->type == CKK_RSA && key->object_class != CKO_SECRET_KEY;
  if (rsa && !(decrypts && key->generated)) {
    if (choice.one_in(3)) return Mechanism::oaep(CKM_SHA_1, CKG_MGF1_SHA1);
    return Mechanism(CKM_RSA_PKCS);
  }
  if (key && key->type == CKK_DES3) return Mechanism(CKM_DES3_CBC, pattern(8));
  const bool unpredictable = decrypts && key && key->generated;
  switch (choice.below(unpredictable ? 3 : 5)) {
    case 0: return Mechanism(CKM_AES_ECB);
    case 1: return Mechanism(CKM_AES_CBC, choice.one_in(20) ? Bytes(15) : pattern(16));
    case 2: return Mechanism::ctr(pattern(16));
    case 3: return Mechanism(CKM_AES_CBC_PAD, pattern(16));
    default: return Mechanism::gcm(pattern(12), from_text(choice.one_in(2) ? "aad" : ""));
  }
}

Mechanism Walker::signature(Choice& choice, const Key* key) {
  if (choice.one_in(25)) return Mechanism(choice.one_in(2) ? CKM_AES_CBC : 0x7fffffffUL);
  const CK_KEY_TYPE type = key ? key->type : CKK_AES;
  if (type == CKK_RSA) {
    switch (choice.below(3)) {
      case 0: return Mechanism(CKM_RSA_PKCS);
      case 1: return Mechanism::pss(CKM_SHA256_RSA_PKCS_PSS, CKM_SHA256, CKG_MGF1_SHA256, 20);
      default: return Mechanism(CKM_SHA256_RSA_PKCS);
    }
  }
  if (type == CKK_EC) return Mechanism(choice.one_in(3) ? CKM_ECDSA_SHA256 : CKM_ECDSA);
  if (type == CKK_AES && choice.one_in(2)) return Mechanism(CKM_AES_CMAC);
  return Mechanism(choice.one_in(2) ? CKM_SHA256_HMAC : CKM_SHA_1_HMAC);
}

void Walker::encrypt_init(Choice& choice) {
  const Key* key = any_key(choice);
  Mechanism mechanism = cipher(choice, key, false);
  app_.encrypt_init(any_session(choice), &mechanism, key ? key->handle : Application::kNoObject);
}

void Walker::encrypt(Choice& choice) {
  const Session session = any_session(choice);
  const Bytes plain = data(choice);
  const CK_ULONG usual = plain.size() + 300;
  Outcome sealed;
  switch (choice.below(5)) {
    case 0: app_.encrypt_update(session, plain, room(choice, usual)); return;
    case 1: app_.encrypt_final(session, room(choice, 300)); return;
    case 2: sealed = app_.encrypt(session, plain, Room::in_place(usual)); break;
    default: sealed = app_.encrypt(session, plain, room(choice, usual)); break;
  }
  if (sealed.rv != CKR_OK || !sealed.exact || sealed.bytes.empty()) return;
  sealed_.push_back(sealed.bytes);
  if (sealed_.size() > 8) sealed_.erase(sealed_.begin());
}

void Walker::decrypt_init(Choice& choice) {
  const Key* key = any_key(choice);
  if (key && key->generated && key->type == CKK_RSA) return;  // padding again
  Mechanism mechanism = cipher(choice, key, true);
  app_.decrypt_init(any_session(choice), &mechanism, key ? key->handle : Application::kNoObject);
}

void Walker::decrypt(Choice& choice) {
  const Session session = any_session(choice);
  const Bytes sealed = sealed_.empty() || choice.one_in(3) ? data(choice) : choice.of(sealed_);
  const CK_ULONG usual = sealed.size() + 300;
  switch (choice.below(4)) {
    case 0: app_.decrypt_update(session, sealed, room(choice, usual)); return;
    case 1: app_.decrypt_final(session, room(choice, 300)); return;
    default: app_.decrypt(session, sealed, room(choice, usual)); return;
  }
}

void Walker::digest_init(Choice& choice) {
  static const std::vector<CK_MECHANISM_TYPE> kTypes = {CKM_SHA_1, CKM_SHA256, CKM_SHA512, CKM_SHA256, CKM_AES_CBC};
  Mechanism mechanism(choice.of(kTypes));
  app_.digest_init(any_session(choice), &mechanism);
}

void Walker::digest(Choice& choice) {
  const Session session = any_session(choice);
  switch (choice.below(3)) {
    case 0: app_.digest(session, data(choice), room(choice, 64)); return;
    case 1: app_.digest_update(session, data(choice)); return;
    default: app_.digest_final(session, room(choice, 64)); return;
  }
}

// A digest from before a login takes no key that the login shows; docs/differences.md says so.
void Walker::digest_key(Choice& choice) {
  const Session session = any_session(choice);
  if (std::ranges::find(crossed_, session) == crossed_.end()) app_.digest_key(session, any_object(choice));
}

void Walker::sign_init(Choice& choice) {
  const Key* key = any_key(choice);
  Mechanism mechanism = signature(choice, key);
  app_.sign_init(any_session(choice), &mechanism, key ? key->handle : Application::kNoObject);
}

void Walker::sign(Choice& choice) {
  const Session session = any_session(choice);
  Outcome signature;
  switch (choice.below(4)) {
    case 0: app_.sign_update(session, data(choice)); return;
    case 1: signature = app_.sign_final(session, room(choice, 300)); break;
    default: signature = app_.sign(session, data(choice), room(choice, 300)); break;
  }
  if (signature.rv != CKR_OK || !signature.exact || signature.bytes.empty()) return;
  signatures_.push_back(signature.bytes);
  if (signatures_.size() > 8) signatures_.erase(signatures_.begin());
}

void Walker::verify_init(Choice& choice) {
  const Key* key = any_key(choice);
  Mechanism mechanism = signature(choice, key);
  app_.verify_init(any_session(choice), &mechanism, key ? key->handle : Application::kNoObject);
}

void Walker::verify(Choice& choice) {
  const Session session = any_session(choice);
  const Bytes signature = signatures_.empty() || choice.one_in(3) ? data(choice) : choice.of(signatures_);
  switch (choice.below(3)) {
    case 0: app_.verify_update(session, data(choice)); return;
    case 1: app_.verify_final(session, signature); return;
    default: app_.verify(session, data(choice), signature); return;
  }
}

// Init, operation, and the same verified, in one go: what most applications do most of the time.
void Walker::whole_signature(Choice& choice) {
  const Key* key = any_key(choice);
  if (!key) return;
  const Session session = any_session(choice);
  const Object handle = key->handle;
  Mechanism mechanism = signature(choice, key);
  if (app_.sign_init(session, &mechanism, handle) != CKR_OK) return;
  const Bytes message = pattern(20 + choice.below(13));
  if (choice.one_in(2)) app_.sign(session, message, Room::query());
  const Outcome signature = app_.sign(session, message, Room::of(300));
  if (app_.verify_init(session, &mechanism, handle) == CKR_OK) app_.verify(session, message, signature.bytes);
}

void Walker::recover(Choice& choice) {
  const Key* key = any_key(choice);
  if (!key || key->type != CKK_RSA) return;
  Mechanism mechanism(CKM_RSA_PKCS);
  const Session session = any_session(choice);
  if (choice.one_in(2)) {
    app_.sign_recover_init(session, &mechanism, key->handle);
    app_.sign_recover(session, pattern(20), room(choice, 300));
    return;
  }
  app_.verify_recover_init(session, &mechanism, key->handle);
  app_.verify_recover(session, pattern(128), room(choice, 300));
}

void Walker::dual(Choice& choice) {
  const Session session = any_session(choice);
  const Bytes part = data(choice);
  const CK_ULONG usual = part.size() + 300;
  // NSS digests what a length query would have decrypted, and reads NULL.
  const Room output = app_.on("nss") ? Room::of(usual) : room(choice, usual);
  switch (choice.below(4)) {
    case 0: app_.digest_encrypt_update(session, part, output); return;
    case 1: app_.decrypt_digest_update(session, part, output); return;
    case 2: app_.sign_encrypt_update(session, part, output); return;
    default: app_.decrypt_verify_update(session, part, output); return;
  }
}

void Walker::message(Choice& choice) {
  const Key* key = any_key(choice);
  if (!key) return;
  Mechanism gcm(CKM_AES_GCM);
  const Session session = any_session(choice);
  if (app_.message_encrypt_init(session, &gcm, key->handle) != CKR_OK) return;
  for (std::uint64_t left = choice.one_in(4) ? choice.below(4) : 1; left != 0; --left) {
    const bool counts = choice.one_in(4);
    MessageParameter parameter =
        MessageParameter::gcm(pattern(12), counts ? 32 : 0, counts ? CKG_GENERATE_COUNTER : CKG_NO_GENERATE);
    app_.encrypt_message(session, &parameter, "aad", data(choice), room(choice, 80'000));
    if (choice.one_in(6)) step(choice);
  }
  app_.message_encrypt_final(session);
}

void Walker::cancel(Choice& choice) { app_.session_cancel(any_session(choice), choice.below(0x20000)); }

}  // namespace p11shim::walk
