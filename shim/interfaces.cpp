// The function lists, made of the exported functions themselves, and the choice between them. All constant:
// they are there before any code of ours runs and stay until the process ends.
#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

#include "shim/local_calls.h"

namespace p11shim {
namespace {

#define CK_PKCS11_FUNCTION_INFO(name) &::name,
#define CK_PKCS11_3_0 1
constexpr CK_FUNCTION_LIST_3_0 kFunctions30{
    {3, 0},
#include <pkcs11f.h>
};
#undef CK_PKCS11_3_0
constexpr CK_FUNCTION_LIST kFunctions240{
    {2, 40},
#include <pkcs11f.h>
};
#undef CK_PKCS11_FUNCTION_INFO

constexpr CK_UTF8CHAR kName[] = "PKCS 11";  // of every interface of the standard

// The newest first: it is what an application gets that does not choose. CKF_INTERFACE_FORK_SAFE is not
// claimed: a child gets copies of sessions and logins, but not of operations in progress.
constinit CK_INTERFACE kInterfaces[] = {
    {const_cast<CK_UTF8CHAR_PTR>(kName), const_cast<CK_FUNCTION_LIST_3_0*>(&kFunctions30), 0},
    {const_cast<CK_UTF8CHAR_PTR>(kName), const_cast<CK_FUNCTION_LIST*>(&kFunctions240), 0},
};

std::string_view text(const CK_UTF8CHAR* zero_terminated) { return reinterpret_cast<const char*>(zero_terminated); }

// Every function list begins with its version.
CK_VERSION version_of(const CK_INTERFACE& interface) {
  return *static_cast<const CK_VERSION*>(interface.pFunctionList);
}

}  // namespace

CK_RV get_function_list(CK_FUNCTION_LIST_PTR_PTR ppFunctionList) noexcept {
  if (ppFunctionList == nullptr) return CKR_ARGUMENTS_BAD;
  *ppFunctionList = const_cast<CK_FUNCTION_LIST*>(&kFunctions240);
  return CKR_OK;
}

CK_RV get_interface_list(CK_INTERFACE_PTR pInterfacesList, CK_ULONG_PTR pulCount) noexcept {
  if (pulCount == nullptr) return CKR_ARGUMENTS_BAD;
  const CK_ULONG room = std::exchange(*pulCount, std::size(kInterfaces));
  if (pInterfacesList == nullptr) return CKR_OK;
  if (room < std::size(kInterfaces)) return CKR_BUFFER_TOO_SMALL;
  std::copy(std::begin(kInterfaces), std::end(kInterfaces), pInterfacesList);
  return CKR_OK;
}

// An interface that does not exist is CKR_ARGUMENTS_BAD, as NSS and OpenSC answer; the standard names no
// code.
CK_RV get_interface(CK_UTF8CHAR_PTR pInterfaceName, CK_VERSION_PTR pVersion, CK_INTERFACE_PTR_PTR ppInterface,
                    CK_FLAGS flags) noexcept {
  if (ppInterface == nullptr) return CKR_ARGUMENTS_BAD;
  for (CK_INTERFACE& interface : kInterfaces) {
    const CK_VERSION version = version_of(interface);
    if (pInterfaceName != nullptr && text(pInterfaceName) != text(kName)) continue;
    if (pVersion != nullptr && (pVersion->major != version.major || pVersion->minor != version.minor)) continue;
    if ((interface.flags & flags) != flags) continue;
    *ppInterface = &interface;
    return CKR_OK;
  }
  return CKR_ARGUMENTS_BAD;
}

}  // namespace p11shim
