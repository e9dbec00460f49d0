// An application as the contract's cases write it: a recorder, what the fixture prepared, and the openings that
// most cases share. Everything goes through the recorder; what a case cannot do without is checked with must().
#pragma once

#include <stdexcept>

#include "compare/initialize_arguments.h"
#include "compare/message_parameter.h"
#include "compare/recorder.h"
#include "compare/side.h"
#include "known_keys.h"

namespace p11shim::contract {

using namespace compare;  // the cases are written in its words

// Thrown by must(): the case makes no sense without what failed.
struct CaseAborted : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Application : public Recorder {
 public:
  Application(const Scene& scene, const Module& module, TranscriptWriter& transcript);

  const Backend& backend() const { return scene_.backend; }
  bool on(const char* backend) const { return scene_.backend.name() == backend; }
  // Turns anything but CKR_OK into the end of the case.
  void must(CK_RV rv, const char* what) const;

  // C_Initialize as an ordinary application calls it; then finds the slots.
  void start();
  CK_RV initialize_plainly();
  void find_slots();

  CK_SLOT_ID slot = 0;              // of the token with keys and PINs
  CK_SLOT_ID other_slot = 0;        // of another token
  CK_SLOT_ID crypto_slot = 0;       // of a token where session objects need no login
  CK_SLOT_ID fresh_slot = kNoSlot;  // without an initialised token

  static constexpr CK_SLOT_ID kNoSlot = 0x7ffffff0UL;
  static constexpr CK_OBJECT_HANDLE kNoObject = 0x7ffffff1UL;
  static constexpr CK_SESSION_HANDLE kNoSession = 0x7ffffff2UL;

  Session open(CK_FLAGS more = CKF_RW_SESSION);
  Session open_at(CK_SLOT_ID at, CK_FLAGS more = CKF_RW_SESSION);
  // A started application with an R/W session, the user logged in.
  Session start_logged_in();
  // The same with a session on crypto_slot, logged in if that token wants it.
  Session start_crypto();

  Object create(Session session, const Template& attributes);

 private:
  Scene scene_;
  InitializeArguments arguments_;
};

// One case of the contract.
struct Case {
  const char* name;
  void (*run)(Application&);
  const char* backend = nullptr;  // only there; nullptr: everywhere
};

// A function with its name.
#define P11_CASE(function) \
  { #function, function }
#define P11_CASE_ON(backend, function) \
  { #function, function, backend }

}  // namespace p11shim::contract
