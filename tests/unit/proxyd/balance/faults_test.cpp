#include "proxyd/balance/faults.h"
#include "tests/places.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

namespace p11shim {
namespace {

using List = CK_FUNCTION_LIST_3_0;

Recourse of(std::uint32_t call, Reached reached) { return recourse(*call_info(call), reached); }

TEST(Faults, WhatMakesOrChangesIsNeverRepeatedBlindly) {
  for (const CallInfo& call : kCallInfos) {
    const Objects objects = call.policy.objects;
    if (objects != Objects::creates && objects != Objects::destroys && objects != Objects::changes) continue;
    EXPECT_EQ(recourse(call, Reached::unknown), Recourse::none) << call.name;
    EXPECT_EQ(recourse(call, Reached::answer), Recourse::none) << call.name;
    EXPECT_EQ(recourse(call, Reached::nothing), Recourse::repeat) << call.name;
  }
}

TEST(Faults, OperationsAreReplayed) {
  EXPECT_EQ(of(number_of<&List::C_SignInit>(), Reached::unknown), Recourse::repeat);
  EXPECT_EQ(of(number_of<&List::C_Sign>(), Reached::unknown), Recourse::replay);
  EXPECT_EQ(of(number_of<&List::C_DigestUpdate>(), Reached::answer), Recourse::replay);
  EXPECT_EQ(of(number_of<&List::C_EncryptMessage>(), Reached::unknown), Recourse::none);
  EXPECT_EQ(of(number_of<&List::C_SessionCancel>(), Reached::unknown), Recourse::none);
}

TEST(Faults, KeysThatEachUseChangesAreNeverShared) {
  for (const CK_MECHANISM_TYPE mechanism : {CKM_HSS, CKM_XMSS, CKM_XMSSMT, CKM_HOTP, CKM_SECURID, CKM_ACTI})
    EXPECT_TRUE(is_stateful(mechanism)) << mechanism;
  for (const CK_KEY_TYPE type : {CKK_HSS, CKK_XMSS, CKK_XMSSMT, CKK_HOTP, CKK_SECURID, CKK_ACTI})
    EXPECT_TRUE(is_stateful_key(type)) << type;
  for (const CK_MECHANISM_TYPE mechanism : {CKM_ECDSA, CKM_RSA_PKCS, CKM_AES_GCM})
    EXPECT_FALSE(is_stateful(mechanism)) << mechanism;
  EXPECT_FALSE(is_stateful_key(CKK_EC));
}

TEST(Faults, CallersFaultsNeverCount) {
  for (const CK_RV rv :
       {CKR_OK, CKR_PIN_INCORRECT, CKR_ARGUMENTS_BAD, CKR_DATA_INVALID, CKR_BUFFER_TOO_SMALL, CKR_SIGNATURE_INVALID,
        CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_MECHANISM_INVALID, CKR_OPERATION_NOT_INITIALIZED})
    EXPECT_EQ(blame_of(rv), Blame::nobody) << rv;
  for (const CK_RV rv : {CKR_DEVICE_ERROR, CKR_DEVICE_REMOVED, CKR_TOKEN_NOT_PRESENT})
    EXPECT_EQ(blame_of(rv), Blame::member) << rv;
  for (const CK_RV rv : {CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED, CKR_DEVICE_MEMORY})
    EXPECT_EQ(blame_of(rv), Blame::suspect) << rv;
}

TEST(Faults, TheDocumentHasTheTable) {
  std::ifstream file(source_dir() + "/docs/pools.md");
  const std::string document{std::istreambuf_iterator<char>(file), {}};
  const std::string from = "<!-- written by fault_table() -->\n";
  const std::string to = "<!-- end -->\n";
  const std::size_t start = document.find(from);
  const std::size_t end = document.find(to);
  ASSERT_NE(start, std::string::npos);
  ASSERT_NE(end, std::string::npos);
  EXPECT_EQ(document.substr(start + from.size(), end - start - from.size()), fault_table());
}

}  // namespace
}  // namespace p11shim
