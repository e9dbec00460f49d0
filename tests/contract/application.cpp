#include "application.h"

#include "compare/token_calls.h"

namespace p11shim::contract {

Application::Application(const Scene& scene, const Module& module, TranscriptWriter& transcript)
    : Recorder(module, transcript, scene.backend.fragile()), scene_(scene), arguments_(scene.library_parameters) {}

void Application::must(CK_RV rv, const char* what) const {
  if (rv != CKR_OK) throw CaseAborted(std::string(what) + " gave " + rv_name(rv));
}

CK_RV Application::initialize_plainly() { return initialize(arguments_.get(), "threads, OS locking"); }

void Application::start() {
  must(initialize_plainly(), "C_Initialize");
  find_slots();
}

void Application::find_slots() {
  std::vector<CK_SLOT_ID> slots;
  must(get_slot_list(true, Room::of(16), &slots), "C_GetSlotList");
  for (CK_SLOT_ID candidate : slots) {
    CK_TOKEN_INFO info{};
    must(get_token_info(candidate, &info), "C_GetTokenInfo");
    std::string label(reinterpret_cast<const char*>(info.label), sizeof info.label);
    label.erase(label.find_last_not_of(' ') + 1);
    if (label == backend().token()) slot = candidate;
    if (label == backend().other_token()) other_slot = candidate;
    if (label == backend().crypto_token()) crypto_slot = candidate;
    if (!(info.flags & CKF_TOKEN_INITIALIZED)) fresh_slot = candidate;
  }
}

Recorder::Session Application::open_at(CK_SLOT_ID at, CK_FLAGS more) {
  Session session = CK_INVALID_HANDLE;
  must(open_session(at, CKF_SERIAL_SESSION | more, &session), "C_OpenSession");
  return session;
}

Recorder::Session Application::open(CK_FLAGS more) { return open_at(slot, more); }

Recorder::Session Application::start_logged_in() {
  start();
  const Session session = open();
  must(login(session, CKU_USER, kUserPin), "C_Login");
  return session;
}

Recorder::Session Application::start_crypto() {
  start();
  const Session session = open_at(crypto_slot);
  if (crypto_slot == slot) must(login(session, CKU_USER, kUserPin), "C_Login");
  return session;
}

Recorder::Object Application::create(Session session, const Template& attributes) {
  Object object = CK_INVALID_HANDLE;
  must(create_object(session, attributes, &object), "C_CreateObject");
  return object;
}

}  // namespace p11shim::contract
