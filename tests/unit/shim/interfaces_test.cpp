// Function lists and interfaces (3.0 §5.4), all of them before C_Initialize.
#include <gtest/gtest.h>

#include <dlfcn.h>

#include <cstring>

#include "calls/table.h"

namespace p11shim {
namespace {

CK_UTF8CHAR kName[] = "PKCS 11";

CK_INTERFACE_PTR interface_of(CK_UTF8CHAR_PTR name, CK_VERSION_PTR version, CK_FLAGS flags, CK_RV expected = CKR_OK) {
  CK_INTERFACE_PTR interface = nullptr;
  EXPECT_EQ(C_GetInterface(name, version, &interface, flags), expected);
  return interface;
}
CK_VERSION version_of(CK_INTERFACE_PTR interface) { return *static_cast<CK_VERSION*>(interface->pFunctionList); }

TEST(Interfaces, TheFunctionListIs240) {
  CK_FUNCTION_LIST_PTR list = nullptr;
  ASSERT_EQ(C_GetFunctionList(&list), CKR_OK);
  EXPECT_EQ(list->version.major, 2);
  EXPECT_EQ(list->version.minor, 40);
  EXPECT_EQ(C_GetFunctionList(nullptr), CKR_ARGUMENTS_BAD);
}

TEST(Interfaces, FunctionListsHoldTheExportedFunctions) {
  CK_FUNCTION_LIST_PTR list = nullptr;
  ASSERT_EQ(C_GetFunctionList(&list), CKR_OK);
  CK_VERSION version{3, 0};
  const auto& list30 = *static_cast<CK_FUNCTION_LIST_3_0*>(interface_of(kName, &version, 0)->pFunctionList);
  void* library = dlopen("libpkcs11-shim.so", RTLD_NOW | RTLD_NOLOAD);
  ASSERT_NE(library, nullptr) << dlerror();
  for_each_call([&]<class C>() {
    const auto exported = dlsym(library, C::name.data());
    EXPECT_EQ(reinterpret_cast<void*>(list30.*C::member), exported) << C::name;
    if (C::number >= kFirst30Call) return;
    // A 2.40 list begins like a 3.0 list.
    const auto offset = reinterpret_cast<const char*>(&(list30.*C::member)) - reinterpret_cast<const char*>(&list30);
    EXPECT_EQ(*reinterpret_cast<void**>(reinterpret_cast<char*>(list) + offset), exported) << C::name;
  });
  dlclose(library);
}

TEST(Interfaces, TheListHasBothAndTheNewestFirst) {
  CK_ULONG count = 0;
  ASSERT_EQ(C_GetInterfaceList(nullptr, &count), CKR_OK);
  ASSERT_EQ(count, 2u);
  CK_INTERFACE list[2];
  count = 1;
  EXPECT_EQ(C_GetInterfaceList(list, &count), CKR_BUFFER_TOO_SMALL);
  EXPECT_EQ(count, 2u);
  ASSERT_EQ(C_GetInterfaceList(list, &count), CKR_OK);
  for (CK_INTERFACE& interface : list) EXPECT_STREQ(reinterpret_cast<char*>(interface.pInterfaceName), "PKCS 11");
  EXPECT_EQ(version_of(&list[0]).major, 3);
  EXPECT_EQ(version_of(&list[1]).major, 2);
  EXPECT_EQ(C_GetInterfaceList(list, nullptr), CKR_ARGUMENTS_BAD);
}

TEST(Interfaces, AreChosenByNameVersionAndFlags) {
  EXPECT_EQ(version_of(interface_of(nullptr, nullptr, 0)).major, 3) << "who does not choose gets the newest";
  EXPECT_EQ(version_of(interface_of(kName, nullptr, 0)).major, 3);
  CK_VERSION version{2, 40};
  EXPECT_EQ(version_of(interface_of(nullptr, &version, 0)).major, 2);
  CK_FUNCTION_LIST_PTR list = nullptr;
  ASSERT_EQ(C_GetFunctionList(&list), CKR_OK);
  EXPECT_EQ(interface_of(kName, &version, 0)->pFunctionList, list);

  CK_VERSION unknown{2, 20};
  CK_UTF8CHAR vendor[] = "Vendor NSS Module Interface";
  EXPECT_EQ(interface_of(nullptr, &unknown, 0, CKR_ARGUMENTS_BAD), nullptr);
  EXPECT_EQ(interface_of(vendor, nullptr, 0, CKR_ARGUMENTS_BAD), nullptr);
  EXPECT_EQ(interface_of(kName, nullptr, CKF_INTERFACE_FORK_SAFE, CKR_ARGUMENTS_BAD), nullptr);
  EXPECT_EQ(C_GetInterface(nullptr, nullptr, nullptr, 0), CKR_ARGUMENTS_BAD);
}

}  // namespace
}  // namespace p11shim
