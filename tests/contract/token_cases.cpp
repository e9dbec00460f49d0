// Initialising tokens and changing PINs: C_InitToken, C_InitPIN, C_SetPIN (section 5.5).
#include "cases.h"

namespace p11shim::contract {
namespace {

void init_token_fresh_slot(Application& app) {
  app.start();
  CK_TOKEN_INFO info;
  app.must(app.init_token(app.fresh_slot, "new-so-pin", "third"), "C_InitToken");
  app.finalize();
  app.must(app.initialize_plainly(), "C_Initialize");
  // The new slot's id, and with it the order of the slots, comes from a random serial number.
  const Recorder::Blur blur(app);
  std::vector<CK_SLOT_ID> slots;
  app.get_slot_list(true, Room::of(16), &slots);
  for (CK_SLOT_ID slot : slots) app.get_token_info(slot, &info);
  app.finalize();
}

void init_token_seen_at_once(Application& app) {
  app.start();
  CK_TOKEN_INFO info;
  app.must(app.init_token(app.fresh_slot, "new-so-pin", "third"), "C_InitToken");
  app.get_token_info(app.fresh_slot, &info);
  std::vector<CK_SLOT_ID> slots;
  app.get_slot_list(true, Room::of(16), &slots);
  CK_SESSION_HANDLE session = 0;
  app.must(app.open_session(app.fresh_slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, &session), "C_OpenSession");
  app.login(session, CKU_USER, kUserPin);
  app.login(session, CKU_SO, "wrong");
  app.login(session, CKU_SO, "new-so-pin");
  app.init_pin(session, "new-user-pin");
  app.logout(session);
  app.login(session, CKU_USER, "new-user-pin");
  app.create(session, stored("data"));
  app.find_all(session, {});
  app.close_session(session);
  app.get_token_info(app.fresh_slot, &info);
  app.finalize();
}

void init_token_again(Application& app) {
  const auto session = app.start_logged_in();
  app.create(session, stored("data"));
  app.create(session, stored_privately("private"));
  app.close_session(session);
  CK_TOKEN_INFO info;
  app.must(app.init_token(app.slot, kSoPin, "renamed"), "C_InitToken");
  app.get_token_info(app.slot, &info);
  const auto next = app.open();
  app.find_all(next, {});
  app.login(next, CKU_USER, kUserPin);
  app.login(next, CKU_SO, kSoPin);
  app.init_pin(next, kUserPin);
  app.logout(next);
  app.login(next, CKU_USER, kUserPin);
  app.find_all(next, {});
  app.finalize();
}

void init_token_wrong_pin(Application& app) {
  app.start();
  CK_TOKEN_INFO info;
  app.init_token(app.slot, "wrong", "renamed");
  app.get_token_info(app.slot, &info);
  app.init_token(app.slot, kUserPin, "renamed");
  app.get_token_info(app.slot, &info);
  app.finalize();
}

void init_token_with_sessions(Application& app) {
  app.start();
  const auto session = app.open(0);
  app.init_token(app.slot, kSoPin, "renamed");
  app.open_at(app.other_slot);
  app.close_session(session);
  app.init_token(app.slot, kSoPin, "renamed");
  app.finalize();
}

void init_token_arguments(Application& app) {
  app.start();
  app.init_token(Application::kNoSlot, kSoPin, "label");
  app.init_token(app.slot, Input::null(), "label");
  app.init_token(app.slot, Input::null(4), "label");
  app.init_token(app.slot, "", "label");
  app.init_token(app.fresh_slot, "abc", "label");  // shorter than the shortest PIN
  app.init_token(app.fresh_slot, Bytes(300, 'x'), "label");
  app.init_token(app.fresh_slot, Input::null(), "label");
  app.finalize();
}

void init_token_null_label(Application& app) {
  app.start();
  app.init_token(app.fresh_slot, "new-so-pin", nullptr);
  app.finalize();
}

void fresh_slot_session(Application& app) {
  app.start();
  CK_SESSION_HANDLE session = 0;
  CK_SLOT_INFO info;
  app.get_slot_info(app.fresh_slot, &info);
  app.open_session(app.fresh_slot, CKF_SERIAL_SESSION, &session);
  app.open_session(app.fresh_slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, &session);
  app.close_all_sessions(app.fresh_slot);
  app.get_mechanism_list(app.fresh_slot, Room::query());
  app.finalize();
}

void init_pin_states(Application& app) {
  app.start();
  const auto session = app.open();
  app.init_pin(session, "another-pin");  // public
  app.login(session, CKU_USER, kUserPin);
  app.init_pin(session, "another-pin");  // user
  app.logout(session);
  app.login(session, CKU_SO, kSoPin);
  app.init_pin(session, "another-pin");
  app.logout(session);
  app.login(session, CKU_USER, kUserPin);
  app.login(session, CKU_USER, "another-pin");
  app.finalize();
}

void init_pin_arguments(Application& app) {
  app.start();
  const auto session = app.open();
  if (app.login(session, CKU_SO, kSoPin) != CKR_OK) return;
  app.init_pin(session, Input::null());
  app.init_pin(session, Input::null(6));
  app.init_pin(session, "");
  app.init_pin(session, "abc");
  app.init_pin(session, Bytes(300, 'x'));
  app.init_pin(Application::kNoSession, "another-pin");
  app.finalize();
}

void init_pin_keeps_objects(Application& app) {
  auto session = app.start_logged_in();
  app.create(session, stored_privately("kept"));
  app.logout(session);
  app.login(session, CKU_SO, kSoPin);
  app.find_all(session, {});
  app.init_pin(session, "another-pin");
  app.logout(session);
  app.login(session, CKU_USER, "another-pin");
  for (auto object : app.find_all(session, {}).objects)
    app.get_attribute_value(session, object, roomy({CKA_LABEL, CKA_VALUE}));
  app.finalize();
}

void set_pin_as_user(Application& app) {
  const auto session = app.start_logged_in();
  app.set_pin(session, "wrong", "another-pin");
  app.set_pin(session, kUserPin, "another-pin");
  app.logout(session);
  app.login(session, CKU_USER, kUserPin);
  app.login(session, CKU_USER, "another-pin");
  app.set_pin(session, "another-pin", kUserPin);
  app.finalize();
}

void set_pin_as_so(Application& app) {
  app.start();
  const auto session = app.open();
  if (app.login(session, CKU_SO, kSoPin) != CKR_OK) return;
  app.set_pin(session, "wrong", "another-so-pin");
  app.set_pin(session, kSoPin, "another-so-pin");
  app.logout(session);
  app.login(session, CKU_SO, kSoPin);
  app.login(session, CKU_SO, "another-so-pin");
  app.finalize();
}

void set_pin_not_logged_in(Application& app) {
  app.start();
  const auto session = app.open();
  app.set_pin(session, "wrong", "another-pin");
  app.set_pin(session, kUserPin, "another-pin");
  app.login(session, CKU_USER, "another-pin");
  app.logout(session);
  app.login(session, CKU_USER, kUserPin);
  app.finalize();
}

void set_pin_read_only_session(Application& app) {
  app.start();
  const auto session = app.open(0);
  app.set_pin(session, kUserPin, "another-pin");
  app.login(session, CKU_USER, kUserPin);
  app.set_pin(session, kUserPin, "another-pin");
  app.finalize();
}

void set_pin_arguments(Application& app) {
  const auto session = app.start_logged_in();
  app.set_pin(session, Input::null(), "another-pin");
  app.set_pin(session, Input::null(4), "another-pin");
  app.set_pin(session, kUserPin, Input::null());
  app.set_pin(session, kUserPin, Input::null(8));
  app.set_pin(session, kUserPin, "abc");
  app.set_pin(session, kUserPin, Bytes(300, 'x'));
  app.set_pin(Application::kNoSession, kUserPin, "another-pin");
  app.finalize();
}

void set_pin_keeps_session_working(Application& app) {
  const auto session = app.start_logged_in();
  const auto object = app.create(session, stored_privately("mine"));
  const auto key = app.create(session, aes());
  app.must(app.set_pin(session, kUserPin, "another-pin"), "C_SetPIN");
  CK_SESSION_INFO info;
  app.get_session_info(session, &info);
  app.get_attribute_value(session, object, roomy({CKA_LABEL, CKA_VALUE}));
  Mechanism ecb(CKM_AES_ECB);
  app.encrypt_init(session, &ecb, key);
  app.encrypt(session, Bytes(16, 1), Room::of(16));
  const auto other = app.open(0);
  app.get_session_info(other, &info);
  app.find_all(other, {{CKA_LABEL, "mine"}});
  app.finalize();
}

constexpr Case kCases[] = {
    P11_CASE_ON("softhsm", init_token_fresh_slot),
    P11_CASE_ON("softhsm", init_token_seen_at_once),
    P11_CASE_ON("softhsm", init_token_again),
    P11_CASE_ON("softhsm", init_token_wrong_pin),
    P11_CASE_ON("softhsm", init_token_with_sessions),
    P11_CASE_ON("softhsm", init_token_arguments),
    P11_CASE_ON("softhsm", init_token_null_label),
    P11_CASE_ON("softhsm", fresh_slot_session),
    P11_CASE(init_pin_states),
    P11_CASE(init_pin_arguments),
    P11_CASE(init_pin_keeps_objects),
    P11_CASE(set_pin_as_user),
    P11_CASE(set_pin_as_so),
    P11_CASE(set_pin_not_logged_in),
    P11_CASE(set_pin_read_only_session),
    P11_CASE(set_pin_arguments),
    P11_CASE(set_pin_keeps_session_working),
};

}  // namespace

std::span<const Case> token_cases() { return kCases; }

}  // namespace p11shim::contract
