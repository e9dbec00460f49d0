// Which messages an operation of the message functions (3.0) costs.
#include <mutex>

#include "calls/parameter_structs.h"
#include "shim_test.h"

namespace p11shim {
namespace {

constexpr CK_OBJECT_HANDLE kKey = 77;
constexpr CK_ULONG kLength = 20;

class CoalesceMessages : public ShimTest {
 protected:
  using Seen = std::vector<std::string>;

  void SetUp() override { start(); }
  void start(const std::string& more = {}) {
    configure(more);
    for (const auto call : {number_of<&F::C_MessageEncryptInit>(), number_of<&F::C_MessageSignInit>()})
      proxyd_.on(call, [this](const Request& request) { return note(request, {.body = {0xc0}}); });
    for (const auto call : {number_of<&F::C_MessageEncryptFinal>(), number_of<&F::C_MessageSignFinal>(),
                            number_of<&F::C_DestroyObject>()})
      proxyd_.on(call, [this](const Request& request) { return note(request, {}); });
    proxyd_.on(number_of<&F::C_SignMessage>(), [this](const Request& request) { return note(request, signed_()); });
    proxyd_.on(number_of<&F::C_EncryptMessage>(), [this](const Request& request) {
      In in(request.body);
      in.array_of(2);
      const std::uint64_t type = in.uint();
      return note(request, encrypted(type));
    });
    ASSERT_EQ(C_Initialize(nullptr), CKR_OK);
    session_ = open_session();
  }

  // "C_MessageSignInit+C_SignMessage!": the Init came along, and the operation was to be ended.
  FakeProxyd::Answer note(const Request& request, FakeProxyd::Answer answer) {
    std::string text;
    if (request.init != 0) text += std::string(call_info(request.init)->name) + '+';
    text += call_info(request.call)->name;
    if (request.ends) text += '!';
    const std::lock_guard lock(mutex_);
    seen_.push_back(text);
    if (refused_ != CKR_OK && request.init != 0) return {.init_rv = refused_};
    if (refused_ != CKR_OK && call_info(request.call)->policy.effect == Effect::starts) return {.rv = refused_};
    if (fails_ != CKR_OK && call_info(request.call)->policy.effect == Effect::continues) return {.rv = fails_};
    answer.ended = request.ends && ends_;
    return answer;
  }
  static FakeProxyd::Answer of(const Buffer& body) {
    FakeProxyd::Answer answer;
    answer.body.assign(body.data(), body.data() + body.size());
    return answer;
  }
  static FakeProxyd::Answer signed_() {
    Buffer body;
    Out out(body);
    out.uint(0);
    out.nil();
    out.uint(kLength);
    out.bin(std::vector<std::uint8_t>(kLength, 0x5a));
    return of(body);
  }
  static FakeProxyd::Answer encrypted(std::uint64_t) { return signed_(); }

  Seen seen() {
    const std::lock_guard lock(mutex_);
    return std::exchange(seen_, {});
  }
  CK_RV init() {
    CK_MECHANISM mechanism{CKM_SHA256_HMAC, nullptr, 0};
    return C_MessageSignInit(session_, &mechanism, kKey);
  }
  CK_RV sign() {
    CK_BYTE data[32] = {1}, signature[kLength];
    CK_ULONG length = sizeof signature;
    return C_SignMessage(session_, nullptr, 0, data, sizeof data, signature, &length);
  }
  CK_RV end() { return C_MessageSignFinal(session_); }
  void sign_messages(int count) {
    EXPECT_EQ(init(), CKR_OK);
    for (int i = 0; i < count; ++i) EXPECT_EQ(sign(), CKR_OK);
    EXPECT_EQ(end(), CKR_OK);
  }

  CK_SESSION_HANDLE session_ = 0;
  std::mutex mutex_;
  Seen seen_;
  CK_RV refused_ = CKR_OK, fails_ = CKR_OK;
  bool ends_ = true;
};

TEST_F(CoalesceMessages, OneMessageForAnOperationOfOneMessage) {
  sign_messages(1);
  EXPECT_EQ(seen(), (Seen{"C_MessageSignInit", "C_SignMessage", "C_MessageSignFinal"}));
  for (int i = 0; i < 3; ++i) sign_messages(1);
  const std::string whole = "C_MessageSignInit+C_SignMessage!";
  EXPECT_EQ(seen(), (Seen{whole, whole, whole}));
}

TEST_F(CoalesceMessages, LongerOperationsTakeTheirInitAlongOnce) {
  sign_messages(3);
  seen();
  for (int i = 0; i < 2; ++i) {
    sign_messages(3);
    EXPECT_EQ(seen(),
              (Seen{"C_MessageSignInit+C_SignMessage", "C_SignMessage", "C_SignMessage", "C_MessageSignFinal"}));
  }
}

TEST_F(CoalesceMessages, AnotherMessageBeginsAgainAndTheNextOperationIsNotEndedEarly) {
  for (int i = 0; i < 2; ++i) sign_messages(1);
  seen();
  sign_messages(2);
  EXPECT_EQ(seen(),
            (Seen{"C_MessageSignInit+C_SignMessage!", "C_MessageSignInit+C_SignMessage", "C_MessageSignFinal"}));
  sign_messages(2);
  EXPECT_EQ(seen(), (Seen{"C_MessageSignInit+C_SignMessage", "C_SignMessage", "C_MessageSignFinal"}));
}

TEST_F(CoalesceMessages, AnOperationWithoutMessagesIsOneMessage) {
  sign_messages(1);
  seen();
  sign_messages(0);
  EXPECT_EQ(seen(), (Seen{"C_MessageSignInit+C_MessageSignFinal"}));
}

TEST_F(CoalesceMessages, WhatComesBeforeTheFinalFindsTheOperationActive) {
  for (int i = 0; i < 2; ++i) sign_messages(1);
  seen();
  EXPECT_EQ(init(), CKR_OK);
  EXPECT_EQ(sign(), CKR_OK);
  EXPECT_EQ(C_DestroyObject(session_, 5), CKR_OK);
  EXPECT_EQ(end(), CKR_OK);
  EXPECT_EQ(seen(),
            (Seen{"C_MessageSignInit+C_SignMessage!", "C_MessageSignInit", "C_DestroyObject", "C_MessageSignFinal"}));
}

TEST_F(CoalesceMessages, WhoseKeyIsGoneMeanwhileCanBeEnded) {
  for (int i = 0; i < 2; ++i) sign_messages(1);
  EXPECT_EQ(init(), CKR_OK);
  EXPECT_EQ(sign(), CKR_OK);
  refused_ = CKR_KEY_HANDLE_INVALID;
  EXPECT_EQ(C_DestroyObject(session_, 5), CKR_OK);
  EXPECT_EQ(end(), CKR_OK);
}

TEST_F(CoalesceMessages, AFinalThatTheModuleDidNotTakeIsAskedFor) {
  sign_messages(1);
  ends_ = false;
  seen();
  sign_messages(1);
  EXPECT_EQ(seen(), (Seen{"C_MessageSignInit+C_SignMessage!", "C_MessageSignFinal"}));
}

TEST_F(CoalesceMessages, AMessageThatFailsLeavesTheOperationToTheModule) {
  sign_messages(1);
  fails_ = CKR_DATA_LEN_RANGE;
  seen();
  EXPECT_EQ(init(), CKR_OK);
  EXPECT_EQ(sign(), CKR_DATA_LEN_RANGE);
  EXPECT_EQ(end(), CKR_OK);
  EXPECT_EQ(seen(), (Seen{"C_MessageSignInit+C_SignMessage!", "C_MessageSignFinal"}));
}

TEST_F(CoalesceMessages, AnInitThatFailsLateGivesItsCode) {
  sign_messages(1);
  refused_ = CKR_KEY_HANDLE_INVALID;
  EXPECT_EQ(init(), CKR_OK);
  EXPECT_EQ(sign(), CKR_KEY_HANDLE_INVALID);
  EXPECT_EQ(init(), CKR_KEY_HANDLE_INVALID);
}

TEST_F(CoalesceMessages, OffMeansCallByCall) {
  C_Finalize(nullptr);
  start("coalesce = \"off\"\n");
  for (int i = 0; i < 2; ++i) {
    sign_messages(1);
    EXPECT_EQ(seen(), (Seen{"C_MessageSignInit", "C_SignMessage", "C_MessageSignFinal"}));
  }
}

}  // namespace
}  // namespace p11shim
