// Digesting (section 5.10).
#include "cases.h"

namespace p11shim::contract {
namespace {

void digest_all_mechanisms(Application& app) {
  const auto session = app.start_crypto();
  for (CK_MECHANISM_TYPE type : {CKM_MD2, CKM_MD5, CKM_SHA_1, CKM_SHA224, CKM_SHA256, CKM_SHA384, CKM_SHA512,
                                 CKM_SHA512_256, CKM_SHA3_256, CKM_RIPEMD160, CKM_GOSTR3411}) {
    Mechanism mechanism(type);
    if (app.digest_init(session, &mechanism) != CKR_OK) continue;
    app.digest(session, "The quick brown fox", Room::of(64));
    app.digest_init(session, &mechanism);
    app.digest_update(session, "The quick ");
    app.digest_update(session, "brown fox");
    app.digest_final(session, Room::of(64));
  }
  app.finalize();
}

void digest_length_queries(Application& app) {
  const auto session = app.start_crypto();
  Mechanism sha(CKM_SHA256);
  app.digest_init(session, &sha);
  app.digest(session, "data", Room::query());
  app.digest(session, "data", Room::query(5));
  app.digest(session, "data", Room::of(31));
  app.digest(session, "data", Room::of(0));
  app.digest(session, "data", Room::of(32));
  app.digest(session, "data", Room::of(32));
  app.digest_init(session, &sha);
  app.digest_update(session, "data");
  app.digest_final(session, Room::query());
  app.digest_final(session, Room::of(1));
  app.digest_final(session, Room::of(64));
  app.digest_final(session, Room::of(64));
  app.finalize();
}

void digest_empty_and_null(Application& app) {
  const auto session = app.start_crypto();
  Mechanism sha(CKM_SHA256);
  app.digest_init(session, &sha);
  app.digest(session, "", Room::of(32));
  app.digest_init(session, &sha);
  app.digest_final(session, Room::of(32));
  app.digest_init(session, &sha);
  app.digest_update(session, "");
  app.digest_final(session, Room::of(32));
  app.digest_init(session, &sha);
  app.digest_update(session, Input::null());
  app.digest_final(session, Room::of(32));
  app.digest_init(session, &sha);
  app.digest(session, Input::null(), Room::of(32));
  app.finalize();
}

void digest_null_arguments(Application& app) {
  const auto session = app.start_crypto();
  Mechanism sha(CKM_SHA256);
  app.digest_init(session, nullptr);
  app.digest_init(session, &sha);
  app.digest(session, "data", Room::no_length(32));
  app.digest(session, "data", Room::of(32));
  app.digest_init(session, &sha);
  app.digest_update(session, "data");
  app.digest_final(session, Room::no_length(32));
  app.digest_final(session, Room::of(32));
  app.finalize();
}

void digest_states(Application& app) {
  const auto session = app.start_crypto();
  Mechanism sha(CKM_SHA256), md5(CKM_MD5);
  app.digest(session, "data", Room::of(32));
  app.digest_update(session, "data");
  app.digest_final(session, Room::of(32));
  app.digest_init(session, &sha);
  app.digest_init(session, &md5);
  app.digest_update(session, "data");
  app.digest(session, "single after update", Room::of(32));
  app.digest_final(session, Room::of(32));
  app.digest_init(session, &sha);
  app.digest(session, "data", Room::query());
  app.digest_update(session, "update after query");
  app.digest_final(session, Room::of(32));
  app.finalize();
}

void digest_bad_mechanisms(Application& app) {
  const auto session = app.start_crypto();
  for (CK_MECHANISM_TYPE type : {CK_MECHANISM_TYPE{CKM_AES_CBC}, CK_MECHANISM_TYPE{CKM_SHA256_HMAC},
                                 CK_MECHANISM_TYPE{0x7fffffff}, CK_MECHANISM_TYPE{CKM_VENDOR_DEFINED | 9}}) {
    Mechanism mechanism(type);
    app.digest_init(session, &mechanism);
  }
  Mechanism with_parameter(CKM_SHA256, Bytes(8, 1)), lying = Mechanism::raw(CKM_SHA256, nullptr, 8);
  app.digest_init(session, &with_parameter);
  app.digest(session, "data", Room::of(32));
  app.digest_init(session, &lying);
  app.digest(session, "data", Room::of(32));
  Mechanism sha(CKM_SHA256);
  app.digest_init(Application::kNoSession, &sha);
  app.digest(Application::kNoSession, "data", Room::of(32));
  app.finalize();
}

void digest_large(Application& app) {
  const auto session = app.start_crypto();
  Mechanism sha(CKM_SHA512);
  app.digest_init(session, &sha);
  app.digest(session, pattern(1'000'000), Room::of(64));
  app.digest_init(session, &sha);
  for (int i = 0; i < 10; ++i) app.digest_update(session, pattern(100'000, static_cast<CK_BYTE>(i)));
  app.digest_final(session, Room::of(64));
  app.digest_init(session, &sha);
  for (int i = 0; i < 200; ++i) app.digest_update(session, pattern(16, static_cast<CK_BYTE>(i)));
  app.digest_final(session, Room::of(64));
  app.finalize();
}

// The most that one call carries, and one byte more.
void digest_beyond_a_message(Application& app) {
  const auto session = app.start_crypto();
  Mechanism sha(CKM_SHA256);
  Bytes data((64 << 20) - (64 << 10), 0x5a);
  app.digest_init(session, &sha);
  app.digest(session, data, Room::of(32));
  data.push_back(0x5a);
  app.digest_init(session, &sha);
  app.digest(session, data, Room::of(32));
  app.finalize();
}

void digest_key(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, generic());
  const auto sensitive = app.create(session, generic().with({{CKA_SENSITIVE, true}}));
  const auto data = app.create(session, data_object());
  Mechanism sha(CKM_SHA256);
  app.digest_key(session, key);
  app.digest_init(session, &sha);
  app.digest_key(session, key);
  app.digest_update(session, "salt");
  app.digest_final(session, Room::of(32));
  app.digest_init(session, &sha);
  app.digest_key(session, sensitive);
  app.digest_key(session, data);
  app.digest_key(session, Application::kNoObject);
  app.digest_update(session, "data");
  app.digest_final(session, Room::of(32));
  app.finalize();
}

void digest_two_sessions(Application& app) {
  const auto first = app.start_crypto();
  const auto second = app.open_at(app.crypto_slot);
  Mechanism sha(CKM_SHA256);
  app.digest_init(first, &sha);
  app.digest_init(second, &sha);
  for (int i = 0; i < 3; ++i) {
    app.digest_update(first, "first");
    app.digest_update(second, "second");
  }
  app.digest_final(first, Room::of(32));
  app.digest_final(second, Room::of(32));
  app.finalize();
}

void digest_in_place(Application& app) {
  const auto session = app.start_crypto();
  Mechanism sha(CKM_SHA256);
  app.digest_init(session, &sha);
  app.digest(session, pattern(40), Room::in_place(64));
  app.finalize();
}

void digest_failed_update(Application& app) {
  const auto session = app.start_crypto();
  Mechanism sha(CKM_SHA256);
  app.digest_init(session, &sha);
  app.digest_update(session, Input::null(8));
  app.digest_update(session, "data");
  app.digest_final(session, Room::of(32));
  app.finalize();
}

constexpr Case kCases[] = {
    P11_CASE(digest_all_mechanisms), P11_CASE(digest_length_queries),
    P11_CASE(digest_empty_and_null), P11_CASE(digest_null_arguments),
    P11_CASE(digest_states),         P11_CASE(digest_bad_mechanisms),
    P11_CASE(digest_large),          P11_CASE(digest_key),
    P11_CASE(digest_two_sessions),   P11_CASE(digest_in_place),
    P11_CASE(digest_failed_update),  P11_CASE(digest_beyond_a_message),
};

}  // namespace

std::span<const Case> digest_cases() { return kCases; }

}  // namespace p11shim::contract
