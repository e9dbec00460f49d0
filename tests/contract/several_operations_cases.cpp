// Several operations at once in one session: which pairs a module allows, and the dual-function calls (section 5.14).
#include <array>
#include <functional>

#include "cases.h"

namespace p11shim::contract {
namespace {

enum class Kind { kFind, kDigest, kEncrypt, kDecrypt, kSign, kVerify };
constexpr std::array kKinds = {Kind::kFind, Kind::kDigest, Kind::kEncrypt, Kind::kDecrypt, Kind::kSign, Kind::kVerify};

void start(Application& app, Recorder::Session session, Kind kind, Recorder::Object key) {
  Mechanism ecb(CKM_AES_ECB), sha(CKM_SHA256), hmac(CKM_SHA256_HMAC);
  switch (kind) {
    case Kind::kFind: app.find_objects_init(session, Template{}); return;
    case Kind::kDigest: app.digest_init(session, &sha); return;
    case Kind::kEncrypt: app.encrypt_init(session, &ecb, key); return;
    case Kind::kDecrypt: app.decrypt_init(session, &ecb, key); return;
    case Kind::kSign: app.sign_init(session, &hmac, key); return;
    case Kind::kVerify: app.verify_init(session, &hmac, key); return;
  }
}

void go_on(Application& app, Recorder::Session session, Kind kind) {
  switch (kind) {
    case Kind::kFind:
      app.find_objects(session, 1);
      app.find_objects_final(session);
      return;
    case Kind::kDigest:
      app.digest_update(session, "data");
      app.digest_final(session, Room::of(32));
      return;
    case Kind::kEncrypt: app.encrypt(session, Bytes(16), Room::of(16)); return;
    case Kind::kDecrypt: app.decrypt(session, Bytes(16), Room::of(16)); return;
    case Kind::kSign: app.sign(session, "data", Room::of(32)); return;
    case Kind::kVerify: app.verify(session, "data", Bytes(32)); return;
  }
}

void all_pairs(Application& app, Recorder::Object key) {
  for (Kind first : kKinds) {
    for (Kind second : kKinds) {
      const auto session = app.open_at(app.crypto_slot);
      start(app, session, first, key);
      start(app, session, second, key);
      go_on(app, session, first);
      if (second != first) go_on(app, session, second);
      app.close_session(session);
    }
  }
}

void pairs_of_operations(Application& app) {
  const auto session = app.start_crypto();
  all_pairs(app, app.create(session, secret(CKK_AES, pattern(16), "key")));
  app.finalize();
}

// Every operation once, from begin to end: whoever remembers that may treat the next one differently, unseen.
void warm(Application& app, Recorder::Object key) {
  const auto session = app.open_at(app.crypto_slot);
  for (Kind kind : kKinds) {
    start(app, session, kind, key);
    go_on(app, session, kind);
  }
  app.close_session(session);
}

void pairs_of_operations_done_before(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, secret(CKK_AES, pattern(16), "key"));
  warm(app, key);
  all_pairs(app, key);
  app.finalize();
}

void triples_of_operations(Application& app) {
  const auto keep = app.start_crypto();
  const auto key = app.create(keep, secret(CKK_AES, pattern(16), "key"));
  for (Kind kind : {Kind::kSign, Kind::kEncrypt, Kind::kFind}) {
    const auto session = app.open_at(app.crypto_slot);
    start(app, session, Kind::kDigest, key);
    start(app, session, kind, key);
    start(app, session, Kind::kVerify, key);
    go_on(app, session, Kind::kVerify);
    go_on(app, session, kind);
    go_on(app, session, Kind::kDigest);
    app.close_session(session);
  }
  app.finalize();
}

void calls_beside_an_operation(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes());
  Mechanism cbc(CKM_AES_CBC, Bytes(16)), gen(CKM_AES_KEY_GEN), wrap(CKM_AES_KEY_WRAP);
  CK_OBJECT_HANDLE object = 0;
  CK_SESSION_INFO info;
  app.must(app.encrypt_init(session, &cbc, key), "C_EncryptInit");
  app.encrypt_update(session, pattern(16, 1), Room::of(32));
  app.get_session_info(session, &info);
  app.generate_random(session, Room::of(16));
  app.get_attribute_value(session, key, roomy({CKA_LABEL}));
  app.create_object(session, data_object(), &object);
  app.generate_key(session, &gen, {{CKA_VALUE_LEN, 16}}, &object);
  app.wrap_key(session, &wrap, key, key, Room::of(64));
  app.set_attribute_value(session, key, {{CKA_LABEL, "renamed"}});
  app.find_all(session, {{CKA_LABEL, "renamed"}});
  app.encrypt_update(session, pattern(16, 2), Room::of(32));
  app.encrypt_final(session, Room::of(32));
  app.finalize();
}

// Between an Init that has succeeded before and the call that uses it.
void calls_between_init_and_use(Application& app) {
  const auto keep = app.start_crypto();
  const auto other = app.open_at(app.crypto_slot);
  const auto session = app.open_at(app.crypto_slot);
  const auto key = app.create(keep, secret(CKK_AES, pattern(16), "key"));
  warm(app, key);
  using Action = std::function<void()>;
  CK_OBJECT_HANDLE object = 0;
  CK_SESSION_INFO info;
  Mechanism gen(CKM_AES_KEY_GEN);
  const Action actions[] = {
      [&] { app.generate_random(session, Room::of(16)); },
      [&] { app.get_session_info(session, &info); },
      [&] { app.get_attribute_value(session, key, roomy({CKA_LABEL})); },
      [&] {
        app.set_attribute_value(session, key, {{CKA_LABEL, "renamed"}});
      },
      [&] {
        app.set_attribute_value(session, key, {{CKA_ENCRYPT, false}, {CKA_SIGN, false}});
      },
      [&] {
        app.set_attribute_value(other, key, {{CKA_ENCRYPT, true}, {CKA_SIGN, true}});
      },
      [&] { app.create_object(session, data_object(), &object); },
      [&] { app.destroy_object(other, object); },
      [&] {
        app.generate_key(session, &gen, {{CKA_VALUE_LEN, 16}}, &object);
      },
      [&] { app.get_operation_state(session, Room::of(512)); },
      [&] { app.digest_final(session, Room::of(32)); },
      [&] { app.encrypt_update(session, Bytes(16), Room::of(16)); },
      [&] { app.sign_update(session, "part"); },
      [&] { app.close_session(other); },
      [&] { app.destroy_object(session, key); },
      [&] {},
  };
  for (const Action& action : actions)
    for (Kind kind : {Kind::kDigest, Kind::kEncrypt, Kind::kDecrypt, Kind::kSign, Kind::kVerify}) {
      start(app, session, kind, key);
      action();
      go_on(app, session, kind);
      go_on(app, session, kind);
    }
  app.finalize();
}

void init_and_close(Application& app) {
  const auto keep = app.start_crypto();
  const auto key = app.create(keep, secret(CKK_AES, pattern(16), "key"));
  warm(app, key);
  for (Kind kind : kKinds) {
    const auto session = app.open_at(app.crypto_slot);
    start(app, session, kind, key);
    app.close_session(session);
    go_on(app, session, kind);
  }
  start(app, keep, Kind::kSign, key);
  app.close_all_sessions(app.crypto_slot);
  go_on(app, keep, Kind::kSign);
  app.finalize();
}

// A session object goes with the session that made it.
void key_goes_between_init_and_use(Application& app) {
  app.start_crypto();
  const auto session = app.open_at(app.crypto_slot);
  for (Kind kind : {Kind::kEncrypt, Kind::kSign, Kind::kVerify}) {
    const auto maker = app.open_at(app.crypto_slot);
    const auto key = app.create(maker, secret(CKK_AES, pattern(16), "key"));
    for (int round = 0; round < 2; ++round) {
      start(app, session, kind, key);
      go_on(app, session, kind);
    }
    start(app, session, kind, key);
    app.close_session(maker);
    go_on(app, session, kind);
    start(app, session, kind, key);
    go_on(app, session, kind);
  }
  app.finalize();
}

void lengths_asked_for_again(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, secret(CKK_AES, pattern(16), "key"));
  for (int round = 0; round < 3; ++round)
    for (std::size_t size : {0u, 1u, 15u, 16u, 17u, 32u}) {
      Mechanism pad(CKM_AES_CBC_PAD, pattern(16, static_cast<CK_BYTE>(round))), cbc(CKM_AES_CBC, pattern(16, 9)),
          hmac(CKM_SHA256_HMAC), sha(CKM_SHA256);
      for (Mechanism* mechanism : {&pad, &cbc}) {
        if (app.encrypt_init(session, mechanism, key) != CKR_OK) continue;
        app.encrypt(session, pattern(size), Room::query());
        app.encrypt(session, pattern(size + 1), Room::query());
        app.encrypt(session, pattern(size), Room::of(1));
        const Outcome encrypted = app.encrypt(session, pattern(size), Room::of(64));
        app.encrypt(session, pattern(size), Room::of(64));
        app.decrypt_init(session, mechanism, key);
        app.decrypt(session, encrypted.bytes, Room::query());
        app.decrypt(session, encrypted.bytes, Room::of(64));
        app.decrypt_final(session, Room::of(64));
      }
      app.sign_init(session, &hmac, key);
      app.sign(session, pattern(size), Room::query());
      app.sign(session, pattern(size), Room::of(31));
      app.sign(session, pattern(size), Room::of(32));
      app.digest_init(session, &sha);
      app.digest(session, pattern(size), Room::query());
      app.digest_update(session, pattern(size));
      app.digest(session, pattern(size), Room::query());
      app.digest_final(session, Room::query());
      app.digest_final(session, Room::of(32));
    }
  app.finalize();
}

// A refused part must not let another session meet the operation that is still active.
void refused_parts_stay_in_their_session(Application& app) {
  const auto first = app.start_crypto();
  const auto second = app.open_at(app.crypto_slot), third = app.open_at(app.crypto_slot);
  const auto rsa_key = app.create(first, rsa_public()), key = app.create(first, aes());
  Mechanism rsa(CKM_RSA_PKCS), sha(CKM_SHA256), ecb(CKM_AES_ECB);
  app.encrypt_init(first, &rsa, rsa_key);
  app.encrypt_update(first, pattern(16), Room::of(256));
  app.encrypt_init(second, &ecb, key);
  app.encrypt(second, pattern(16), Room::of(16));
  app.digest_init(third, &sha);
  app.digest_update(third, "third");
  app.digest_encrypt_update(third, pattern(16), Room::of(64));
  app.digest_init(second, &sha);
  app.digest_update(second, "second");
  app.digest_final(second, Room::of(32));
  app.digest_final(third, Room::of(32));
  app.encrypt_init(first, &ecb, key);
  app.encrypt(first, pattern(16), Room::of(256));
  app.finalize();
}

void dual_digest_and_encrypt(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes());
  Mechanism cbc(CKM_AES_CBC, Bytes(16)), sha(CKM_SHA256);
  app.digest_init(session, &sha);
  app.encrypt_init(session, &cbc, key);
  const Outcome piece = app.digest_encrypt_update(session, pattern(32), Room::of(64));
  app.digest_encrypt_update(session, pattern(32), Room::query());
  app.encrypt_final(session, Room::of(32));
  app.digest_final(session, Room::of(32));
  app.digest_init(session, &sha);
  app.decrypt_init(session, &cbc, key);
  app.decrypt_digest_update(session, piece.bytes, Room::of(64));
  app.decrypt_final(session, Room::of(32));
  app.digest_final(session, Room::of(32));
  app.finalize();
}

void dual_sign_and_encrypt(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes()), mac = app.create(session, generic());
  Mechanism cbc(CKM_AES_CBC, Bytes(16)), hmac(CKM_SHA256_HMAC);
  app.sign_init(session, &hmac, mac);
  app.encrypt_init(session, &cbc, key);
  const Outcome piece = app.sign_encrypt_update(session, pattern(32), Room::of(64));
  app.encrypt_final(session, Room::of(32));
  const Outcome signature = app.sign_final(session, Room::of(32));
  app.verify_init(session, &hmac, mac);
  app.decrypt_init(session, &cbc, key);
  app.decrypt_verify_update(session, piece.bytes, Room::of(64));
  app.decrypt_final(session, Room::of(32));
  app.verify_final(session, signature.bytes);
  app.finalize();
}

void dual_without_operations(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes());
  Mechanism cbc(CKM_AES_CBC, Bytes(16)), sha(CKM_SHA256);
  app.digest_encrypt_update(session, pattern(16), Room::of(64));
  app.decrypt_digest_update(session, pattern(16), Room::of(64));
  app.sign_encrypt_update(session, pattern(16), Room::of(64));
  app.decrypt_verify_update(session, pattern(16), Room::of(64));
  app.digest_init(session, &sha);
  app.digest_encrypt_update(session, pattern(16), Room::of(64));
  app.digest_final(session, Room::of(32));
  app.encrypt_init(session, &cbc, key);
  app.digest_encrypt_update(session, pattern(16), Room::of(64));
  app.encrypt_final(session, Room::of(32));
  app.digest_encrypt_update(Application::kNoSession, pattern(16), Room::of(64));
  app.finalize();
}

constexpr Case kCases[] = {
    P11_CASE(pairs_of_operations),
    P11_CASE(pairs_of_operations_done_before),
    P11_CASE(calls_between_init_and_use),
    P11_CASE(init_and_close),
    P11_CASE(key_goes_between_init_and_use),
    P11_CASE(lengths_asked_for_again),
    P11_CASE(triples_of_operations),
    P11_CASE(calls_beside_an_operation),
    P11_CASE(refused_parts_stay_in_their_session),
    P11_CASE(dual_digest_and_encrypt),
    P11_CASE(dual_sign_and_encrypt),
    P11_CASE(dual_without_operations),
};

}  // namespace

std::span<const Case> several_operations_cases() { return kCases; }

}  // namespace p11shim::contract
