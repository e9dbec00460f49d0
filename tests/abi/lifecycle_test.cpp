// Loading and unloading, forking and exiting, in every order that applications and their libraries come up
// with. Each case runs in a process of its own, because each ends one.
#include <dlfcn.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include "shim.h"

namespace p11shim {
namespace {

CK_FUNCTION_LIST* module_at_exit = nullptr;

void finalise_at_exit() {
  if (module_at_exit != nullptr) module_at_exit->C_Finalize(nullptr);
}

// Runs after every exit handler, when libraries that were loaded later are already being torn down.
struct FinalisesWhenDestroyed {
  ~FinalisesWhenDestroyed() { finalise_at_exit(); }
};
FinalisesWhenDestroyed finalises_when_destroyed;

bool works(const Shim& shim) {
  CK_INFO info{};
  CK_ULONG count = 0;
  return shim.v2->C_GetInfo(&info) == CKR_OK && shim.v2->C_GetSlotList(CK_TRUE, nullptr, &count) == CKR_OK;
}

bool lives(const Shim& shim) {
  return shim.v2->C_Initialize(nullptr) == CKR_OK && works(shim) && shim.v2->C_Finalize(nullptr) == CKR_OK;
}

void same_library_twice_is_one(void**) {
  assert_int_equal(in_child([] {
                     const Shim first = load_shim();
                     const Shim second = load_shim();
                     expect(first.v2 == second.v2, "one function list");
                     expect(first.v2->C_Initialize(nullptr) == CKR_OK, "the first initialises");
                     expect(second.v2->C_Initialize(nullptr) == CKR_CRYPTOKI_ALREADY_INITIALIZED, "for both");
                     ::dlclose(second.handle);
                     expect(works(first), "the first goes on when the second is closed");
                   }),
                   0);
}

// Two libraries of one process may each bring a copy of the shim.
void two_copies_live_side_by_side(void**) {
  std::filesystem::copy_file(kShimPath, private_path("copy.so"));
  assert_int_equal(in_child([] {
                     const Shim first = load_shim();
                     const Shim second = load_shim(private_path("copy.so"));
                     expect(first.v2 != second.v2, "two function lists");
                     expect(first.v2->C_Initialize(nullptr) == CKR_OK, "the first");
                     expect(second.v2->C_Initialize(nullptr) == CKR_OK, "the second");
                     expect(second.v2->C_Finalize(nullptr) == CKR_OK, "the second ends");
                     expect(works(first), "the first goes on");
                   }),
                   0);
  std::filesystem::remove(private_path("copy.so"));
}

void can_be_loaded_and_unloaded_again_and_again(void**) {
  assert_int_equal(in_child([] {
                     for (int i = 0; i < 50; ++i) {
                       const Shim shim = load_shim();
                       expect(lives(shim), "a whole life");
                       ::dlclose(shim.handle);
                     }
#ifndef P11SHIM_SANITIZED  // ThreadSanitizer has a thread of its own
                     expect(count_entries("/proc/self/task") == 1, "no thread is left");
#endif
                   }),
                   0);
}

void can_be_unloaded_without_finalize(void**) {
  assert_int_equal(in_child([] {
                     const Shim shim = load_shim();
                     expect(shim.v2->C_Initialize(nullptr) == CKR_OK && works(shim), "works");
                     ::dlclose(shim.handle);
                   }),
                   0);
}

void exit_without_finalize_is_clean(void**) {
  assert_int_equal(in_child([] {
                     const Shim shim = load_shim();
                     expect(shim.v2->C_Initialize(nullptr) == CKR_OK && works(shim), "works");
                   }),
                   0);
}

void exit_handlers_may_finalize(void**) {
  for (const bool registered_before_loading : {true, false}) {
    assert_int_equal(in_child([=] {
                       if (registered_before_loading) std::atexit(finalise_at_exit);
                       const Shim shim = load_shim();
                       if (!registered_before_loading) std::atexit(finalise_at_exit);
                       expect(shim.v2->C_Initialize(nullptr) == CKR_OK && works(shim), "works");
                       module_at_exit = shim.v2;
                     }),
                     0);
  }
}

void destructors_may_finalize_after_unloading(void**) {
  assert_int_equal(in_child([] {
                     const Shim shim = load_shim();
                     expect(shim.v2->C_Initialize(nullptr) == CKR_OK && works(shim), "works");
                     module_at_exit = shim.v2;  // finalises_when_destroyed will use it
                     ::dlclose(shim.handle);
                   }),
                   0);
}

void exit_does_not_wait_for_calls_of_other_threads(void**) {
  assert_int_equal(in_child([] {
                     const Shim shim = load_shim();
                     expect(shim.v2->C_Initialize(nullptr) == CKR_OK, "C_Initialize");
                     std::atomic<bool> waiting = false;
                     std::thread([&] {
                       CK_SLOT_ID slot = 0;
                       waiting = true;
                       shim.v2->C_WaitForSlotEvent(0, &slot, nullptr);
                       while (true) ::pause();
                     }).detach();
                     while (!waiting) std::this_thread::yield();
                     std::exit(0);
                   }),
                   0);
}

// By default a child goes on where its parent was, as pre-forking servers expect.
void forked_child_is_initialised(void**) {
  const Shim shim = load_shim();
  assert_int_equal(shim.v2->C_Initialize(nullptr), CKR_OK);
  assert_int_equal(in_child([&] {
                     expect(works(shim), "the child works at once");
                     expect(shim.v2->C_Initialize(nullptr) == CKR_CRYPTOKI_ALREADY_INITIALIZED, "C_Initialize");
                     expect(shim.v2->C_Finalize(nullptr) == CKR_OK, "C_Finalize");
                     expect(lives(shim), "a life of its own afterwards");
                   }),
                   0);
  assert_true(works(shim));
  assert_int_equal(shim.v2->C_Finalize(nullptr), CKR_OK);
}

void forked_child_starts_anew_when_configured_so(void**) {
  const Shim shim = load_shim();
  configure("fork = \"strict\"");
  assert_int_equal(shim.v2->C_Initialize(nullptr), CKR_OK);
  assert_int_equal(in_child([&] {
                     CK_INFO info{};
                     expect(shim.v2->C_GetInfo(&info) == CKR_CRYPTOKI_NOT_INITIALIZED, "the child starts anew");
                     expect(lives(shim), "and can initialise");
                   }),
                   0);
  assert_true(works(shim));
  assert_int_equal(shim.v2->C_Finalize(nullptr), CKR_OK);
  configure("");
}

void grandchildren_work_too(void**) {
  const Shim shim = load_shim();
  assert_int_equal(shim.v2->C_Initialize(nullptr), CKR_OK);
  assert_int_equal(in_child([&] {
                     expect(in_child([&] { expect(works(shim), "the grandchild"); }) == 0, "its exit");
                     expect(works(shim), "the child");
                   }),
                   0);
  assert_int_equal(shim.v2->C_Finalize(nullptr), CKR_OK);
}

// fork copies the moment at which other threads hold locks.
void forks_in_the_middle_of_calls(void**) {
  assert_int_equal(in_child([] {
                     const Shim shim = load_shim();
                     expect(shim.v2->C_Initialize(nullptr) == CKR_OK, "C_Initialize");
                     std::atomic<bool> stop = false;
                     std::thread busy([&] {
                       while (!stop) works(shim);
                     });
                     for (int i = 0; i < 30; ++i) {
                       expect(in_child([&] { expect(works(shim), "the child"); }) == 0, "its exit");
                     }
                     stop = true;
                     busy.join();
                   }),
                   0);
}

}  // namespace
}  // namespace p11shim

int main() {
  using namespace p11shim;
  const CMUnitTest tests[] = {
      cmocka_unit_test(same_library_twice_is_one),
      cmocka_unit_test(two_copies_live_side_by_side),
      cmocka_unit_test(can_be_loaded_and_unloaded_again_and_again),
      cmocka_unit_test(can_be_unloaded_without_finalize),
      cmocka_unit_test(exit_without_finalize_is_clean),
      cmocka_unit_test(exit_handlers_may_finalize),
      cmocka_unit_test(destructors_may_finalize_after_unloading),
      cmocka_unit_test(exit_does_not_wait_for_calls_of_other_threads),
      cmocka_unit_test(forked_child_is_initialised),
      cmocka_unit_test(forked_child_starts_anew_when_configured_so),
      cmocka_unit_test(grandchildren_work_too),
      cmocka_unit_test(forks_in_the_middle_of_calls),
  };
  return cmocka_run_group_tests(tests, make_private_folder, remove_private_folder);
}
