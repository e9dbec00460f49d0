// Which calls travel, alone or together, and that nobody can tell from the answers.
#include <atomic>
#include <future>
#include <mutex>
#include <thread>

#include "shim_test.h"

namespace p11shim {
namespace {

constexpr CK_OBJECT_HANDLE kKey = 77;
constexpr CK_OBJECT_HANDLE kSessionKey = 7 | kSessionObjectBit;
constexpr CK_ULONG kLength = 64;

class Coalesce : public ShimTest {
 protected:
  void SetUp() override { start(); }
  void start(const std::string& more = {}) {
    configure(more);
    for (const auto call : {number_of<&F::C_SignInit>(), number_of<&F::C_EncryptInit>()})
      proxyd_.on(call, [this](const Request& request) { return note(request, {.body = {0xc0}}); });
    for (const auto call : {number_of<&F::C_SignUpdate>(), number_of<&F::C_DestroyObject>(), number_of<&F::C_Logout>()})
      proxyd_.on(call, [this](const Request& request) { return note(request, {}); });
    for (const auto call : {number_of<&F::C_Sign>(), number_of<&F::C_Encrypt>(), number_of<&F::C_SignFinal>()})
      proxyd_.on(call, [this](const Request& request) { return note(request, give_bytes(request)); });
    ASSERT_EQ(C_Initialize(nullptr), CKR_OK);
    session_ = open_session();
  }

  // "C_SignInit+C_Sign 1 77": the calls, and the handles.
  std::optional<FakeProxyd::Answer> note(const Request& request, FakeProxyd::Answer answer) {
    std::string text;
    if (request.init != 0) text += std::string(call_info(request.init)->name) + '+';
    text += call_info(request.call)->name;
    for (std::size_t i = 1; i < request.handles.size(); ++i)
      text += ' ' + std::to_string(request.handles[i] % kSessionObjectBit);
    const std::lock_guard lock(mutex_);
    seen_.push_back(text);
    if (refused_ != CKR_OK && request.init != 0) answer = {.init_rv = refused_};
    else if (refused_ != CKR_OK && call_info(request.call)->policy.effect == Effect::starts) answer = {.rv = refused_};
    return answer;
  }
  static FakeProxyd::Answer give_bytes(const Request& request) {
    In in(request.body);
    if (request.call != number_of<&F::C_SignFinal>()) in.bin();
    const bool is_query = !in.next_is_uint();
    if (is_query) in.array_of(1);
    const CK_ULONG room = in.uint();
    Buffer body;
    Out out(body);
    out.uint(kLength);
    FakeProxyd::Answer answer;
    if (!is_query && room < kLength) answer.rv = CKR_BUFFER_TOO_SMALL;
    else if (!is_query) out.bin(std::vector<std::uint8_t>(kLength, 0x5a));
    answer.body.assign(body.data(), body.data() + body.size());
    return answer;
  }
  std::vector<std::string> seen() {
    const std::lock_guard lock(mutex_);
    return std::exchange(seen_, {});
  }
  void refuse(CK_RV rv) {
    const std::lock_guard lock(mutex_);
    refused_ = rv;
  }

  CK_RV init(CK_OBJECT_HANDLE key = kKey, CK_MECHANISM_TYPE type = CKM_ECDSA) {
    CK_MECHANISM mechanism{type, nullptr, 0};
    return C_SignInit(session_, &mechanism, key);
  }
  CK_RV sign(CK_ULONG room = kLength, bool query = false) {
    CK_BYTE data[32] = {1}, signature[kLength];
    length_ = room;
    return C_Sign(session_, data, sizeof data, query ? nullptr : signature, &length_);
  }
  // As most applications do it.
  void sign_in_three_calls() {
    EXPECT_EQ(init(), CKR_OK);
    EXPECT_EQ(sign(0, true), CKR_OK);
    EXPECT_EQ(length_, kLength);
    EXPECT_EQ(sign(), CKR_OK);
    EXPECT_EQ(length_, kLength);
  }
  CK_RV encrypt(CK_BYTE iv_byte) {
    CK_BYTE iv[16] = {iv_byte}, data[16] = {}, out[kLength];
    CK_MECHANISM mechanism{CKM_AES_CBC, iv, sizeof iv};
    if (const CK_RV rv = C_EncryptInit(session_, &mechanism, kKey); rv != CKR_OK) return rv;
    CK_ULONG size = sizeof out;
    return C_Encrypt(session_, data, sizeof data, out, &size);
  }

  using Seen = std::vector<std::string>;
  CK_SESSION_HANDLE session_ = 0;
  CK_ULONG length_ = 0;

 private:
  std::mutex mutex_;
  Seen seen_;
  CK_RV refused_ = CKR_OK;
};

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

TEST_F(Coalesce, ABufferThatIsTooSmallIsTheModulesToJudge) {
  sign_in_three_calls();
  seen();
  EXPECT_EQ(init(), CKR_OK);
  EXPECT_EQ(sign(1), CKR_BUFFER_TOO_SMALL);
  EXPECT_EQ(length_, kLength);
  EXPECT_EQ(sign(), CKR_OK);
  EXPECT_EQ(seen(), (Seen{"C_SignInit+C_Sign 77", "C_Sign"}));
}

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
