// Which calls travel, alone or together, and that nobody can tell from the answers.
#include "tests/unit/shim/coalesce_fixture.h"

namespace p11shim {
namespace {

TEST_F(Coalesce, OneMessageForASignatureOfAKindThatHasSucceededBefore) {
  sign_in_three_calls();
  EXPECT_EQ(seen(), (Seen{"C_SignInit 77", "C_Sign", "C_Sign"}));
  for (int i = 0; i < 3; ++i) sign_in_three_calls();
  EXPECT_EQ(seen(), (Seen{"C_SignInit+C_Sign 77", "C_SignInit+C_Sign 77", "C_SignInit+C_Sign 77"}));
}

TEST_F(Coalesce, AnotherKeyIsAskedFor) {
  sign_in_three_calls();
  seen();
  EXPECT_EQ(init(kKey + 1), CKR_OK);
  EXPECT_EQ(seen(), (Seen{"C_SignInit 78"}));
}

TEST_F(Coalesce, TheSameIsKnownInEverySession) {
  sign_in_three_calls();
  session_ = open_session();
  seen();
  sign_in_three_calls();
  EXPECT_EQ(seen(), (Seen{"C_SignInit+C_Sign 77"}));
}

TEST_F(Coalesce, WhatOthersHaveChangedInTheSlotIsAskedForAgain) {
  ASSERT_EQ(C_Finalize(nullptr), CKR_OK);
  GenerationPage& page = proxyd_.share_generations();
  start();
  for (int i = 0; i < 2; ++i) sign_in_three_calls();
  seen();
  ++page.of(6);
  sign_in_three_calls();
  EXPECT_EQ(seen(), (Seen{"C_SignInit+C_Sign 77"})) << "of another slot";
  ++page.of(5);
  refuse(CKR_KEY_FUNCTION_NOT_PERMITTED);
  EXPECT_EQ(init(), CKR_KEY_FUNCTION_NOT_PERMITTED);
  refuse(CKR_OK);
  sign_in_three_calls();
  EXPECT_EQ(seen(), (Seen{"C_SignInit 77", "C_SignInit 77", "C_Sign", "C_Sign"}));
  sign_in_three_calls();
  EXPECT_EQ(seen(), (Seen{"C_SignInit+C_Sign 77"}));
}

TEST_F(Coalesce, ALengthIsAskedForAgainWhenTheSlotHasChangedSinceTheInit) {
  ASSERT_EQ(C_Finalize(nullptr), CKR_OK);
  GenerationPage& page = proxyd_.share_generations();
  start();
  for (int i = 0; i < 2; ++i) sign_in_three_calls();
  seen();
  EXPECT_EQ(init(), CKR_OK);
  ++page.of(5);
  EXPECT_EQ(sign(0, true), CKR_OK);
  EXPECT_EQ(sign(), CKR_OK);
  EXPECT_EQ(seen(), (Seen{"C_SignInit+C_Sign 77", "C_Sign"}));
}

TEST_F(Coalesce, AnIvMayDifferButNotItsLength) {
  EXPECT_EQ(encrypt(1), CKR_OK);
  EXPECT_EQ(encrypt(2), CKR_OK);
  EXPECT_EQ(seen(), (Seen{"C_EncryptInit 77", "C_Encrypt", "C_EncryptInit+C_Encrypt 77"}));
  CK_BYTE iv[8] = {};
  CK_MECHANISM mechanism{CKM_AES_CBC, iv, sizeof iv};
  refuse(CKR_MECHANISM_PARAM_INVALID);
  EXPECT_EQ(C_EncryptInit(session_, &mechanism, kKey), CKR_MECHANISM_PARAM_INVALID);
}

TEST_F(Coalesce, ANonceAadOrLabelMayDifferButNotItsLength) {
  CK_BYTE nonce[12] = {}, text[20] = {};
  const auto encrypt_with = [&](CK_MECHANISM_TYPE type, auto& params) {
    CK_MECHANISM mechanism{type, &params, sizeof params};
    CK_BYTE data[16] = {}, out[kLength];
    CK_ULONG size = sizeof out;
    ++nonce[0], ++text[0];
    EXPECT_EQ(C_EncryptInit(session_, &mechanism, kKey), CKR_OK);
    EXPECT_EQ(C_Encrypt(session_, data, sizeof data, out, &size), CKR_OK);
    return seen();
  };
  const auto check = [&](CK_MECHANISM_TYPE type, auto params, auto number) {
    const Seen alone{"C_EncryptInit 77", "C_Encrypt"}, together{"C_EncryptInit+C_Encrypt 77"};
    EXPECT_EQ(encrypt_with(type, params), alone) << type;
    EXPECT_EQ(encrypt_with(type, params), together) << type;
    --(params.*number);
    EXPECT_EQ(encrypt_with(type, params), alone) << type;
  };
  check(CKM_AES_CCM, CK_CCM_PARAMS{16, nonce, 12, text, 20, 16}, &CK_CCM_PARAMS::ulAADLen);
  check(CKM_AES_CCM, CK_CCM_PARAMS{16, nonce, 11, text, 20, 16}, &CK_CCM_PARAMS::ulMACLen);
  check(CKM_AES_GCM, CK_GCM_PARAMS{nonce, 12, 96, text, 20, 128}, &CK_GCM_PARAMS::ulAADLen);
  check(CKM_AES_GCM, CK_NSS_GCM_PARAMS{nonce, 12, text, 20, 128}, &CK_NSS_GCM_PARAMS::ulIvLen);
  check(CKM_CHACHA20_POLY1305, CK_SALSA20_CHACHA20_POLY1305_PARAMS{nonce, 12, text, 20},
        &CK_SALSA20_CHACHA20_POLY1305_PARAMS::ulNonceLen);
  check(CKM_NSS_CHACHA20_POLY1305, CK_NSS_AEAD_PARAMS{nonce, 12, text, 20, 16}, &CK_NSS_AEAD_PARAMS::ulAADLen);
  check(CKM_RSA_PKCS_OAEP, CK_RSA_PKCS_OAEP_PARAMS{CKM_SHA256, CKG_MGF1_SHA256, CKZ_DATA_SPECIFIED, text, 20},
        &CK_RSA_PKCS_OAEP_PARAMS::ulSourceDataLen);
}

TEST_F(Coalesce, ABufferThatIsTooSmallIsTheModulesToJudge) {
  sign_in_three_calls();
  seen();
  EXPECT_EQ(init(), CKR_OK);
  EXPECT_EQ(sign(1), CKR_BUFFER_TOO_SMALL);
  EXPECT_EQ(length_, kLength);
  EXPECT_EQ(sign(), CKR_OK);
  EXPECT_EQ(seen(), (Seen{"C_SignInit+C_Sign 77", "C_Sign"}));
}

TEST_F(Coalesce, TheLengthOfASignatureInPartsIsAskedForOnce) {
  CK_BYTE part[8] = {}, signature[kLength];
  const auto sign_in_parts = [&] {
    EXPECT_EQ(init(), CKR_OK);
    EXPECT_EQ(C_SignUpdate(session_, part, sizeof part), CKR_OK);
    for (CK_BYTE* place : {static_cast<CK_BYTE*>(nullptr), signature}) {
      length_ = place == nullptr ? 0 : sizeof signature;
      EXPECT_EQ(C_SignFinal(session_, place, &length_), CKR_OK);
      EXPECT_EQ(length_, kLength);
    }
  };
  sign_in_parts();
  EXPECT_EQ(seen(), (Seen{"C_SignInit 77", "C_SignUpdate", "C_SignFinal", "C_SignFinal"}));
  sign_in_parts();
  EXPECT_EQ(seen(), (Seen{"C_SignInit+C_SignUpdate 77", "C_SignFinal"}));
  EXPECT_EQ(C_SignFinal(session_, nullptr, &length_), CKR_OK) << "no operation is active: the module is asked";
  EXPECT_EQ(seen(), (Seen{"C_SignFinal"}));
  EXPECT_EQ(init(), CKR_OK);
  EXPECT_EQ(C_SignUpdate(session_, part, sizeof part), CKR_OK);
  proxyd_.on(number_of<&F::C_SignUpdate>(), [](const Request&) { return FakeProxyd::Answer{.rv = CKR_DEVICE_ERROR}; });
  EXPECT_EQ(C_SignUpdate(session_, part, sizeof part), CKR_DEVICE_ERROR);
  seen();
  EXPECT_EQ(C_SignFinal(session_, nullptr, &length_), CKR_OK);
  EXPECT_EQ(seen(), (Seen{"C_SignFinal"})) << "perhaps there is no operation any more";
}

TEST_F(Coalesce, WhatComesInBetweenSendsWhatWaits) {
  sign_in_three_calls();
  seen();
  EXPECT_EQ(init(), CKR_OK);
  EXPECT_EQ(seen(), Seen{});
  EXPECT_EQ(random(session_), CKR_OK);
  EXPECT_EQ(sign(), CKR_OK);
  EXPECT_EQ(seen(), (Seen{"C_SignInit 77", "C_Sign"}));
}

TEST_F(Coalesce, ASecondInitIsTheModulesToJudge) {
  sign_in_three_calls();
  seen();
  EXPECT_EQ(init(), CKR_OK);
  EXPECT_EQ(init(), CKR_OK);
  EXPECT_EQ(seen(), (Seen{"C_SignInit 77", "C_SignInit 77"}));
}

TEST_F(Coalesce, ALoginOrADestroyedObjectBeginsAnew) {
  sign_in_three_calls();
  EXPECT_EQ(init(), CKR_OK);
  seen();
  EXPECT_EQ(C_DestroyObject(session_, 5), CKR_OK);
  EXPECT_EQ(sign(), CKR_OK);
  EXPECT_EQ(seen(), (Seen{"C_SignInit 77", "C_DestroyObject 5", "C_Sign"}));
  sign_in_three_calls();
  EXPECT_EQ(C_Logout(session_), CKR_OK);
  seen();
  EXPECT_EQ(init(), CKR_OK);
  EXPECT_EQ(seen(), (Seen{"C_SignInit 77"}));
}

TEST_F(Coalesce, AnInitThatFailsLateGivesItsCode) {
  sign_in_three_calls();
  refuse(CKR_KEY_HANDLE_INVALID);
  EXPECT_EQ(init(), CKR_OK);
  EXPECT_EQ(sign(), CKR_KEY_HANDLE_INVALID);
  EXPECT_EQ(init(), CKR_KEY_HANDLE_INVALID) << "and is not believed to succeed any more";
  refuse(CKR_OK);
  sign_in_three_calls();
  refuse(CKR_KEY_HANDLE_INVALID);
  EXPECT_EQ(init(), CKR_OK);
  EXPECT_EQ(random(session_), CKR_OK);
  EXPECT_EQ(sign(), CKR_KEY_HANDLE_INVALID) << "also if it was sent alone";
}

TEST_F(Coalesce, AnOperationInDoubtIsAskedFor) {
  sign_in_three_calls();
  EXPECT_EQ(encrypt(1), CKR_OK);
  proxyd_.on(number_of<&F::C_Encrypt>(), [](const Request&) { return FakeProxyd::Answer{.rv = CKR_DEVICE_ERROR}; });
  EXPECT_EQ(encrypt(1), CKR_DEVICE_ERROR);
  seen();
  sign_in_three_calls();
  EXPECT_EQ(seen(), (Seen{"C_SignInit 77", "C_Sign", "C_Sign"})) << "the module may have kept the encryption";
}

TEST_F(Coalesce, ADestroyedSessionObjectConcernsNoOther) {
  sign_in_three_calls();
  const CK_SESSION_HANDLE other = open_session();
  EXPECT_EQ(init(kSessionKey), CKR_OK);
  EXPECT_EQ(sign(), CKR_OK);
  EXPECT_EQ(init(), CKR_OK);
  seen();
  EXPECT_EQ(C_DestroyObject(other, kSessionKey + 1), CKR_OK);
  EXPECT_EQ(sign(0, true), CKR_OK);
  EXPECT_EQ(sign(), CKR_OK);
  EXPECT_EQ(seen(), (Seen{"C_DestroyObject 8", "C_SignInit+C_Sign 77"}));
  EXPECT_EQ(init(kSessionKey), CKR_OK);
  EXPECT_EQ(seen(), (Seen{"C_SignInit 7"})) << "what names one is asked for again";
  EXPECT_EQ(sign(), CKR_OK);
  EXPECT_EQ(init(kSessionKey), CKR_OK);
  seen();
  EXPECT_EQ(C_DestroyObject(other, kSessionKey), CKR_OK);
  EXPECT_EQ(sign(), CKR_OK);
  EXPECT_EQ(seen(), (Seen{"C_SignInit 7", "C_DestroyObject 7", "C_Sign"})) << "while it surely exists";
}

// As with every module of 2.40.
TEST_F(Coalesce, ACancelThatIsRefusedLeavesNothingInDoubt) {
  sign_in_three_calls();
  for (const CK_RV refusal : {CKR_FUNCTION_NOT_SUPPORTED, CKR_ARGUMENTS_BAD}) {
    proxyd_.on(number_of<&F::C_SessionCancel>(),
               [refusal](const Request&) { return FakeProxyd::Answer{.rv = refusal}; });
    EXPECT_EQ(init(), CKR_OK);
    EXPECT_EQ(C_SessionCancel(session_, CKF_SIGN), refusal);
    EXPECT_EQ(sign(), CKR_OK) << "it goes on";
    seen();
    sign_in_three_calls();
    EXPECT_EQ(seen(), (Seen{"C_SignInit+C_Sign 77"}));
  }
  proxyd_.on(number_of<&F::C_SessionCancel>(),
             [](const Request&) { return FakeProxyd::Answer{.rv = CKR_OPERATION_CANCEL_FAILED}; });
  EXPECT_EQ(C_SessionCancel(session_, CKF_SIGN), CKR_OPERATION_CANCEL_FAILED);
  seen();
  sign_in_three_calls();
  EXPECT_EQ(seen(), (Seen{"C_SignInit 77", "C_Sign", "C_Sign"}));
}

// What one thread waits for, another may be sending.
TEST_F(Coalesce, ACallWaitsForItsInitOnAnotherConnection) {
  sign_in_three_calls();
  const CK_SESSION_HANDLE other = open_session();
  EXPECT_EQ(init(), CKR_OK);
  seen();
  std::atomic<bool> is_sent{false}, may_go_on{false};
  proxyd_.on(number_of<&F::C_SignInit>(), [&](const Request& request) {
    is_sent = true;
    EXPECT_TRUE(proxyd_.wait_until([&] { return may_go_on.load(); }));
    return note(request, {.body = {0xc0}});
  });
  std::thread destroyer([&] { EXPECT_EQ(C_DestroyObject(other, 5), CKR_OK); });
  EXPECT_TRUE(proxyd_.wait_until([&] { return is_sent.load(); }));
  std::thread signer([&] { EXPECT_EQ(sign(), CKR_OK); });
  may_go_on = true;
  signer.join();
  destroyer.join();
  const Seen all = seen();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0], "C_SignInit 77") << "before the C_Sign that uses it";
}

TEST_F(Coalesce, AClosedSessionTakesWhatWaitsWithIt) {
  sign_in_three_calls();
  open_session();
  seen();
  EXPECT_EQ(init(), CKR_OK);
  EXPECT_EQ(C_CloseSession(session_), CKR_OK);
  EXPECT_EQ(seen(), Seen{});
}

// Two threads close the last two sessions: none may be kept, or the login would stay.
TEST_F(Coalesce, TheLastSessionsThatAreClosedAtTheSameTimeAreAllClosed) {
  const CK_SESSION_HANDLE busy = session_;
  const CK_SESSION_HANDLE idle = open_session();
  EXPECT_EQ(init(), CKR_OK);  // it cannot be kept
  std::promise<void> answers;
  std::shared_future<void> answered = answers.get_future();
  proxyd_.on(number_of<&F::C_CloseSession>(), [busy, answered](const Request& request) {
    if (request.handles[0] == busy) answered.wait();
    return FakeProxyd::Answer{};
  });
  std::thread closing([busy] { EXPECT_EQ(C_CloseSession(busy), CKR_OK); });
  EXPECT_TRUE(proxyd_.wait_until([&] { return proxyd_.calls(number_of<&F::C_CloseSession>()) == 1; }));
  EXPECT_EQ(C_CloseSession(idle), CKR_OK);
  answers.set_value();
  closing.join();
  EXPECT_EQ(proxyd_.calls(number_of<&F::C_CloseSession>()), 2u);
  const std::size_t before = proxyd_.calls(number_of<&F::C_OpenSession>());
  open_session();
  EXPECT_EQ(proxyd_.calls(number_of<&F::C_OpenSession>()), before + 1);
}

TEST_F(Coalesce, ASessionWhoseClosingFailsCountsAsOpen) {
  const CK_SESSION_HANDLE other = open_session();
  EXPECT_EQ(init(), CKR_OK);
  proxyd_.on(number_of<&F::C_CloseSession>(),
             [](const Request&) { return FakeProxyd::Answer{.rv = CKR_DEVICE_ERROR}; });
  EXPECT_EQ(C_CloseSession(session_), CKR_DEVICE_ERROR);
  const std::size_t before = proxyd_.calls(number_of<&F::C_CloseSession>());
  EXPECT_EQ(C_CloseSession(other), CKR_OK) << "it is kept, since the first one is open";
  EXPECT_EQ(proxyd_.calls(number_of<&F::C_CloseSession>()), before);
}

TEST_F(Coalesce, ASessionObjectMayEndWithAnotherSession) {
  const CK_SESSION_HANDLE other = open_session();
  proxyd_.on(number_of<&F::C_CreateObject>(),
             [](const Request&) { return FakeProxyd::Answer{.handles = {kSessionKey}}; });
  CK_OBJECT_HANDLE key = 0;
  EXPECT_EQ(C_CreateObject(other, nullptr, 0, &key), CKR_OK);
  EXPECT_EQ(init(kSessionKey), CKR_OK);
  EXPECT_EQ(sign(), CKR_OK);
  EXPECT_EQ(init(kSessionKey), CKR_OK);
  EXPECT_EQ(seen(), (Seen{"C_SignInit 7", "C_Sign"}));
  EXPECT_EQ(C_CloseSession(other), CKR_OK);
  EXPECT_EQ(seen(), (Seen{"C_SignInit 7"})) << "while it surely exists";
  EXPECT_EQ(sign(), CKR_OK);
  EXPECT_EQ(init(kSessionKey), CKR_OK);
  EXPECT_EQ(seen(), (Seen{"C_Sign", "C_SignInit 7"}));
}

TEST_F(Coalesce, OffSendsEveryCall) {
  C_Finalize(nullptr);
  start("coalesce = \"off\"\n");
  for (int i = 0; i < 2; ++i) sign_in_three_calls();
  EXPECT_EQ(seen(), (Seen{"C_SignInit 77", "C_Sign", "C_Sign", "C_SignInit 77", "C_Sign", "C_Sign"}));
}

TEST_F(Coalesce, TheEnvironmentTurnsItOff) {
  C_Finalize(nullptr);
  configure();
  setenv("P11SHIM_COALESCE", "off", 1);
  ASSERT_EQ(C_Initialize(nullptr), CKR_OK);
  unsetenv("P11SHIM_COALESCE");
  session_ = open_session();
  for (int i = 0; i < 2; ++i) EXPECT_EQ(encrypt(1), CKR_OK);
  EXPECT_EQ(seen().size(), 4u);
}

}  // namespace
}  // namespace p11shim
