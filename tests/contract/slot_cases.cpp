// Slots, tokens and mechanisms: lists with their two-call convention, and infos (section 5.5).
#include "cases.h"

namespace p11shim::contract {
namespace {

void slot_list_queries(Application& app) {
  app.start();
  for (bool present : {true, false}) {
    std::vector<CK_SLOT_ID> slots;
    app.get_slot_list(present, Room::query());
    app.get_slot_list(present, Room::query(99));
    app.get_slot_list(present, Room::of(64), &slots);
    app.get_slot_list(present, Room::of(slots.size()));
    app.get_slot_list(present, Room::of(slots.size() - 1));
    app.get_slot_list(present, Room::of(0));
    app.get_slot_list(present, Room::no_length(4));
  }
  app.finalize();
}

void slot_list_is_stable(Application& app) {
  app.start();
  std::vector<CK_SLOT_ID> first, second;
  app.get_slot_list(true, Room::of(16), &first);
  app.get_slot_list(true, Room::of(16), &second);
  app.note("same order", first == second);
  app.finalize();
  app.start();
  app.get_slot_list(true, Room::of(16), &second);
  app.note("same after C_Initialize", first == second);
  app.finalize();
}

void slot_info(Application& app) {
  app.start();
  std::vector<CK_SLOT_ID> slots;
  CK_SLOT_INFO info;
  app.get_slot_list(false, Room::of(16), &slots);
  for (CK_SLOT_ID slot : slots) app.get_slot_info(slot, &info);
  app.get_slot_info(slots.front(), nullptr);
  app.get_slot_info(Application::kNoSlot, &info);
  app.get_slot_info(Application::kNoSlot, nullptr);
  app.finalize();
}

void token_info(Application& app) {
  app.start();
  CK_TOKEN_INFO info;
  for (CK_SLOT_ID slot : {app.slot, app.other_slot, app.crypto_slot, app.fresh_slot}) app.get_token_info(slot, &info);
  app.get_token_info(app.slot, nullptr);
  app.get_token_info(Application::kNoSlot, &info);
  app.finalize();
}

void token_info_counts_sessions(Application& app) {
  app.start();
  CK_TOKEN_INFO info;
  const auto first = app.open(0);
  app.get_token_info(app.slot, &info);
  app.open(CKF_RW_SESSION);
  app.get_token_info(app.slot, &info);
  app.close_session(first);
  app.get_token_info(app.slot, &info);
  app.get_token_info(app.other_slot, &info);
  app.finalize();
}

void token_info_pin_flags(Application& app) {
  app.start();
  CK_TOKEN_INFO info;
  const auto session = app.open();
  app.login(session, CKU_USER, "wrong");
  app.get_token_info(app.slot, &info);
  app.login(session, CKU_SO, "wrong");
  app.get_token_info(app.slot, &info);
  app.login(session, CKU_USER, kUserPin);
  app.get_token_info(app.slot, &info);
  app.logout(session);
  app.login(session, CKU_SO, kSoPin);
  app.get_token_info(app.slot, &info);
  app.finalize();
}

void mechanism_list_queries(Application& app) {
  app.start();
  for (CK_SLOT_ID slot : {app.slot, app.crypto_slot, app.fresh_slot}) {
    if (slot == Application::kNoSlot) continue;
    std::vector<CK_MECHANISM_TYPE> types;
    app.get_mechanism_list(slot, Room::query());
    if (app.get_mechanism_list(slot, Room::of(512), &types) != CKR_OK) continue;
    app.get_mechanism_list(slot, Room::of(types.size()));
    if (app.on("nss")) continue;  // writes the whole list anyway
    app.get_mechanism_list(slot, Room::of(types.size() - 1));
    app.get_mechanism_list(slot, Room::of(0));
  }
  app.get_mechanism_list(app.slot, Room::no_length(4));
  if (!app.on("nss")) app.get_mechanism_list(Application::kNoSlot, Room::query());  // it lists them for any slot
  app.finalize();
}

void mechanism_info_of_all(Application& app) {
  app.start();
  for (CK_SLOT_ID slot : {app.slot, app.crypto_slot}) {
    std::vector<CK_MECHANISM_TYPE> types;
    CK_MECHANISM_INFO info;
    app.get_mechanism_list(slot, Room::of(512), &types);
    for (CK_MECHANISM_TYPE type : types) app.get_mechanism_info(slot, type, &info);
  }
  app.finalize();
}

void mechanism_info_errors(Application& app) {
  app.start();
  CK_MECHANISM_INFO info;
  app.get_mechanism_info(app.slot, 0x7fffffffUL, &info);
  app.get_mechanism_info(app.slot, CKM_VENDOR_DEFINED | 77, &info);
  app.get_mechanism_info(app.slot, CKM_RSA_PKCS, nullptr);
  app.get_mechanism_info(Application::kNoSlot, CKM_RSA_PKCS, &info);
  app.finalize();
}

void wait_for_slot_event_now(Application& app) {
  app.start();
  CK_SLOT_ID slot = 0;
  app.wait_for_slot_event(CKF_DONT_BLOCK, &slot);
  app.wait_for_slot_event(CKF_DONT_BLOCK, nullptr);
  app.wait_for_slot_event(CKF_DONT_BLOCK, &slot, &slot);
  app.finalize();
}

constexpr Case kCases[] = {
    P11_CASE(slot_list_queries),
    P11_CASE(slot_list_is_stable),
    P11_CASE(slot_info),
    P11_CASE(token_info),
    P11_CASE(token_info_counts_sessions),
    P11_CASE(token_info_pin_flags),
    P11_CASE(mechanism_list_queries),
    P11_CASE(mechanism_info_of_all),
    P11_CASE(mechanism_info_errors),
    P11_CASE(wait_for_slot_event_now),
};

}  // namespace

std::span<const Case> slot_cases() { return kCases; }

}  // namespace p11shim::contract
