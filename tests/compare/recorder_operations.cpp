#include "recorder_call.h"

namespace p11shim::compare {

void Recorder::start(CK_RV rv, Session session, Activity activity, const Mechanism* mechanism, Object key) {
  if (rv != CKR_OK || !mechanism) return;
  const auto use = activity == Activity::kEncrypt ? Mechanism::Use::kEncrypt : Mechanism::Use::kOther;
  random_activities_[{session, activity}] = random_objects_.contains(key) || mechanism->randomised(use);
}

bool Recorder::blurred(Session session, Activity activity) const {
  auto found = random_activities_.find({session, activity});
  return found != random_activities_.end() && found->second;
}

CK_RV Recorder::encrypt_init(Session session, Mechanism* mechanism, Object key) {
  const CK_RV rv =
      call(P11_V2(C_EncryptInit), session_argument(session), MechanismArgument{mechanism}, object_argument(key, "key"));
  start(rv, session, Activity::kEncrypt, mechanism, key);
  return rv;
}

Outcome Recorder::encrypt(Session session, Input data, Room room) {
  return crypt_call(P11_V2(C_Encrypt), session, data, room, Activity::kEncrypt);
}

Outcome Recorder::encrypt_update(Session session, Input part, Room room) {
  return crypt_call(P11_V2(C_EncryptUpdate), session, part, room, Activity::kEncrypt);
}

Outcome Recorder::encrypt_final(Session session, Room room) {
  return output_call(P11_V2(C_EncryptFinal), room, session, Activity::kEncrypt);
}

CK_RV Recorder::decrypt_init(Session session, Mechanism* mechanism, Object key) {
  const CK_RV rv =
      call(P11_V2(C_DecryptInit), session_argument(session), MechanismArgument{mechanism}, object_argument(key, "key"));
  start(rv, session, Activity::kDecrypt, nullptr, key);
  if (rv == CKR_OK) random_activities_[{session, Activity::kDecrypt}] = random_objects_.contains(key);
  return rv;
}

Outcome Recorder::decrypt(Session session, Input data, Room room) {
  return crypt_call(P11_V2(C_Decrypt), session, data, room, Activity::kDecrypt);
}

Outcome Recorder::decrypt_update(Session session, Input part, Room room) {
  return crypt_call(P11_V2(C_DecryptUpdate), session, part, room, Activity::kDecrypt);
}

Outcome Recorder::decrypt_final(Session session, Room room) {
  return output_call(P11_V2(C_DecryptFinal), room, session, Activity::kDecrypt);
}

CK_RV Recorder::digest_init(Session session, Mechanism* mechanism) {
  const CK_RV rv = call(P11_V2(C_DigestInit), session_argument(session), MechanismArgument{mechanism});
  start(rv, session, Activity::kDigest, mechanism, CK_INVALID_HANDLE);
  return rv;
}

Outcome Recorder::digest(Session session, Input data, Room room) {
  return crypt_call(P11_V2(C_Digest), session, data, room, Activity::kDigest);
}

CK_RV Recorder::digest_update(Session session, Input part) {
  return call(P11_V2(C_DigestUpdate), session_argument(session), InputArgument{"data", part});
}

CK_RV Recorder::digest_key(Session session, Object key) {
  const CK_RV rv = call(P11_V2(C_DigestKey), session_argument(session), object_argument(key, "key"));
  if (random_objects_.contains(key)) random_activities_[{session, Activity::kDigest}] = true;
  return rv;
}

Outcome Recorder::digest_final(Session session, Room room) {
  return output_call(P11_V2(C_DigestFinal), room, session, Activity::kDigest);
}

CK_RV Recorder::sign_init(Session session, Mechanism* mechanism, Object key) {
  const CK_RV rv =
      call(P11_V2(C_SignInit), session_argument(session), MechanismArgument{mechanism}, object_argument(key, "key"));
  start(rv, session, Activity::kSign, mechanism, key);
  return rv;
}

Outcome Recorder::sign(Session session, Input data, Room room) {
  return crypt_call(P11_V2(C_Sign), session, data, room, Activity::kSign);
}

CK_RV Recorder::sign_update(Session session, Input part) {
  return call(P11_V2(C_SignUpdate), session_argument(session), InputArgument{"data", part});
}

Outcome Recorder::sign_final(Session session, Room room) {
  return output_call(P11_V2(C_SignFinal), room, session, Activity::kSign);
}

CK_RV Recorder::sign_recover_init(Session session, Mechanism* mechanism, Object key) {
  const CK_RV rv = call(P11_V2(C_SignRecoverInit), session_argument(session), MechanismArgument{mechanism},
                        object_argument(key, "key"));
  start(rv, session, Activity::kSign, mechanism, key);
  return rv;
}

Outcome Recorder::sign_recover(Session session, Input data, Room room) {
  return crypt_call(P11_V2(C_SignRecover), session, data, room, Activity::kSign);
}

CK_RV Recorder::verify_init(Session session, Mechanism* mechanism, Object key) {
  return call(P11_V2(C_VerifyInit), session_argument(session), MechanismArgument{mechanism},
              object_argument(key, "key"));
}

CK_RV Recorder::verify(Session session, Input data, Input signature) {
  return call(P11_V2(C_Verify), session_argument(session), InputArgument{"data", data},
              InputArgument{"signature", signature});
}

CK_RV Recorder::verify_update(Session session, Input part) {
  return call(P11_V2(C_VerifyUpdate), session_argument(session), InputArgument{"data", part});
}

CK_RV Recorder::verify_final(Session session, Input signature) {
  return call(P11_V2(C_VerifyFinal), session_argument(session), InputArgument{"signature", signature});
}

CK_RV Recorder::verify_recover_init(Session session, Mechanism* mechanism, Object key) {
  const CK_RV rv = call(P11_V2(C_VerifyRecoverInit), session_argument(session), MechanismArgument{mechanism},
                        object_argument(key, "key"));
  if (rv == CKR_OK) random_activities_[{session, Activity::kVerify}] = random_objects_.contains(key);
  return rv;
}

Outcome Recorder::verify_recover(Session session, Input signature, Room room) {
  return crypt_call(P11_V2(C_VerifyRecover), session, signature, room, Activity::kVerify);
}

Outcome Recorder::digest_encrypt_update(Session session, Input part, Room room) {
  return crypt_call(P11_V2(C_DigestEncryptUpdate), session, part, room, Activity::kEncrypt);
}

Outcome Recorder::decrypt_digest_update(Session session, Input part, Room room) {
  return crypt_call(P11_V2(C_DecryptDigestUpdate), session, part, room, Activity::kDecrypt);
}

Outcome Recorder::sign_encrypt_update(Session session, Input part, Room room) {
  return crypt_call(P11_V2(C_SignEncryptUpdate), session, part, room, Activity::kEncrypt);
}

Outcome Recorder::decrypt_verify_update(Session session, Input part, Room room) {
  return crypt_call(P11_V2(C_DecryptVerifyUpdate), session, part, room, Activity::kDecrypt);
}

CK_RV Recorder::seed_random(Session session, Input seed) {
  return call(P11_V2(C_SeedRandom), session_argument(session), InputArgument{"seed", seed});
}

Outcome Recorder::generate_random(Session session, Room room) {
  FillArgument fill(room);
  const CK_RV rv = call(P11_V2(C_GenerateRandom), session_argument(session), fill);
  return {rv, room.size, fill.bytes()};
}

}  // namespace p11shim::compare
