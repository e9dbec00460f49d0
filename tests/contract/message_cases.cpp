// The message functions of 3.0 (sections 5.9, 5.11, 5.14 and 5.16 there): parameters that come back changed.
#include "cases.h"

namespace p11shim::contract {
namespace {

void gcm_messages_given_iv(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes());
  Mechanism gcm(CKM_AES_GCM);
  app.message_encrypt_init(session, &gcm, key);
  std::vector<Bytes> sealed, tags;
  for (CK_BYTE i = 0; i < 3; ++i) {
    MessageParameter parameter = MessageParameter::gcm(pattern(12, i), 0, CKG_NO_GENERATE);
    sealed.push_back(app.encrypt_message(session, &parameter, "header", pattern(20 + i), Room::of(64)).bytes);
    tags.push_back(parameter.tag());
  }
  app.message_encrypt_final(session);
  app.message_decrypt_init(session, &gcm, key);
  for (CK_BYTE i = 0; i < sealed.size(); ++i) {
    MessageParameter parameter = MessageParameter::gcm(pattern(12, i), 0, CKG_NO_GENERATE, tags[i]);
    app.decrypt_message(session, &parameter, "header", sealed[i], Room::of(64));
  }
  MessageParameter wrong = MessageParameter::gcm(pattern(12), 0, CKG_NO_GENERATE, Bytes(16));
  app.decrypt_message(session, &wrong, "header", sealed[0], Room::of(64));
  app.message_decrypt_final(session);
  app.finalize();
}

void gcm_messages_counting_iv(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes());
  Mechanism gcm(CKM_AES_GCM);
  for (CK_GENERATOR_FUNCTION generator : {CKG_GENERATE, CKG_GENERATE_COUNTER, CKG_GENERATE_COUNTER_XOR}) {
    app.message_encrypt_init(session, &gcm, key);
    MessageParameter parameter = MessageParameter::gcm(pattern(12), 32, generator);
    for (int i = 0; i < 3; ++i) app.encrypt_message(session, &parameter, "", pattern(20), Room::of(64));
    app.message_encrypt_final(session);
  }
  app.finalize();
}

void gcm_messages_random_iv(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes());
  Mechanism gcm(CKM_AES_GCM);
  app.message_encrypt_init(session, &gcm, key);
  const Recorder::Blur blur(app);
  MessageParameter parameter = MessageParameter::gcm(Bytes(12), 0, CKG_GENERATE_RANDOM);
  const Outcome sealed = app.encrypt_message(session, &parameter, "header", pattern(20), Room::of(64));
  app.note("an IV came back", parameter.iv() != Bytes(12));
  app.note("a tag came back", parameter.tag() != Bytes(16));
  app.message_encrypt_final(session);
  app.message_decrypt_init(session, &gcm, key);
  MessageParameter given = MessageParameter::gcm(parameter.iv(), 0, CKG_NO_GENERATE, parameter.tag());
  const Outcome plain = app.decrypt_message(session, &given, "header", sealed.bytes, Room::of(64));
  app.note("round trip", plain.bytes == pattern(20));
  app.finalize();
}

void gcm_messages_in_parts(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes());
  Mechanism gcm(CKM_AES_GCM);
  app.message_encrypt_init(session, &gcm, key);
  MessageParameter parameter = MessageParameter::gcm(pattern(12), 0, CKG_NO_GENERATE);
  app.encrypt_message_begin(session, &parameter, "header");
  app.encrypt_message_next(session, &parameter, pattern(16), Room::of(64), 0);
  app.encrypt_message_next(session, &parameter, pattern(10), Room::of(64), CKF_END_OF_MESSAGE);
  app.encrypt_message_next(session, &parameter, pattern(10), Room::of(64), 0);
  app.message_encrypt_final(session);
  app.finalize();
}

void gcm_messages_lengths(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes());
  Mechanism gcm(CKM_AES_GCM);
  app.message_encrypt_init(session, &gcm, key);
  MessageParameter parameter = MessageParameter::gcm(pattern(12), 0, CKG_NO_GENERATE);
  app.encrypt_message(session, &parameter, "header", pattern(20), Room::query());
  app.encrypt_message(session, &parameter, "header", pattern(20), Room::of(19));
  app.encrypt_message(session, &parameter, "header", pattern(20), Room::of(20));
  app.encrypt_message(session, &parameter, "header", pattern(20), Room::in_place(64));
  app.encrypt_message(session, &parameter, Input::null(), "", Room::of(20));
  app.encrypt_message(session, &parameter, Input::null(), Input::null(), Room::of(20));
  app.message_encrypt_final(session);
  app.finalize();
}

void chacha20_messages(Application& app) {
  const auto session = app.start_crypto();
  CK_OBJECT_HANDLE key = 0;
  if (app.create_object(session, secret(CKK_CHACHA20, pattern(32), "chacha"), &key) != CKR_OK) return;
  Mechanism chacha(CKM_CHACHA20_POLY1305);
  app.message_encrypt_init(session, &chacha, key);
  MessageParameter parameter = MessageParameter::chacha20(pattern(12));
  const Outcome sealed = app.encrypt_message(session, &parameter, "header", pattern(40), Room::of(64));
  app.message_encrypt_final(session);
  app.message_decrypt_init(session, &chacha, key);
  MessageParameter given = MessageParameter::chacha20(pattern(12), parameter.tag());
  app.decrypt_message(session, &given, "header", sealed.bytes, Room::of(64));
  app.decrypt_message(session, &given, "other header", sealed.bytes, Room::of(64));
  app.message_decrypt_final(session);
  app.finalize();
}

void ccm_messages(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes());
  Mechanism ccm(CKM_AES_CCM);
  if (app.message_encrypt_init(session, &ccm, key) != CKR_OK) return;
  MessageParameter parameter = MessageParameter::ccm(pattern(12), 20);
  app.encrypt_message(session, &parameter, "header", pattern(20), Room::of(64));
  app.message_encrypt_final(session);
  app.finalize();
}

void message_states(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes());
  Mechanism gcm(CKM_AES_GCM), cbc(CKM_AES_CBC, Bytes(16));
  MessageParameter parameter = MessageParameter::gcm(pattern(12), 0, CKG_NO_GENERATE);
  app.encrypt_message(session, &parameter, "", pattern(20), Room::of(64));
  app.encrypt_message_begin(session, &parameter, "");
  app.message_encrypt_final(session);
  app.message_decrypt_final(session);
  app.message_encrypt_init(session, &cbc, key);
  app.message_encrypt_init(session, &gcm, Application::kNoObject);
  app.message_encrypt_init(session, nullptr, key);
  app.message_encrypt_init(session, &gcm, key);
  app.message_encrypt_init(session, &gcm, key);
  app.encrypt_init(session, &cbc, key);
  app.encrypt_update(session, pattern(16), Room::of(64));
  app.message_encrypt_final(session);
  app.message_encrypt_final(session);
  app.finalize();
}

void message_bad_parameters(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes());
  Mechanism gcm(CKM_AES_GCM);
  app.message_encrypt_init(session, &gcm, key);
  app.encrypt_message(session, nullptr, "", pattern(20), Room::of(64));
  MessageParameter flat = MessageParameter::flat(Bytes(4));
  app.encrypt_message(session, &flat, "", pattern(20), Room::of(64));
  MessageParameter fixed = MessageParameter::gcm(pattern(12), 97, CKG_GENERATE_COUNTER);
  app.encrypt_message(session, &fixed, "", pattern(20), Room::of(64));
  app.finalize();
}

void messages_signed(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, generic());
  Mechanism hmac(CKM_SHA256_HMAC);
  app.message_sign_init(session, &hmac, key);
  const Outcome signature = app.sign_message(session, nullptr, "data", Room::of(32));
  app.sign_message_begin(session, nullptr);
  app.sign_message_next(session, nullptr, "data", Room::no_length(32));
  app.sign_message_next(session, nullptr, "", Room::of(32));
  app.message_sign_final(session);
  app.message_verify_init(session, &hmac, key);
  app.verify_message(session, nullptr, "data", signature.bytes.empty() ? Bytes(32) : signature.bytes);
  app.verify_message_begin(session, nullptr);
  app.verify_message_next(session, nullptr, "data", Bytes(32));
  app.message_verify_final(session);
  app.finalize();
}

// Again and again, as applications do it, so that what was seen before may be relied upon.
void messages_again(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes());
  Mechanism gcm(CKM_AES_GCM);
  for (CK_BYTE i = 0; i < 4; ++i) {
    MessageParameter parameter = MessageParameter::gcm(pattern(12, i), 0, CKG_NO_GENERATE);
    app.message_encrypt_init(session, &gcm, key);
    if (i != 1) app.encrypt_message(session, &parameter, "header", pattern(20), Room::query());
    const Outcome sealed = app.encrypt_message(session, &parameter, "header", pattern(20 + i / 2), Room::of(64));
    app.message_encrypt_final(session);
    app.message_decrypt_init(session, &gcm, key);
    MessageParameter given = MessageParameter::gcm(pattern(12, i), 0, CKG_NO_GENERATE, parameter.tag());
    app.decrypt_message(session, &given, i == 2 ? "other header" : "header", sealed.bytes, Room::of(i == 3 ? 5 : 64));
    app.message_decrypt_final(session);
  }
  app.finalize();
}

// The number of messages of an operation changes, and what comes between them.
void messages_of_changing_operations(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes());
  const auto other = app.create(session, aes());
  Mechanism gcm(CKM_AES_GCM), cbc(CKM_AES_CBC, Bytes(16));
  CK_BYTE next = 0;
  const auto encrypt = [&](CK_GENERATOR_FUNCTION generator = CKG_NO_GENERATE) {
    MessageParameter parameter =
        MessageParameter::gcm(pattern(12, next++), generator == CKG_NO_GENERATE ? 0 : 32, generator);
    app.encrypt_message(session, &parameter, "header", pattern(20), Room::of(64));
  };
  for (const int messages : {1, 1, 2, 2, 1, 1, 0, 1, 3}) {
    app.message_encrypt_init(session, &gcm, key);
    for (int i = 0; i < messages; ++i) encrypt();
    app.message_encrypt_final(session);
    app.message_encrypt_final(session);
  }
  const auto one = [&](auto between) {
    for (int i = 0; i < 2; ++i) {
      app.message_encrypt_init(session, &gcm, key);
      encrypt();
      app.message_encrypt_final(session);
    }
    app.message_encrypt_init(session, &gcm, key);
    encrypt();
    between();
    encrypt();
    app.message_encrypt_final(session);
  };
  one([&] { app.generate_random(session, Room::of(8)); });
  one([&] { app.message_encrypt_init(session, &gcm, other); });
  one([&] { app.message_encrypt_init(session, nullptr, key); });
  one([&] { app.message_decrypt_init(session, &gcm, other), app.message_decrypt_final(session); });
  one([&] { app.encrypt_init(session, &cbc, other), app.encrypt(session, pattern(16), Room::of(16)); });
  one([&] { app.session_cancel(session, CKF_MESSAGE_ENCRYPT); });
  one([&] { app.session_cancel(session, CKF_SIGN); });
  one([&] { app.destroy_object(session, other); });
  one([&] { encrypt(CKG_GENERATE_COUNTER), encrypt(CKG_GENERATE_COUNTER); });
  one([&] {
    MessageParameter parameter = MessageParameter::gcm(pattern(12), 0, CKG_NO_GENERATE);
    app.encrypt_message_begin(session, &parameter, "header");
    app.encrypt_message_next(session, &parameter, pattern(16), Room::of(64), CKF_END_OF_MESSAGE);
  });
  one([&] { app.encrypt_message(session, nullptr, "", pattern(20), Room::of(64)); });
  one([&] { app.logout(session); });
  one([&] { app.destroy_object(session, key); });
  app.finalize();
}

void messages_counting_iv_again(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes());
  Mechanism gcm(CKM_AES_GCM);
  for (int i = 0; i < 4; ++i) {
    MessageParameter parameter = MessageParameter::gcm(pattern(12), 32, CKG_GENERATE_COUNTER);
    app.message_encrypt_init(session, &gcm, key);
    for (int k = 0; k <= i / 2; ++k) app.encrypt_message(session, &parameter, "", pattern(20), Room::of(64));
    app.message_encrypt_final(session);
  }
  app.finalize();
}

void messages_signed_again(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, generic());
  Mechanism hmac(CKM_SHA256_HMAC);
  for (const int messages : {1, 1, 1, 2, 1}) {
    app.message_sign_init(session, &hmac, key);
    app.sign_message(session, nullptr, "data", Room::query());
    Bytes signature(32);
    for (int i = 0; i < messages; ++i) signature = app.sign_message(session, nullptr, "data", Room::of(32)).bytes;
    app.message_sign_final(session);
    app.message_verify_init(session, &hmac, key);
    for (int i = 0; i < messages; ++i) app.verify_message(session, nullptr, i == 0 ? "data" : "other", signature);
    app.message_verify_final(session);
  }
  app.finalize();
}

constexpr Case kCases[] = {
    P11_CASE(gcm_messages_given_iv),
    P11_CASE(gcm_messages_counting_iv),
    P11_CASE(gcm_messages_random_iv),
    P11_CASE(gcm_messages_in_parts),
    P11_CASE(gcm_messages_lengths),
    P11_CASE(chacha20_messages),
    P11_CASE(ccm_messages),
    P11_CASE(message_states),
    P11_CASE(message_bad_parameters),
    P11_CASE(messages_signed),
    P11_CASE(messages_again),
    P11_CASE(messages_of_changing_operations),
    P11_CASE(messages_counting_iv_again),
    P11_CASE(messages_signed_again),
};

}  // namespace

std::span<const Case> message_cases() { return kCases; }

}  // namespace p11shim::contract
