// How encryption and decryption begin and end: length queries, small buffers, wrong keys, wrong order.
#include "cases.h"

namespace p11shim::contract {
namespace {

void encrypt_small_buffers(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes());
  Mechanism cbc(CKM_AES_CBC, Bytes(16));
  app.encrypt_init(session, &cbc, key);
  app.encrypt(session, Bytes(32), Room::of(0));
  app.encrypt(session, Bytes(32), Room::of(31));
  app.encrypt(session, Bytes(32), Room::query(31));
  app.encrypt(session, Bytes(32), Room::of(32));
  app.encrypt(session, Bytes(32), Room::of(32));
  app.finalize();
}

void encrypt_pad_small_buffers(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes());
  Mechanism pad(CKM_AES_CBC_PAD, Bytes(16));
  for (std::size_t size : {0u, 3u, 16u}) {
    app.encrypt_init(session, &pad, key);
    for (CK_ULONG room : {0UL, 3UL, 15UL, 16UL, 31UL, 32UL}) app.encrypt(session, pattern(size), Room::of(room));
  }
  app.encrypt_init(session, &pad, key);
  app.encrypt(session, pattern(3), Room::of(16));
  app.finalize();
}

void decrypt_pad_small_buffers(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes());
  Mechanism pad(CKM_AES_CBC_PAD, Bytes(16));
  app.encrypt_init(session, &pad, key);
  const Bytes sealed = app.encrypt(session, pattern(3), Room::of(16)).bytes;
  app.decrypt_init(session, &pad, key);
  app.decrypt(session, sealed, Room::query());
  for (CK_ULONG room : {0UL, 2UL, 3UL, 5UL, 16UL}) app.decrypt(session, sealed, Room::of(room));
  app.finalize();
}

void update_small_buffers(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes());
  Mechanism pad(CKM_AES_CBC_PAD, Bytes(16));
  app.encrypt_init(session, &pad, key);
  app.encrypt_update(session, pattern(40), Room::query());
  app.encrypt_update(session, pattern(40), Room::of(8));
  const Outcome first = app.encrypt_update(session, pattern(40), Room::of(48));
  app.encrypt_final(session, Room::query());
  app.encrypt_final(session, Room::of(3));
  const Outcome last = app.encrypt_final(session, Room::of(16));
  Bytes sealed = first.bytes;
  sealed.insert(sealed.end(), last.bytes.begin(), last.bytes.end());
  app.decrypt_init(session, &pad, key);
  app.decrypt_update(session, sealed, Room::query());
  app.decrypt_update(session, sealed, Room::of(5));
  app.decrypt_update(session, sealed, Room::of(64));
  app.decrypt_final(session, Room::query());
  app.decrypt_final(session, Room::of(1));
  app.decrypt_final(session, Room::of(64));
  app.finalize();
}

void gcm_length_queries(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes());
  Mechanism gcm = Mechanism::gcm(pattern(12));
  app.encrypt_init(session, &gcm, key);
  app.encrypt(session, pattern(10), Room::query());
  app.encrypt(session, pattern(10), Room::of(10));
  const Bytes sealed = app.encrypt(session, pattern(10), Room::of(26)).bytes;
  app.decrypt_init(session, &gcm, key);
  app.decrypt(session, sealed, Room::query());
  app.decrypt(session, sealed, Room::of(9));
  app.decrypt(session, sealed, Room::of(10));
  app.encrypt_init(session, &gcm, key);
  app.encrypt_update(session, pattern(10), Room::query());
  app.encrypt_update(session, pattern(10), Room::of(64));
  app.encrypt_final(session, Room::query());
  app.encrypt_final(session, Room::of(15));
  app.encrypt_final(session, Room::of(64));
  app.finalize();
}

void null_arguments(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes());
  Mechanism cbc(CKM_AES_CBC, Bytes(16));
  app.encrypt_init(session, nullptr, key);
  app.encrypt_init(session, &cbc, key);
  app.encrypt(session, Bytes(16), Room::no_length(16));
  app.encrypt(session, Bytes(16), Room::of(16));
  app.encrypt_init(session, &cbc, key);
  app.encrypt(session, Input::null(), Room::of(16));
  app.encrypt_init(session, &cbc, key);
  app.encrypt(session, Input::null(16), Room::of(16));
  app.encrypt_init(session, &cbc, key);
  app.encrypt_update(session, Input::null(), Room::of(16));
  app.encrypt_final(session, Room::of(16));
  app.decrypt_init(session, nullptr, key);
  app.decrypt_init(session, &cbc, key);
  app.decrypt(session, Bytes(16), Room::no_length(16));
  app.decrypt(session, Bytes(16), Room::of(16));
  app.finalize();
}

void encrypt_states(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes());
  Mechanism ecb(CKM_AES_ECB);
  app.encrypt(session, Bytes(16), Room::of(16));
  app.encrypt_update(session, Bytes(16), Room::of(16));
  app.encrypt_final(session, Room::of(16));
  app.encrypt_init(session, &ecb, key);
  app.encrypt_init(session, &ecb, key);
  app.decrypt_update(session, Bytes(16), Room::of(16));
  app.encrypt_update(session, Bytes(16), Room::of(32));
  app.encrypt(session, Bytes(16), Room::of(32));
  app.encrypt_final(session, Room::of(32));
  app.encrypt_final(session, Room::of(32));
  app.finalize();
}

void decrypt_states(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes());
  Mechanism ecb(CKM_AES_ECB);
  app.decrypt(session, Bytes(16), Room::of(16));
  app.decrypt_update(session, Bytes(16), Room::of(16));
  app.decrypt_final(session, Room::of(16));
  app.decrypt_init(session, &ecb, key);
  app.decrypt_init(session, &ecb, key);
  app.decrypt_update(session, Bytes(16), Room::of(32));
  app.decrypt(session, Bytes(16), Room::of(32));
  app.decrypt_final(session, Room::of(32));
  app.finalize();
}

void query_then_update(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes());
  Mechanism cbc(CKM_AES_CBC, Bytes(16));
  app.encrypt_init(session, &cbc, key);
  app.encrypt(session, Bytes(16), Room::query());
  app.encrypt_update(session, Bytes(16), Room::of(32));
  app.encrypt_final(session, Room::of(32));
  app.encrypt_init(session, &cbc, key);
  app.encrypt(session, Bytes(16), Room::query());
  app.encrypt(session, Bytes(32, 5), Room::of(32));
  app.finalize();
}

void operations_of_two_sessions(Application& app) {
  const auto first = app.start_crypto();
  const auto second = app.open_at(app.crypto_slot);
  const auto key = app.create(first, aes());
  Mechanism cbc(CKM_AES_CBC, Bytes(16));
  app.encrypt_init(first, &cbc, key);
  app.decrypt_init(second, &cbc, key);
  for (CK_BYTE i = 0; i < 3; ++i) {
    const Outcome piece = app.encrypt_update(first, pattern(16, i), Room::of(32));
    app.decrypt_update(second, piece.bytes, Room::of(32));
  }
  app.encrypt_final(first, Room::of(32));
  app.decrypt_final(second, Room::of(32));
  app.finalize();
}

void wrong_keys(Application& app) {
  const auto session = app.start_crypto();
  const auto secret_key = app.create(session, aes()), des_key = app.create(session, des3());
  const auto public_key = app.create(session, rsa_public()), private_key = app.create(session, rsa_private());
  const auto data = app.create(session, data_object());
  Mechanism ecb(CKM_AES_ECB), rsa(CKM_RSA_PKCS);
  for (auto key : {des_key, public_key, private_key, data, Application::kNoObject, CK_OBJECT_HANDLE{0}}) {
    app.encrypt_init(session, &ecb, key);
    app.decrypt_init(session, &ecb, key);
  }
  for (auto key : {secret_key, private_key, data}) app.encrypt_init(session, &rsa, key);
  for (auto key : {secret_key, public_key, data}) app.decrypt_init(session, &rsa, key);
  app.encrypt_init(Application::kNoSession, &ecb, secret_key);
  app.encrypt(Application::kNoSession, Bytes(16), Room::of(16));
  app.finalize();
}

void forbidden_uses(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes().with({{CKA_ENCRYPT, false}, {CKA_DECRYPT, false}}));
  const auto public_key = app.create(session, rsa_public().with({{CKA_ENCRYPT, false}}));
  const auto private_key = app.create(session, rsa_private().with({{CKA_DECRYPT, false}}));
  Mechanism ecb(CKM_AES_ECB), rsa(CKM_RSA_PKCS);
  app.encrypt_init(session, &ecb, key);
  app.decrypt_init(session, &ecb, key);
  app.encrypt_init(session, &rsa, public_key);
  app.decrypt_init(session, &rsa, private_key);
  app.finalize();
}

void cancel_by_init(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes());
  Mechanism cbc(CKM_AES_CBC, Bytes(16));
  app.encrypt_init(session, &cbc, key);
  app.encrypt_update(session, Bytes(16), Room::of(32));
  app.encrypt_init(session, nullptr, key);
  app.encrypt_update(session, Bytes(16), Room::of(32));
  app.encrypt_final(session, Room::of(32));
  app.encrypt_init(session, &cbc, key);
  app.finalize();
}

void cancel_by_session_cancel(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes());
  Mechanism cbc(CKM_AES_CBC, Bytes(16)), sha(CKM_SHA256);
  app.encrypt_init(session, &cbc, key);
  app.digest_init(session, &sha);
  app.session_cancel(session, CKF_ENCRYPT);
  app.encrypt_update(session, Bytes(16), Room::of(32));
  app.digest_update(session, "data");
  app.session_cancel(session, CKF_DIGEST | CKF_DECRYPT | CKF_SIGN);
  app.digest_final(session, Room::of(32));
  app.session_cancel(session, 0);
  app.session_cancel(session, 0xffffffffUL);
  app.session_cancel(Application::kNoSession, CKF_ENCRYPT);
  app.finalize();
}

void decrypt_failure_ends_operation(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes());
  Mechanism cbc(CKM_AES_CBC, Bytes(16));
  app.decrypt_init(session, &cbc, key);
  app.decrypt(session, Bytes(15), Room::of(32));
  app.decrypt(session, Bytes(16), Room::of(32));
  app.decrypt_init(session, &cbc, key);
  app.decrypt_update(session, Bytes(15), Room::of(32));
  app.decrypt_final(session, Room::of(32));
  app.decrypt_init(session, &cbc, key);
  app.finalize();
}

void multi_part_of_single_part_mechanisms(Application& app) {
  const auto session = app.start_crypto();
  const auto public_key = app.create(session, rsa_public()), private_key = app.create(session, rsa_private());
  Mechanism rsa(CKM_RSA_PKCS);
  app.encrypt_init(session, &rsa, public_key);
  app.encrypt_update(session, Bytes(16), Room::of(256));
  app.encrypt_final(session, Room::of(256));
  app.decrypt_init(session, &rsa, private_key);
  app.decrypt_update(session, Bytes(256), Room::of(256));
  app.decrypt_final(session, Room::of(256));
  app.encrypt_init(session, &rsa, public_key);
  app.encrypt(session, Bytes(16), Room::of(256));
  app.finalize();
}

constexpr Case kCases[] = {
    P11_CASE(encrypt_small_buffers),
    P11_CASE(encrypt_pad_small_buffers),
    P11_CASE(decrypt_pad_small_buffers),
    P11_CASE(update_small_buffers),
    P11_CASE(gcm_length_queries),
    P11_CASE(null_arguments),
    P11_CASE(encrypt_states),
    P11_CASE(decrypt_states),
    P11_CASE(query_then_update),
    P11_CASE(operations_of_two_sessions),
    P11_CASE(wrong_keys),
    P11_CASE(forbidden_uses),
    P11_CASE(cancel_by_init),
    P11_CASE(cancel_by_session_cancel),
    P11_CASE(decrypt_failure_ends_operation),
    P11_CASE(multi_part_of_single_part_mechanisms),
};

}  // namespace

std::span<const Case> cipher_state_cases() { return kCases; }

}  // namespace p11shim::contract
