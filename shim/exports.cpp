// The exported functions, and nothing else: each hands its arguments on to where the table says. A C function
// needs its parameters written out, so they are listed by their number; the types come from the standard's
// prototypes, against which the compiler checks every line. A function that is missing here is missing in the
// function lists, which do not link without it.
#pragma GCC visibility push(default)
#include <pkcs11.h>
#pragma GCC visibility pop

#include "shim/forward.h"
#include "shim/local_calls.h"

namespace p11shim {
namespace {

template <class Prototype, std::size_t N>
struct ParameterOf;
template <class... C, std::size_t N>
struct ParameterOf<CK_RV(C...), N> {
  using type = std::tuple_element_t<N, std::tuple<C...>>;
};

template <std::uint32_t Number, class... C>
struct CallOf;
template <std::uint32_t Number, class First, class... Rest>
struct CallOf<Number, Types<First, Rest...>>
    : std::conditional_t<First::number == Number, std::type_identity<First>, CallOf<Number, Types<Rest...>>> {};

template <auto Member>
using CallBy = typename CallOf<number_of<Member>(), Calls>::type;

}  // namespace
}  // namespace p11shim

#define P11_TYPE(name, n) p11shim::ParameterOf<decltype(name), n>::type
#define P11_1(name) P11_TYPE(name, 0) a
#define P11_2(name) P11_1(name), P11_TYPE(name, 1) b
#define P11_3(name) P11_2(name), P11_TYPE(name, 2) c
#define P11_4(name) P11_3(name), P11_TYPE(name, 3) d
#define P11_5(name) P11_4(name), P11_TYPE(name, 4) e
#define P11_6(name) P11_5(name), P11_TYPE(name, 5) f
#define P11_7(name) P11_6(name), P11_TYPE(name, 6) g
#define P11_8(name) P11_7(name), P11_TYPE(name, 7) h
#define P11_9(name) P11_8(name), P11_TYPE(name, 8) i
#define P11_FORWARD(name, parameters, ...) \
  CK_RV name(parameters(name)) { return p11shim::forward<p11shim::CallBy<&CK_FUNCTION_LIST_3_0::name>>(__VA_ARGS__); }
#define P11_FORWARD_1(name) P11_FORWARD(name, P11_1, a)
#define P11_FORWARD_2(name) P11_FORWARD(name, P11_2, a, b)
#define P11_FORWARD_3(name) P11_FORWARD(name, P11_3, a, b, c)
#define P11_FORWARD_4(name) P11_FORWARD(name, P11_4, a, b, c, d)
#define P11_FORWARD_5(name) P11_FORWARD(name, P11_5, a, b, c, d, e)
#define P11_FORWARD_6(name) P11_FORWARD(name, P11_6, a, b, c, d, e, f)
#define P11_FORWARD_7(name) P11_FORWARD(name, P11_7, a, b, c, d, e, f, g)
#define P11_FORWARD_8(name) P11_FORWARD(name, P11_8, a, b, c, d, e, f, g, h)
#define P11_FORWARD_9(name) P11_FORWARD(name, P11_9, a, b, c, d, e, f, g, h, i)

extern "C" {

CK_RV C_Initialize(CK_VOID_PTR pInitArgs) { return p11shim::initialize(pInitArgs); }
CK_RV C_Finalize(CK_VOID_PTR pReserved) { return p11shim::finalize(pReserved); }
CK_RV C_GetInfo(CK_INFO_PTR pInfo) { return p11shim::get_info(pInfo); }
CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR ppFunctionList) { return p11shim::get_function_list(ppFunctionList); }
CK_RV C_WaitForSlotEvent(CK_FLAGS flags, CK_SLOT_ID_PTR pSlot, CK_VOID_PTR pReserved) {
  return p11shim::wait_for_slot_event(flags, pSlot, pReserved, &C_GetSlotList);
}
CK_RV C_GetInterfaceList(CK_INTERFACE_PTR pInterfacesList, CK_ULONG_PTR pulCount) {
  return p11shim::get_interface_list(pInterfacesList, pulCount);
}
CK_RV C_GetInterface(CK_UTF8CHAR_PTR pInterfaceName, CK_VERSION_PTR pVersion, CK_INTERFACE_PTR_PTR ppInterface,
                     CK_FLAGS flags) {
  return p11shim::get_interface(pInterfaceName, pVersion, ppInterface, flags);
}

P11_FORWARD_3(C_GetSlotList)
P11_FORWARD_2(C_GetSlotInfo)
P11_FORWARD_2(C_GetTokenInfo)
P11_FORWARD_3(C_GetMechanismList)
P11_FORWARD_3(C_GetMechanismInfo)
P11_FORWARD_4(C_InitToken)
P11_FORWARD_3(C_InitPIN)
P11_FORWARD_5(C_SetPIN)
P11_FORWARD_5(C_OpenSession)
P11_FORWARD_1(C_CloseSession)
P11_FORWARD_1(C_CloseAllSessions)
P11_FORWARD_2(C_GetSessionInfo)
P11_FORWARD_3(C_GetOperationState)
P11_FORWARD_5(C_SetOperationState)
P11_FORWARD_4(C_Login)
P11_FORWARD_1(C_Logout)
P11_FORWARD_4(C_CreateObject)
P11_FORWARD_5(C_CopyObject)
P11_FORWARD_2(C_DestroyObject)
P11_FORWARD_3(C_GetObjectSize)
P11_FORWARD_4(C_GetAttributeValue)
P11_FORWARD_4(C_SetAttributeValue)
P11_FORWARD_3(C_FindObjectsInit)
P11_FORWARD_4(C_FindObjects)
P11_FORWARD_1(C_FindObjectsFinal)
P11_FORWARD_3(C_EncryptInit)
P11_FORWARD_5(C_Encrypt)
P11_FORWARD_5(C_EncryptUpdate)
P11_FORWARD_3(C_EncryptFinal)
P11_FORWARD_3(C_DecryptInit)
P11_FORWARD_5(C_Decrypt)
P11_FORWARD_5(C_DecryptUpdate)
P11_FORWARD_3(C_DecryptFinal)
P11_FORWARD_2(C_DigestInit)
P11_FORWARD_5(C_Digest)
P11_FORWARD_3(C_DigestUpdate)
P11_FORWARD_2(C_DigestKey)
P11_FORWARD_3(C_DigestFinal)
P11_FORWARD_3(C_SignInit)
P11_FORWARD_5(C_Sign)
P11_FORWARD_3(C_SignUpdate)
P11_FORWARD_3(C_SignFinal)
P11_FORWARD_3(C_SignRecoverInit)
P11_FORWARD_5(C_SignRecover)
P11_FORWARD_3(C_VerifyInit)
P11_FORWARD_5(C_Verify)
P11_FORWARD_3(C_VerifyUpdate)
P11_FORWARD_3(C_VerifyFinal)
P11_FORWARD_3(C_VerifyRecoverInit)
P11_FORWARD_5(C_VerifyRecover)
P11_FORWARD_5(C_DigestEncryptUpdate)
P11_FORWARD_5(C_DecryptDigestUpdate)
P11_FORWARD_5(C_SignEncryptUpdate)
P11_FORWARD_5(C_DecryptVerifyUpdate)
P11_FORWARD_5(C_GenerateKey)
P11_FORWARD_8(C_GenerateKeyPair)
P11_FORWARD_6(C_WrapKey)
P11_FORWARD_8(C_UnwrapKey)
P11_FORWARD_6(C_DeriveKey)
P11_FORWARD_3(C_SeedRandom)
P11_FORWARD_3(C_GenerateRandom)
P11_FORWARD_1(C_GetFunctionStatus)
P11_FORWARD_1(C_CancelFunction)
P11_FORWARD_6(C_LoginUser)
P11_FORWARD_2(C_SessionCancel)
P11_FORWARD_3(C_MessageEncryptInit)
P11_FORWARD_9(C_EncryptMessage)
P11_FORWARD_5(C_EncryptMessageBegin)
P11_FORWARD_8(C_EncryptMessageNext)
P11_FORWARD_1(C_MessageEncryptFinal)
P11_FORWARD_3(C_MessageDecryptInit)
P11_FORWARD_9(C_DecryptMessage)
P11_FORWARD_5(C_DecryptMessageBegin)
P11_FORWARD_8(C_DecryptMessageNext)
P11_FORWARD_1(C_MessageDecryptFinal)
P11_FORWARD_3(C_MessageSignInit)
P11_FORWARD_7(C_SignMessage)
P11_FORWARD_3(C_SignMessageBegin)
P11_FORWARD_7(C_SignMessageNext)
P11_FORWARD_1(C_MessageSignFinal)
P11_FORWARD_3(C_MessageVerifyInit)
P11_FORWARD_7(C_VerifyMessage)
P11_FORWARD_3(C_VerifyMessageBegin)
P11_FORWARD_7(C_VerifyMessageNext)
P11_FORWARD_1(C_MessageVerifyFinal)

}  // extern "C"
#undef P11_FORWARD_1
#undef P11_FORWARD_2
#undef P11_FORWARD_3
#undef P11_FORWARD_4
#undef P11_FORWARD_5
#undef P11_FORWARD_6
#undef P11_FORWARD_7
#undef P11_FORWARD_8
#undef P11_FORWARD_9
#undef P11_1
#undef P11_2
#undef P11_3
#undef P11_4
#undef P11_5
#undef P11_6
#undef P11_7
#undef P11_8
#undef P11_9
#undef P11_FORWARD
#undef P11_TYPE
