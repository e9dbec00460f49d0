// C_Initialize and C_Finalize: arguments of every kind, order, and threads that race.
#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "shim.h"

#define CK_PKCS11_3_0 1

namespace p11shim {
namespace {

CK_RV create_mutex(CK_VOID_PTR* mutex) {
  *mutex = nullptr;
  return CKR_OK;
}
CK_RV use_mutex(CK_VOID_PTR) { return CKR_OK; }

// Bit by bit which callbacks are given; flags as they are.
CK_STANDARD_INITIALIZE_ARGS arguments(unsigned callbacks, CK_FLAGS flags) {
  return {(callbacks & 1) != 0 ? create_mutex : nullptr,
          (callbacks & 2) != 0 ? use_mutex : nullptr,
          (callbacks & 4) != 0 ? use_mutex : nullptr,
          (callbacks & 8) != 0 ? use_mutex : nullptr,
          flags,
          nullptr};
}

void accepts_every_legal_argument(void**) {
  const Shim shim = load_shim();
  assert_int_equal(shim.v2->C_Initialize(nullptr), CKR_OK);
  assert_int_equal(shim.v2->C_Finalize(nullptr), CKR_OK);
  for (const unsigned callbacks : {0U, 15U}) {
    for (CK_FLAGS flags = 0; flags <= (CKF_LIBRARY_CANT_CREATE_OS_THREADS | CKF_OS_LOCKING_OK); ++flags) {
      CK_STANDARD_INITIALIZE_ARGS legal = arguments(callbacks, flags);
      assert_int_equal(shim.v2->C_Initialize(&legal), CKR_OK);
      assert_int_equal(shim.v2->C_Finalize(nullptr), CKR_OK);
    }
  }
}

void refuses_incomplete_callbacks(void**) {
  const Shim shim = load_shim();
  for (unsigned callbacks = 1; callbacks < 15; ++callbacks) {
    for (const CK_FLAGS flags : {CK_FLAGS{0}, CK_FLAGS{CKF_OS_LOCKING_OK}}) {
      CK_STANDARD_INITIALIZE_ARGS illegal = arguments(callbacks, flags);
      assert_int_equal(shim.v2->C_Initialize(&illegal), CKR_ARGUMENTS_BAD);
    }
  }
  CK_INFO info{};
  assert_int_equal(shim.v2->C_GetInfo(&info), CKR_CRYPTOKI_NOT_INITIALIZED);
}

void refuses_reserved_arguments(void**) {
  const Shim shim = load_shim();
  int anything = 0;
  CK_STANDARD_INITIALIZE_ARGS illegal = arguments(0, CKF_OS_LOCKING_OK);
  illegal.pReserved = &anything;
  assert_int_equal(shim.v2->C_Initialize(&illegal), CKR_ARGUMENTS_BAD);
  assert_int_equal(shim.v2->C_Initialize(nullptr), CKR_OK);
  assert_int_equal(shim.v2->C_Finalize(&anything), CKR_ARGUMENTS_BAD);
  assert_int_equal(shim.v2->C_Finalize(nullptr), CKR_OK);
}

void keeps_the_order(void**) {
  const Shim shim = load_shim();
  assert_int_equal(shim.v2->C_Finalize(nullptr), CKR_CRYPTOKI_NOT_INITIALIZED);
  assert_int_equal(shim.v2->C_Initialize(nullptr), CKR_OK);
  assert_int_equal(shim.v2->C_Initialize(nullptr), CKR_CRYPTOKI_ALREADY_INITIALIZED);
  assert_int_equal(shim.v2->C_Finalize(nullptr), CKR_OK);
  assert_int_equal(shim.v2->C_Finalize(nullptr), CKR_CRYPTOKI_NOT_INITIALIZED);
}

bool works_uninitialised(const std::string& name) {
  return name == "C_Initialize" || name == "C_GetFunctionList" || name.starts_with("C_GetInterface");
}

void everything_else_needs_initialisation(void**) {
  const Shim shim = load_shim();
  for (int round = 0; round < 2; ++round) {
#define CK_PKCS11_FUNCTION_INFO(name) \
  if (!works_uninitialised(#name)) assert_int_equal(call_with_nothing(shim.v3->name), CKR_CRYPTOKI_NOT_INITIALIZED);
#include <pkcs11f.h>
#undef CK_PKCS11_FUNCTION_INFO
    // The same once it has been initialised and is no more.
    if (round == 0) assert_int_equal(shim.v2->C_Initialize(nullptr), CKR_OK);
    if (round == 0) assert_int_equal(shim.v2->C_Finalize(nullptr), CKR_OK);
  }
}

void threads_may_race(void**) {
  constexpr int kThreads = 8;
  constexpr int kRounds = 200;
  const Shim shim = load_shim();
  std::atomic<int> begun = 0;
  std::atomic<int> ended = 0;
  std::atomic<int> strange = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        const CK_RV first = shim.v2->C_Initialize(nullptr);
        if (first == CKR_OK) ++begun;
        else if (first != CKR_CRYPTOKI_ALREADY_INITIALIZED) ++strange;
        CK_ULONG count = 0;
        const CK_RV listed = shim.v2->C_GetSlotList(CK_TRUE, nullptr, &count);
        if (listed != CKR_OK && listed != CKR_CRYPTOKI_NOT_INITIALIZED) ++strange;
        const CK_RV last = shim.v2->C_Finalize(nullptr);
        if (last == CKR_OK) ++ended;
        else if (last != CKR_CRYPTOKI_NOT_INITIALIZED) ++strange;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  assert_int_equal(strange, 0);
  assert_true(begun > 0);
  assert_int_equal(begun, ended);
  assert_int_equal(shim.v2->C_Finalize(nullptr), CKR_CRYPTOKI_NOT_INITIALIZED);
}

}  // namespace
}  // namespace p11shim

int main() {
  using namespace p11shim;
  const CMUnitTest tests[] = {
      cmocka_unit_test(accepts_every_legal_argument),         cmocka_unit_test(refuses_incomplete_callbacks),
      cmocka_unit_test(refuses_reserved_arguments),           cmocka_unit_test(keeps_the_order),
      cmocka_unit_test(everything_else_needs_initialisation), cmocka_unit_test(threads_may_race),
  };
  return cmocka_run_group_tests(tests, make_private_folder, remove_private_folder);
}
