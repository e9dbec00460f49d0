// Function lists and interfaces: what is offered, by which rules it is chosen, and that it is the exported
// functions.
#include <array>
#include <cstring>

#include "shim.h"

#define CK_PKCS11_3_0 1

namespace p11shim {
namespace {

CK_UTF8CHAR standard_name[] = "PKCS 11";

CK_RV get_interface(const Shim& shim, CK_UTF8CHAR* name, CK_VERSION* version, CK_INTERFACE** interface,
                    CK_FLAGS flags = 0) {
  return reinterpret_cast<CK_C_GetInterface>(shim.symbol("C_GetInterface"))(name, version, interface, flags);
}

CK_RV get_interface_list(const Shim& shim, CK_INTERFACE* list, CK_ULONG* count) {
  return reinterpret_cast<CK_C_GetInterfaceList>(shim.symbol("C_GetInterfaceList"))(list, count);
}

void function_list_is_always_2_40(void**) {
  const Shim shim = load_shim();
  assert_int_equal(shim.v2->version.major, 2);
  assert_int_equal(shim.v2->version.minor, 40);
  CK_FUNCTION_LIST* again = nullptr;
  assert_int_equal(shim.v2->C_GetFunctionList(&again), CKR_OK);
  assert_ptr_equal(again, shim.v2);
  assert_int_equal(shim.v2->C_GetFunctionList(nullptr), CKR_ARGUMENTS_BAD);
}

void lists_hold_the_exported_functions(void**) {
  const Shim shim = load_shim();
  assert_int_equal(shim.v3->version.major, 3);
#define CK_PKCS11_FUNCTION_INFO(name) assert_ptr_equal(reinterpret_cast<void*>(shim.v3->name), shim.symbol(#name));
#include <pkcs11f.h>
#undef CK_PKCS11_FUNCTION_INFO
#define CK_PKCS11_2_0_ONLY 1
#define CK_PKCS11_FUNCTION_INFO(name) assert_ptr_equal(reinterpret_cast<void*>(shim.v2->name), shim.symbol(#name));
#include <pkcs11f.h>
#undef CK_PKCS11_FUNCTION_INFO
#undef CK_PKCS11_2_0_ONLY
}

void interface_list_follows_the_two_call_convention(void**) {
  const Shim shim = load_shim();
  assert_int_equal(get_interface_list(shim, nullptr, nullptr), CKR_ARGUMENTS_BAD);
  CK_ULONG count = 0;
  assert_int_equal(get_interface_list(shim, nullptr, &count), CKR_OK);
  assert_true(count >= 2);

  std::array<CK_INTERFACE, 8> list{};
  CK_ULONG room = count - 1;
  assert_int_equal(get_interface_list(shim, list.data(), &room), CKR_BUFFER_TOO_SMALL);
  assert_int_equal(room, count);
  assert_null(list[0].pFunctionList);

  room = list.size();
  assert_int_equal(get_interface_list(shim, list.data(), &room), CKR_OK);
  assert_int_equal(room, count);
  for (CK_ULONG i = 0; i < count; ++i) {
    assert_non_null(list[i].pInterfaceName);
    assert_non_null(list[i].pFunctionList);
  }
}

void every_listed_interface_can_be_had_by_name_and_version(void**) {
  const Shim shim = load_shim();
  std::array<CK_INTERFACE, 8> list{};
  CK_ULONG count = list.size();
  assert_int_equal(get_interface_list(shim, list.data(), &count), CKR_OK);
  for (CK_ULONG i = 0; i < count; ++i) {
    CK_VERSION version = *static_cast<const CK_VERSION*>(list[i].pFunctionList);
    CK_INTERFACE* interface = nullptr;
    assert_int_equal(get_interface(shim, list[i].pInterfaceName, &version, &interface), CKR_OK);
    assert_ptr_equal(interface->pFunctionList, list[i].pFunctionList);
  }
}

void default_interface_is_the_newest_of_the_standard(void**) {
  const Shim shim = load_shim();
  CK_INTERFACE* by_default = nullptr;
  CK_INTERFACE* by_name = nullptr;
  assert_int_equal(get_interface(shim, nullptr, nullptr, &by_default), CKR_OK);
  assert_int_equal(get_interface(shim, standard_name, nullptr, &by_name), CKR_OK);
  assert_ptr_equal(by_default->pFunctionList, by_name->pFunctionList);
  assert_string_equal(reinterpret_cast<const char*>(by_default->pInterfaceName), "PKCS 11");
  assert_int_equal(static_cast<CK_VERSION*>(by_default->pFunctionList)->major, 3);
}

void version_2_40_is_the_function_list(void**) {
  const Shim shim = load_shim();
  CK_VERSION version{2, 40};
  CK_INTERFACE* interface = nullptr;
  assert_int_equal(get_interface(shim, standard_name, &version, &interface), CKR_OK);
  assert_ptr_equal(interface->pFunctionList, shim.v2);
}

void unknown_interfaces_are_refused(void**) {
  const Shim shim = load_shim();
  CK_UTF8CHAR other_name[] = "Vendor nobody";
  CK_VERSION other_version{9, 9};
  CK_INTERFACE untouched{};
  CK_INTERFACE* interface = &untouched;
  assert_int_not_equal(get_interface(shim, other_name, nullptr, &interface), CKR_OK);
  assert_int_not_equal(get_interface(shim, standard_name, &other_version, &interface), CKR_OK);
  assert_int_not_equal(get_interface(shim, nullptr, nullptr, &interface, CK_FLAGS{1} << 30), CKR_OK);
  assert_ptr_equal(interface, &untouched);
  assert_int_equal(get_interface(shim, nullptr, nullptr, nullptr), CKR_ARGUMENTS_BAD);
}

}  // namespace
}  // namespace p11shim

int main() {
  using namespace p11shim;
  const CMUnitTest tests[] = {
      cmocka_unit_test(function_list_is_always_2_40),
      cmocka_unit_test(lists_hold_the_exported_functions),
      cmocka_unit_test(interface_list_follows_the_two_call_convention),
      cmocka_unit_test(every_listed_interface_can_be_had_by_name_and_version),
      cmocka_unit_test(default_interface_is_the_newest_of_the_standard),
      cmocka_unit_test(version_2_40_is_the_function_list),
      cmocka_unit_test(unknown_interfaces_are_refused),
  };
  return cmocka_run_group_tests(tests, make_private_folder, remove_private_folder);
}
