// Sessions: flags, limits, states, closing, and what closing takes along (section 5.6).
#include "cases.h"

namespace p11shim::contract {
namespace {

void open_session_flags(Application& app) {
  app.start();
  CK_SESSION_HANDLE session = 0;
  for (CK_FLAGS flags :
       {CK_FLAGS{CKF_SERIAL_SESSION}, CK_FLAGS{CKF_SERIAL_SESSION | CKF_RW_SESSION},
        CK_FLAGS{CKF_SERIAL_SESSION | 0x10}, CK_FLAGS{CKF_SERIAL_SESSION | CKF_RW_SESSION | 0x40000000}}) {
    CK_SESSION_INFO info;
    if (app.open_session(app.slot, flags, &session) == CKR_OK) app.get_session_info(session, &info);
  }
  app.finalize();
}

void open_session_parallel(Application& app) {
  app.start();
  CK_SESSION_HANDLE session = 0;
  app.open_session(app.slot, 0, &session);
  app.open_session(app.slot, CKF_RW_SESSION, &session);
  app.finalize();
}

void open_session_arguments(Application& app) {
  app.start();
  CK_SESSION_HANDLE session = 0;
  app.open_session(Application::kNoSlot, CKF_SERIAL_SESSION, &session);
  app.open_session(app.slot, CKF_SERIAL_SESSION, nullptr);
  app.open_session(Application::kNoSlot, 0, nullptr);
  app.finalize();
}

void session_info_states(Application& app) {
  app.start();
  CK_SESSION_INFO info;
  const auto ro = app.open(0), rw = app.open();
  app.get_session_info(ro, &info);
  app.get_session_info(rw, &info);
  app.must(app.login(ro, CKU_USER, kUserPin), "C_Login");
  app.get_session_info(ro, &info);
  app.get_session_info(rw, &info);
  const auto later = app.open(0);
  app.get_session_info(later, &info);
  app.logout(rw);
  app.get_session_info(ro, &info);
  app.get_session_info(rw, &info);
  app.close_session(ro);
  app.close_session(later);
  if (app.login(rw, CKU_SO, kSoPin) != CKR_OK) return;
  app.get_session_info(rw, &info);
  app.finalize();
}

void session_info_arguments(Application& app) {
  app.start();
  CK_SESSION_INFO info;
  const auto session = app.open();
  app.get_session_info(session, nullptr);
  app.get_session_info(Application::kNoSession, &info);
  app.get_session_info(CK_INVALID_HANDLE, &info);
  app.get_session_info(CK_INVALID_HANDLE, nullptr);
  app.finalize();
}

void session_info_of_other_slot(Application& app) {
  app.start();
  CK_SESSION_INFO info;
  const auto here = app.open(), there = app.open_at(app.other_slot, 0);
  app.must(app.login(here, CKU_USER, kUserPin), "C_Login");
  app.get_session_info(here, &info);
  app.get_session_info(there, &info);
  app.close_all_sessions(app.slot);
  app.get_session_info(here, &info);
  app.get_session_info(there, &info);
  app.finalize();
}

void close_session_twice(Application& app) {
  app.start();
  const auto session = app.open();
  app.close_session(session);
  app.close_session(session);
  app.close_session(CK_INVALID_HANDLE);
  app.close_session(Application::kNoSession);
  app.finalize();
}

void close_all_sessions_of_slot(Application& app) {
  app.start();
  const auto first = app.open(0), second = app.open(), elsewhere = app.open_at(app.other_slot);
  CK_SESSION_INFO info;
  app.close_all_sessions(app.slot);
  app.get_session_info(first, &info);
  app.get_session_info(second, &info);
  app.get_session_info(elsewhere, &info);
  app.close_all_sessions(app.slot);
  app.close_all_sessions(Application::kNoSlot);
  app.finalize();
}

void closed_session_in_use(Application& app) {
  const auto session = app.start_logged_in();
  const auto keep = app.open(0);
  const auto key = app.create(session, aes());
  Mechanism ecb(CKM_AES_ECB);
  app.encrypt_init(session, &ecb, key);
  app.find_objects_init(session, Template{});
  app.close_session(session);
  app.encrypt(session, Bytes(16), Room::of(16));
  app.find_objects(session, 1);
  app.find_objects_final(session);
  app.logout(session);
  app.encrypt_init(keep, &ecb, key);
  app.finalize();
}

void last_session_logs_out(Application& app) {
  app.start();
  CK_SESSION_INFO info;
  const auto first = app.open(), second = app.open(0);
  app.must(app.login(first, CKU_USER, kUserPin), "C_Login");
  app.close_session(first);
  app.get_session_info(second, &info);
  app.close_session(second);
  const auto third = app.open();
  app.get_session_info(third, &info);
  app.login(third, CKU_USER, kUserPin);
  app.close_all_sessions(app.slot);
  app.get_session_info(app.open(), &info);
  app.finalize();
}

void many_sessions(Application& app) {
  app.start();
  std::vector<CK_SESSION_HANDLE> sessions;
  for (int i = 0; i < 60; ++i) sessions.push_back(app.open(i % 2 ? CKF_RW_SESSION : 0));
  CK_SESSION_INFO info;
  for (CK_SESSION_HANDLE session : sessions) app.get_session_info(session, &info);
  for (std::size_t i = 0; i < sessions.size(); i += 2) app.close_session(sessions[i]);
  for (CK_SESSION_HANDLE session : sessions) app.generate_random(session, Room::of(16));
  app.finalize();
}

void read_only_session_may_not_write(Application& app) {
  app.start();
  const auto session = app.open(0);
  CK_OBJECT_HANDLE object = 0, other = 0;
  app.create_object(session, stored("data"), &object);
  app.create_object(session, data_object(), &object);
  app.must(app.login(session, CKU_USER, kUserPin), "C_Login");
  app.create_object(session, stored("data"), &object);
  app.create_object(session, stored_privately("data"), &object);
  app.create_object(session, data_object().with({{CKA_PRIVATE, true}}), &object);
  Mechanism aes_gen(CKM_AES_KEY_GEN), rsa_gen(CKM_RSA_PKCS_KEY_PAIR_GEN);
  app.generate_key(session, &aes_gen, {{CKA_TOKEN, true}, {CKA_VALUE_LEN, 16}}, &object);
  app.generate_key(session, &aes_gen, {{CKA_TOKEN, false}, {CKA_VALUE_LEN, 16}}, &object);
  app.copy_object(session, object, {{CKA_TOKEN, true}}, &other);
  app.generate_key_pair(session, &rsa_gen, {{CKA_TOKEN, true}, {CKA_MODULUS_BITS, 1024}}, {{CKA_TOKEN, true}}, &object,
                        &other);
  app.finalize();
}

void read_only_session_may_not_change(Application& app) {
  const auto rw = app.start_logged_in();
  const auto ro = app.open(0);
  const auto object = app.create(rw, stored("data"));
  app.set_attribute_value(ro, object, {{CKA_LABEL, "changed"}});
  app.get_attribute_value(ro, object, roomy({CKA_LABEL}));
  app.destroy_object(ro, object);
  app.get_attribute_value(ro, object, roomy({CKA_LABEL}));
  app.destroy_object(rw, object);
  app.get_attribute_value(ro, object, roomy({CKA_LABEL}));
  app.finalize();
}

void random_numbers(Application& app) {
  app.start();
  const auto session = app.open(0);
  for (CK_ULONG size : {1UL, 16UL, 1000UL, 65536UL}) app.generate_random(session, Room::of(size));
  app.generate_random(session, Room::of(0));
  app.generate_random(session, Room::query(0));
  app.generate_random(session, Room::query(16));
  app.generate_random(Application::kNoSession, Room::of(16));
  const Bytes one = app.generate_random(session, Room::of(32)).bytes;
  const Bytes other = app.generate_random(session, Room::of(32)).bytes;
  app.note("differs", one != other);
  app.finalize();
}

void random_beyond_a_message(Application& app) {
  app.start();
  const auto session = app.open(0);
  app.generate_random(session, Room::of((64 << 20) - (64 << 10) + 1));
  app.generate_random(session, Room::of(16));
  app.finalize();
}

void seed_random(Application& app) {
  app.start();
  const auto session = app.open(0);
  app.seed_random(session, "seed");
  app.seed_random(session, Bytes{});
  app.seed_random(session, Input::null());
  app.seed_random(session, Input::null(8));
  app.seed_random(Application::kNoSession, "seed");
  app.generate_random(session, Room::of(16));
  app.finalize();
}

void legacy_functions(Application& app) {
  app.start();
  const auto session = app.open();
  app.get_function_status(session);
  app.cancel_function(session);
  app.get_function_status(Application::kNoSession);
  app.cancel_function(Application::kNoSession);
  app.finalize();
}

void operation_state_without_operation(Application& app) {
  const auto session = app.start_crypto();
  app.get_operation_state(session, Room::query());
  app.get_operation_state(session, Room::of(4096));
  app.get_operation_state(Application::kNoSession, Room::query());
  app.set_operation_state(session, Bytes(16, 1), 0, 0);
  app.set_operation_state(session, Input::null(), 0, 0);
  app.finalize();
}

void operation_state_of_digest(Application& app) {
  const auto session = app.start_crypto();
  const auto other = app.open_at(app.crypto_slot);
  Mechanism sha256(CKM_SHA256);
  app.must(app.digest_init(session, &sha256), "C_DigestInit");
  app.digest_update(session, "first half, ");
  app.get_operation_state(session, Room::query());
  app.get_operation_state(session, Room::of(2));
  const Outcome state = app.get_operation_state(session, Room::of(4096));
  app.digest_update(session, "second half");
  app.digest_final(session, Room::of(32));
  app.get_operation_state(session, Room::query());
  app.set_operation_state(other, state.bytes, 0, 0);
  app.digest_update(other, "second half");
  app.digest_final(other, Room::of(32));
  app.finalize();
}

void operation_state_garbage(Application& app) {
  const auto session = app.start_crypto();
  Mechanism sha256(CKM_SHA256);
  app.set_operation_state(session, pattern(64), 0, 0);
  app.set_operation_state(session, pattern(64), Application::kNoObject, Application::kNoObject);
  app.digest_init(session, &sha256);
  app.digest(session, "still works", Room::of(32));
  app.finalize();
}

constexpr Case kCases[] = {
    P11_CASE(open_session_flags),
    P11_CASE(open_session_parallel),
    P11_CASE(open_session_arguments),
    P11_CASE(session_info_states),
    P11_CASE(session_info_arguments),
    P11_CASE(session_info_of_other_slot),
    P11_CASE(close_session_twice),
    P11_CASE(close_all_sessions_of_slot),
    P11_CASE(closed_session_in_use),
    P11_CASE(last_session_logs_out),
    P11_CASE(many_sessions),
    P11_CASE(read_only_session_may_not_write),
    P11_CASE(read_only_session_may_not_change),
    P11_CASE(random_numbers),
    P11_CASE(random_beyond_a_message),
    P11_CASE(seed_random),
    P11_CASE(legacy_functions),
    P11_CASE(operation_state_without_operation),
    P11_CASE(operation_state_of_digest),
    P11_CASE(operation_state_garbage),
};

}  // namespace

std::span<const Case> session_cases() { return kCases; }

}  // namespace p11shim::contract
