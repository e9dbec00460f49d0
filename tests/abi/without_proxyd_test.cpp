// What an application sees while nobody serves it: an empty world, sensible codes, one line in the log.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "shim.h"

#define CK_PKCS11_3_0 1

namespace p11shim {
namespace {

int initialise(void** state) {
  static Shim shim;
  configure("");
  shim = load_shim();
  *state = &shim;
  return shim.v2->C_Initialize(nullptr) == CKR_OK ? 0 : -1;
}

int finalise(void** state) { return static_cast<Shim*>(*state)->v2->C_Finalize(nullptr) == CKR_OK ? 0 : -1; }

void slot_list_is_empty(void** state) {
  const Shim& shim = *static_cast<Shim*>(*state);
  for (const CK_BBOOL present : {CK_BBOOL{CK_TRUE}, CK_BBOOL{CK_FALSE}}) {
    CK_ULONG count = 7;
    assert_int_equal(shim.v2->C_GetSlotList(present, nullptr, &count), CKR_OK);
    assert_int_equal(count, 0);
    std::array<CK_SLOT_ID, 4> slots{};
    count = slots.size();
    assert_int_equal(shim.v2->C_GetSlotList(present, slots.data(), &count), CKR_OK);
    assert_int_equal(count, 0);
  }
}

void slots_do_not_exist(void** state) {
  const Shim& shim = *static_cast<Shim*>(*state);
  CK_SLOT_INFO slot{};
  CK_TOKEN_INFO token{};
  CK_MECHANISM_INFO mechanism{};
  CK_ULONG count = 0;
  CK_SESSION_HANDLE session = 0;
  assert_int_equal(shim.v2->C_GetSlotInfo(0, &slot), CKR_SLOT_ID_INVALID);
  assert_int_equal(shim.v2->C_GetTokenInfo(0, &token), CKR_SLOT_ID_INVALID);
  assert_int_equal(shim.v2->C_GetMechanismList(0, nullptr, &count), CKR_SLOT_ID_INVALID);
  assert_int_equal(shim.v2->C_GetMechanismInfo(0, CKM_SHA256, &mechanism), CKR_SLOT_ID_INVALID);
  assert_int_equal(shim.v2->C_OpenSession(0, CKF_SERIAL_SESSION, nullptr, nullptr, &session), CKR_SLOT_ID_INVALID);
  assert_int_equal(shim.v2->C_CloseAllSessions(0), CKR_SLOT_ID_INVALID);
}

// With no session there can be none whose arguments are worth looking at, but a NULL may be seen first.
void sessions_do_not_exist(void** state) {
  const Shim& shim = *static_cast<Shim*>(*state);
  const auto is_sensible = [](const std::string& name, CK_RV rv) {
    const bool is_of_slots = name.find("Slot") != name.npos || name.starts_with("C_GetMechanism") ||
                             name == "C_GetTokenInfo" || name == "C_InitToken" || name == "C_OpenSession" ||
                             name == "C_CloseAllSessions";
    const bool is_global = name == "C_Initialize" || name == "C_Finalize" || name == "C_GetInfo" ||
                           name == "C_GetFunctionList" || name.starts_with("C_GetInterface");
    const bool is_legacy = name == "C_GetFunctionStatus" || name == "C_CancelFunction";
    if (is_global || is_of_slots) return true;  // have tests of their own
    if (is_legacy && rv == CKR_FUNCTION_NOT_PARALLEL) return true;
    return rv == CKR_SESSION_HANDLE_INVALID || rv == CKR_ARGUMENTS_BAD;
  };
#define CK_PKCS11_FUNCTION_INFO(name)                                                   \
  if (const std::string text = #name;                                                   \
      text != "C_Initialize" && text != "C_Finalize" && text != "C_WaitForSlotEvent") { \
    const CK_RV rv = call_with_nothing(shim.v3->name);                                  \
    if (!is_sensible(text, rv)) fail_msg("%s gave 0x%lx", #name, rv);                   \
  }
#include <pkcs11f.h>
#undef CK_PKCS11_FUNCTION_INFO
}

void library_info_is_there(void** state) {
  const Shim& shim = *static_cast<Shim*>(*state);
  CK_INFO info{};
  assert_int_equal(shim.v2->C_GetInfo(&info), CKR_OK);
  assert_int_equal(info.cryptokiVersion.major, 2);
  assert_int_equal(info.cryptokiVersion.minor, 40);
  assert_int_equal(info.libraryDescription[sizeof info.libraryDescription - 1],
                   ' ');  // padded, not terminated
  assert_int_equal(shim.v2->C_GetInfo(nullptr), CKR_ARGUMENTS_BAD);
}

void slot_events_can_be_polled(void** state) {
  const Shim& shim = *static_cast<Shim*>(*state);
  CK_SLOT_ID slot = 0;
  assert_int_equal(shim.v2->C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, nullptr), CKR_NO_EVENT);
  assert_int_equal(shim.v2->C_WaitForSlotEvent(CKF_DONT_BLOCK, nullptr, nullptr), CKR_ARGUMENTS_BAD);
}

void finalize_ends_the_wait_for_a_slot_event(void**) {
  const Shim shim = load_shim();
  assert_int_equal(in_child([&] {
                     expect(shim.v2->C_Initialize(nullptr) == CKR_OK, "C_Initialize");
                     CK_RV rv = CKR_OK;
                     std::thread waiter([&] {
                       CK_SLOT_ID slot = 0;
                       rv = shim.v2->C_WaitForSlotEvent(0, &slot, nullptr);
                     });
                     expect(shim.v2->C_Finalize(nullptr) == CKR_OK, "C_Finalize");
                     waiter.join();
                     expect(rv == CKR_CRYPTOKI_NOT_INITIALIZED, "the wait ends because the library was finalised");
                   }),
                   0);
}

void initialize_fails_when_configured_so(void**) {
  const Shim shim = load_shim();
  configure("on_unreachable = \"fail\"");
  assert_int_not_equal(shim.v2->C_Initialize(nullptr), CKR_OK);
  CK_INFO info{};
  assert_int_equal(shim.v2->C_GetInfo(&info), CKR_CRYPTOKI_NOT_INITIALIZED);
  assert_int_equal(shim.v2->C_Finalize(nullptr), CKR_CRYPTOKI_NOT_INITIALIZED);
  configure("");
}

void log_says_why_in_one_line(void**) {
  const Shim shim = load_shim();
  const std::string log = private_path("shim.log").string();
  ::setenv("P11SHIM_LOG", ("warning:file:" + log).c_str(), 1);
  assert_int_equal(shim.v2->C_Initialize(nullptr), CKR_OK);
  CK_ULONG count = 0;
  for (int i = 0; i < 5; ++i) assert_int_equal(shim.v2->C_GetSlotList(CK_TRUE, nullptr, &count), CKR_OK);
  assert_int_equal(shim.v2->C_Finalize(nullptr), CKR_OK);
  ::unsetenv("P11SHIM_LOG");
  const std::string text = read_text(log);
  assert_int_equal(std::count(text.begin(), text.end(), '\n'), 1);
  assert_non_null(std::strstr(text.c_str(), "nobody.sock"));
}

}  // namespace
}  // namespace p11shim

int main() {
  using namespace p11shim;
  const CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(slot_list_is_empty, initialise, finalise),
      cmocka_unit_test_setup_teardown(slots_do_not_exist, initialise, finalise),
      cmocka_unit_test_setup_teardown(sessions_do_not_exist, initialise, finalise),
      cmocka_unit_test_setup_teardown(library_info_is_there, initialise, finalise),
      cmocka_unit_test_setup_teardown(slot_events_can_be_polled, initialise, finalise),
      cmocka_unit_test(finalize_ends_the_wait_for_a_slot_event),
      cmocka_unit_test(initialize_fails_when_configured_so),
      cmocka_unit_test(log_says_why_in_one_line),
  };
  return cmocka_run_group_tests(tests, make_private_folder, remove_private_folder);
}
