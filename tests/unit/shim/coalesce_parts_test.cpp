// The same of operations in several parts.
#include "tests/unit/shim/coalesce_fixture.h"

namespace p11shim {
namespace {

TEST_F(Coalesce, AMultiPartOperationTakesItsInitAlongOnce) {
  sign_in_three_calls();
  seen();
  CK_BYTE part[4] = {}, signature[kLength];
  length_ = sizeof signature;
  EXPECT_EQ(init(), CKR_OK);
  EXPECT_EQ(C_SignUpdate(session_, part, sizeof part), CKR_OK);
  EXPECT_EQ(C_SignUpdate(session_, part, sizeof part), CKR_OK);
  EXPECT_EQ(C_SignFinal(session_, signature, &length_), CKR_OK);
  EXPECT_EQ(seen(), (Seen{"C_SignInit+C_SignUpdate 77", "C_SignUpdate", "C_SignFinal"}));
}

// All parts of an operation, as they arrived.
TEST_F(Coalesce, SmallPartsAreGathered) {
  std::mutex mutex;
  std::string parts;
  proxyd_.on(number_of<&F::C_SignUpdate>(), [&](const Request& request) {
    In in(request.body);
    const auto part = in.bin();
    const std::lock_guard lock(mutex);
    parts.append(part.begin(), part.end());
    return note(request, {});
  });
  EXPECT_EQ(init(kKey, CKM_ECDSA_SHA256), CKR_OK);
  std::string all;
  for (int i = 0; i < 1000; ++i) {
    std::string part = "part " + std::to_string(10000 + i);
    all += part;
    EXPECT_EQ(C_SignUpdate(session_, reinterpret_cast<CK_BYTE_PTR>(part.data()), part.size()), CKR_OK);
  }
  CK_BYTE signature[kLength];
  length_ = sizeof signature;
  EXPECT_EQ(C_SignFinal(session_, signature, &length_), CKR_OK);
  EXPECT_EQ(seen(), (Seen{"C_SignInit 77", "C_SignUpdate", "C_SignUpdate", "C_SignFinal"}));
  EXPECT_EQ(parts, all);
}

TEST_F(Coalesce, WhatWasGatheredGoesBeforeWhatComesNext) {
  EXPECT_EQ(init(kKey, CKM_ECDSA_SHA256), CKR_OK);
  CK_BYTE part[4] = {};
  for (int i = 0; i < 3; ++i) EXPECT_EQ(C_SignUpdate(session_, part, sizeof part), CKR_OK);
  EXPECT_EQ(random(session_), CKR_OK);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(C_SignUpdate(session_, part, sizeof part), CKR_OK);
  EXPECT_EQ(C_DestroyObject(session_, 5), CKR_OK);
  EXPECT_EQ(seen(), (Seen{"C_SignInit 77", "C_SignUpdate", "C_SignUpdate", "C_SignUpdate", "C_DestroyObject 5"}));
}

TEST_F(Coalesce, WhatWasGatheredInOtherSessionsGoesBeforeALogout) {
  const CK_SESSION_HANDLE other = open_session();
  CK_BYTE part[4] = {};
  EXPECT_EQ(init(kKey, CKM_ECDSA_SHA256), CKR_OK);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(C_SignUpdate(session_, part, sizeof part), CKR_OK);
  seen();
  EXPECT_EQ(C_Logout(other), CKR_OK);
  EXPECT_EQ(seen(), (Seen{"C_SignUpdate", "C_Logout"}));
}

TEST_F(Coalesce, AnOperationThatWasCancelledIsNotInDoubt) {
  proxyd_.on(number_of<&F::C_SessionCancel>(), [](const Request&) { return FakeProxyd::Answer{}; });
  sign_in_three_calls();
  EXPECT_EQ(init(), CKR_OK);
  EXPECT_EQ(C_SessionCancel(session_, CKF_SIGN), CKR_OK);
  seen();
  sign_in_three_calls();
  EXPECT_EQ(seen(), (Seen{"C_SignInit+C_Sign 77"}));
}

TEST_F(Coalesce, PartsThatFailLateGiveTheirCode) {
  EXPECT_EQ(init(kKey, CKM_ECDSA_SHA256), CKR_OK);
  CK_BYTE part[4] = {}, signature[kLength];
  EXPECT_EQ(C_SignUpdate(session_, part, sizeof part), CKR_OK);
  proxyd_.on(number_of<&F::C_SignUpdate>(),
             [](const Request&) { return FakeProxyd::Answer{.rv = CKR_DEVICE_REMOVED}; });
  EXPECT_EQ(C_SignUpdate(session_, part, sizeof part), CKR_OK);
  length_ = sizeof signature;
  EXPECT_EQ(C_SignFinal(session_, signature, &length_), CKR_DEVICE_REMOVED);
}

TEST_F(Coalesce, PartsOfWhatLooksAtThemTravelOneByOne) {
  EXPECT_EQ(init(), CKR_OK);
  CK_BYTE part[4] = {};
  for (int i = 0; i < 2; ++i) EXPECT_EQ(C_SignUpdate(session_, part, sizeof part), CKR_OK);
  EXPECT_EQ(seen(), (Seen{"C_SignInit 77", "C_SignUpdate", "C_SignUpdate"}));
}

}  // namespace
}  // namespace p11shim
