// Which answers are given again without asking, and when no longer.
#include <atomic>
#include <cstring>
#include <mutex>
#include <set>

#include "calls/values.h"
#include "shim_test.h"

namespace p11shim {
namespace {

constexpr CK_SLOT_ID kSlot = 5;  // of ShimTest::open_session()
constexpr CK_OBJECT_HANDLE kObject = 11;

class RememberedTest : public ShimTest {
 protected:
  void SetUp() override {
    page_ = &proxyd_.share_generations();
    start();
  }
  void start(const std::string& more = "remember = \"24h\"\n") {
    configure(more);
    proxyd_.on(number_of<&F::C_GetAttributeValue>(), [this](const Request& request) { return read(request); });
    proxyd_.on(number_of<&F::C_FindObjects>(), [this](const Request& request) { return find(request); });
    proxyd_.on(number_of<&F::C_GetSessionInfo>(), [this](const Request& request) {
      note(request);
      CK_SESSION_INFO info{};
      info.slotID = kSlot;
      return answer_with(info);
    });
    proxyd_.on(number_of<&F::C_GetMechanismInfo>(), [this](const Request& request) {
      note(request);
      return answer_with(CK_MECHANISM_INFO{1, 2, 3});
    });
    proxyd_.on(number_of<&F::C_GetTokenInfo>(), [this](const Request& request) {
      note(request);
      CK_TOKEN_INFO info{};
      info.ulSessionCount = sessions_counted_;
      info.ulRwSessionCount = CK_UNAVAILABLE_INFORMATION;
      info.flags = token_flags_;
      return answer_with(info);
    });
    proxyd_.on(number_of<&F::C_GetSlotInfo>(), [this](const Request& request) {
      note(request);
      CK_SLOT_INFO info{};
      info.flags = CKF_TOKEN_PRESENT;
      return answer_with(info);
    });
    for (const auto call : {number_of<&F::C_GetSlotList>(), number_of<&F::C_GetMechanismList>()})
      proxyd_.on(call, [this](const Request& request) { return list_of_two(request); });
    for (const auto call : {number_of<&F::C_SetAttributeValue>(), number_of<&F::C_Login>()})
      proxyd_.on(call, [this](const Request& request) { return note(request), FakeProxyd::Answer{}; });
    ASSERT_EQ(C_Initialize(nullptr), CKR_OK);
    session_ = open_session();
  }
  template <class Info>
  static FakeProxyd::Answer answer_with(const Info& info) {
    Buffer body;
    Out out(body);
    write_info(out, info);
    FakeProxyd::Answer answer;
    answer.body.assign(body.data(), body.data() + body.size());
    return answer;
  }
  FakeProxyd::Answer list_of_two(const Request& request) {
    note(request);
    In in(request.body);
    if (request.call == number_of<&F::C_GetSlotList>()) in.uint();
    FakeProxyd::Answer answer;
    if (in.nil_if()) answer.body = {2};
    else if (in.uint() < 2) answer.rv = CKR_BUFFER_TOO_SMALL, answer.body = {2};
    else answer.body = {2, 0x92, 7, 9};
    return answer;
  }
  // The label is "abc", the class 3, the value "k"; nothing else is known.
  FakeProxyd::Answer read(const Request& request) {
    note(request);
    In in(request.body);
    Buffer body;
    Out out(body);
    FakeProxyd::Answer answer;
    const std::size_t count = in.array(16);
    out.array(count);
    for (std::size_t i = 0; i < count; ++i) {
      in.array_of(2);
      const CK_ATTRIBUTE_TYPE type = in.uint();
      const bool is_query = in.nil_if();
      if (!is_query) in.uint();
      out.array(2);
      if (type == CKA_LABEL || type == CKA_VALUE) {
        out.uint(type == CKA_LABEL ? 3 : 1);
        if (is_query) out.nil();
        else out.bin("abc", type == CKA_LABEL ? 3 : 1);
      } else if (type == CKA_CLASS) {
        out.uint(sizeof(CK_ULONG));
        if (is_query) out.nil();
        else out.uint(3);
      } else {
        out.nil(), out.nil();
        answer.rv = CKR_ATTRIBUTE_TYPE_INVALID;
      }
    }
    answer.body.assign(body.data(), body.data() + body.size());
    answer.values = values_of(request, kObject);
    return answer;
  }
  std::optional<FakeProxyd::Answer> find(const Request& request) {
    note(request);
    FakeProxyd::Answer answer;
    asked_along_ = !request.wanted.empty();
    answer.handles = {kObject};
    answer.body = {0xc3};
    answer.values = values_of(request, kObject);
    return answer;
  }
  static std::vector<std::uint8_t> values_of(const Request& request, CK_OBJECT_HANDLE object) {
    Buffer pairs, values;
    Out to(pairs), out(values);
    In in(request.wanted);
    while (in.remaining() != 0) {
      const CK_ATTRIBUTE_TYPE type = in.uint();
      const CK_ULONG object_class = 3;
      if (type == CKA_LABEL) write_value(to, type, std::span(reinterpret_cast<const std::uint8_t*>("abc"), 3));
      if (type == CKA_CLASS)
        write_value(to, type, {reinterpret_cast<const std::uint8_t*>(&object_class), sizeof object_class});
    }
    if (pairs.empty()) return {};
    out.uint(object);
    out.bin(pairs.bytes());
    return {values.data(), values.data() + values.size()};
  }
  void note(const Request&) {
    const std::lock_guard lock(mutex_);
    ++messages_;
  }
  // Since it was asked last.
  int messages() {
    const std::lock_guard lock(mutex_);
    return std::exchange(messages_, 0);
  }

  CK_RV get(CK_ATTRIBUTE_TYPE type, void* place, CK_ULONG& size) {
    CK_ATTRIBUTE attribute{type, place, size};
    const CK_RV rv = C_GetAttributeValue(session_, kObject, &attribute, 1);
    size = attribute.ulValueLen;
    return rv;
  }
  void expect_label(CK_ULONG room = 10) {
    char label[10] = "";
    CK_ULONG size = room;
    EXPECT_EQ(get(CKA_LABEL, label, size), CKR_OK);
    EXPECT_EQ(std::string(label, std::min<CK_ULONG>(size, sizeof label)), "abc");
  }
  void expect_length() {
    CK_ULONG size = 0;
    EXPECT_EQ(get(CKA_LABEL, nullptr, size), CKR_OK);
    EXPECT_EQ(size, 3u);
  }

  void search() {
    CK_OBJECT_HANDLE object = 0;
    CK_ULONG count = 0;
    EXPECT_EQ(C_FindObjectsInit(session_, nullptr, 0), CKR_OK);
    EXPECT_EQ(C_FindObjects(session_, &object, 1, &count), CKR_OK);
    EXPECT_EQ(C_FindObjectsFinal(session_), CKR_OK);
    EXPECT_EQ(object, kObject);
  }

  std::atomic<CK_ULONG> sessions_counted_{CK_UNAVAILABLE_INFORMATION};
  std::atomic<CK_FLAGS> token_flags_{0};
  std::atomic<bool> asked_along_{false};  // by the last search
  CK_SESSION_HANDLE session_ = 0;
  GenerationPage* page_ = nullptr;

 private:
  std::mutex mutex_;
  int messages_ = 0;
};

TEST_F(RememberedTest, OneMessageForALengthAndItsValue) {
  expect_length();
  expect_label();
  EXPECT_EQ(messages(), 1);
}

TEST_F(RememberedTest, WhatWasReadIsNotAskedForAgain) {
  for (int i = 0; i < 3; ++i) expect_label();
  expect_length();
  EXPECT_EQ(messages(), 1);
}

TEST_F(RememberedTest, AnotherApplicationsChangeIsSeenAtOnce) {
  expect_label();
  ++page_->of(kSlot);
  expect_label();
  EXPECT_EQ(messages(), 2);
  ++page_->of(kSlot + 1);
  expect_label();
  EXPECT_EQ(messages(), 0) << "of another slot";
}

TEST_F(RememberedTest, OwnChangesAndLoginsBeginAnew) {
  expect_label();
  CK_ATTRIBUTE attribute{CKA_LABEL, nullptr, 0};
  EXPECT_EQ(C_SetAttributeValue(session_, kObject, &attribute, 1), CKR_OK);
  expect_label();
  EXPECT_EQ(messages(), 3);
  CK_BYTE pin[] = {'1'};
  EXPECT_EQ(C_Login(session_, CKU_USER, pin, sizeof pin), CKR_OK);
  expect_label();
  EXPECT_EQ(messages(), 2);
}

TEST_F(RememberedTest, WhatDoesNotFitIsTheModulesToJudge) {
  expect_label();
  CK_ULONG size = 8, number = 0;
  EXPECT_EQ(get(CKA_CLASS, &number, size), CKR_OK);
  messages();
  expect_label(4);
  EXPECT_EQ(messages(), 0);
  char large[16];
  size = sizeof large;
  EXPECT_EQ(get(CKA_CLASS, large, size), CKR_OK);
  EXPECT_EQ(messages(), 1) << "some modules refuse a number a buffer that is too large";
  CK_BBOOL unknown = CK_FALSE;
  size = sizeof unknown;
  EXPECT_EQ(get(CKA_SIGN, &unknown, size), CKR_ATTRIBUTE_TYPE_INVALID);
  EXPECT_EQ(get(CKA_SIGN, &unknown, size), CKR_ATTRIBUTE_TYPE_INVALID);
  EXPECT_EQ(messages(), 2);
}

TEST_F(RememberedTest, SecretsAreNeverRemembered) {
  for (int i = 0; i < 2; ++i) {
    char key = 0;
    CK_ULONG size = 1;
    EXPECT_EQ(get(CKA_VALUE, &key, size), CKR_OK);
  }
  EXPECT_EQ(messages(), 2);
}

TEST_F(RememberedTest, ASearchBringsAlongWhatIsUsuallyRead) {
  expect_label();
  CK_ULONG size = 8, number = 0;
  EXPECT_EQ(get(CKA_CLASS, &number, size), CKR_OK);
  ++page_->of(kSlot);
  messages();
  search();
  expect_length();
  expect_label();
  EXPECT_EQ(get(CKA_CLASS, &number, size), CKR_OK);
  EXPECT_EQ(number, 3u);
  EXPECT_EQ(messages(), 1);
}

TEST_F(RememberedTest, SearchesAskForNothingThatNobodyReads) {
  search();
  EXPECT_FALSE(asked_along_) << "nobody has read anything";
  expect_label();
  search();
  EXPECT_TRUE(asked_along_);
  search();
  EXPECT_FALSE(asked_along_);
  expect_label();
  search();
  EXPECT_FALSE(asked_along_) << "it was known";
  ++page_->of(kSlot);
  expect_label();
  ++page_->of(kSlot);
  search();
  EXPECT_TRUE(asked_along_);
  expect_label();
  ++page_->of(kSlot);
  search();
  EXPECT_TRUE(asked_along_) << "it was of use";
}

TEST_F(RememberedTest, SessionAndMechanismInfo) {
  for (int i = 0; i < 3; ++i) {
    CK_SESSION_INFO info{};
    EXPECT_EQ(C_GetSessionInfo(session_, &info), CKR_OK);
    EXPECT_EQ(info.slotID, kSlot);
    CK_MECHANISM_INFO mechanism{};
    EXPECT_EQ(C_GetMechanismInfo(kSlot, CKM_ECDSA, &mechanism), CKR_OK);
    EXPECT_EQ(mechanism.flags, 3u);
  }
  EXPECT_EQ(messages(), 2);
  CK_BYTE pin[] = {'1'};
  EXPECT_EQ(C_Login(session_, CKU_USER, pin, sizeof pin), CKR_OK);
  CK_SESSION_INFO info{};
  EXPECT_EQ(C_GetSessionInfo(session_, &info), CKR_OK);
  EXPECT_EQ(messages(), 2) << "the login is another state";
}

TEST_F(RememberedTest, SlotsAndMechanismsAreListedFromMemory) {
  for (int i = 0; i < 3; ++i) {
    CK_ULONG numbers[3] = {};
    CK_ULONG count = 3;
    EXPECT_EQ(C_GetSlotList(CK_TRUE, numbers, &count), CKR_OK);
    EXPECT_EQ(count, 2u);
    EXPECT_EQ(numbers[1], 9u);
    count = 2;
    EXPECT_EQ(C_GetMechanismList(kSlot, numbers, &count), CKR_OK);
    EXPECT_EQ(C_GetMechanismList(kSlot, nullptr, &count), CKR_OK);
    EXPECT_EQ(count, 2u);
    CK_SLOT_INFO info{};
    EXPECT_EQ(C_GetSlotInfo(kSlot, &info), CKR_OK);
    EXPECT_EQ(info.flags, CKF_TOKEN_PRESENT);
  }
  EXPECT_EQ(messages(), 3);
  CK_ULONG one = 0;
  CK_ULONG count = 1;
  EXPECT_EQ(C_GetSlotList(CK_TRUE, &one, &count), CKR_BUFFER_TOO_SMALL);
  count = 2;
  CK_ULONG numbers[2] = {};
  EXPECT_EQ(C_GetSlotList(CK_FALSE, numbers, &count), CKR_OK);
  EXPECT_EQ(messages(), 2) << "what does not fit, and the other list";
  ++page_->of(GenerationPage::kSlots);
  EXPECT_EQ(C_GetSlotList(CK_TRUE, numbers, &count), CKR_OK);
  EXPECT_EQ(messages(), 1);
}

TEST_F(RememberedTest, TokenInfoUntilAnybodyLogsIn) {
  CK_TOKEN_INFO info{};
  for (int i = 0; i < 3; ++i) EXPECT_EQ(C_GetTokenInfo(kSlot, &info), CKR_OK);
  EXPECT_EQ(messages(), 1);
  token_flags_ = CKF_USER_PIN_COUNT_LOW;
  ++page_->of(GenerationPage::token_of(kSlot));
  EXPECT_EQ(C_GetTokenInfo(kSlot, &info), CKR_OK);
  EXPECT_EQ(info.flags, CKF_USER_PIN_COUNT_LOW);
  EXPECT_EQ(messages(), 1) << "another application was at it";
  CK_BYTE pin[] = {'1'};
  EXPECT_EQ(C_Login(session_, CKU_USER, pin, sizeof pin), CKR_OK);
  EXPECT_EQ(C_GetTokenInfo(kSlot, &info), CKR_OK);
  EXPECT_EQ(messages(), 2) << "or this one";
}

TEST_F(RememberedTest, SessionCountsAreThoseOfNow) {
  CK_TOKEN_INFO info{};
  EXPECT_EQ(C_GetTokenInfo(kSlot, &info), CKR_OK);
  const CK_SESSION_HANDLE uncounted = open_session();
  EXPECT_EQ(C_GetTokenInfo(kSlot, &info), CKR_OK);
  EXPECT_EQ(messages(), 1) << "this module counts none";
  sessions_counted_ = 2;
  ++page_->of(kSlot);
  EXPECT_EQ(C_GetTokenInfo(kSlot, &info), CKR_OK);
  EXPECT_EQ(C_CloseSession(uncounted), CKR_OK);
  sessions_counted_ = 1;
  EXPECT_EQ(C_GetTokenInfo(kSlot, &info), CKR_OK);
  EXPECT_EQ(info.ulSessionCount, 1u);
  EXPECT_EQ(messages(), 2);
}

TEST_F(RememberedTest, AProxydThatStopsTakesItAllAlong) {
  expect_label();
  page_->is_alive = 0;
  expect_label();
  EXPECT_EQ(messages(), 2);
}

TEST_F(RememberedTest, NothingIsRememberedForNoTime) {
  C_Finalize(nullptr);
  start("remember = \"0s\"\n");
  for (int i = 0; i < 2; ++i) expect_label();
  expect_length();
  EXPECT_EQ(messages(), 3);
}

TEST_F(RememberedTest, ClosedSessionsAreGivenOutAgain) {
  std::vector<CK_SESSION_HANDLE> handles;
  for (int i = 0; i < 3; ++i) {
    handles.push_back(open_session());
    EXPECT_EQ(C_CloseSession(handles.back()), CKR_OK);
  }
  EXPECT_EQ(proxyd_.calls(number_of<&F::C_OpenSession>()), 2u) << "one is the fixture's";
  EXPECT_EQ(proxyd_.calls(number_of<&F::C_CloseSession>()), 0u);
  EXPECT_EQ(std::set(handles.begin(), handles.end()).size(), 3u) << "the old handles stay invalid";
  std::vector<std::uint64_t> named;
  proxyd_.on(number_of<&F::C_GenerateRandom>(), [&](const Request& request) {
    named.push_back(request.handles[0]);
    return FakeProxyd::Answer{.rv = CKR_SESSION_HANDLE_INVALID};
  });
  const CK_SESSION_HANDLE again = open_session();
  for (const CK_SESSION_HANDLE handle : {handles[0], handles[2], again})
    EXPECT_EQ(random(handle), CKR_SESSION_HANDLE_INVALID);
  EXPECT_GT(named[0], kSessionObjectBit) << "no session has such a handle";
  EXPECT_GT(named[1], kSessionObjectBit);
  EXPECT_EQ(named[2], handles[0]) << "what proxyd calls it";
}

TEST_F(RememberedTest, WhereSessionsCountTheClosedOnesAreClosed) {
  EXPECT_EQ(C_CloseSession(open_session()), CKR_OK);
  CK_BYTE pin[] = {'1'};
  EXPECT_EQ(C_Login(session_, CKU_USER, pin, sizeof pin), CKR_OK);
  EXPECT_EQ(proxyd_.calls(number_of<&F::C_CloseSession>()), 1u);
  EXPECT_EQ(C_CloseSession(open_session()), CKR_OK);
  EXPECT_EQ(C_CloseSession(session_), CKR_OK) << "the last one takes the login along";
  EXPECT_EQ(proxyd_.calls(number_of<&F::C_CloseSession>()), 3u);
}

TEST_F(RememberedTest, ASessionWithObjectsIsClosed) {
  proxyd_.on(number_of<&F::C_CreateObject>(),
             [](const Request&) { return FakeProxyd::Answer{.handles = {kSessionObjectBit | 1}}; });
  const CK_SESSION_HANDLE session = open_session();
  CK_OBJECT_HANDLE object = 0;
  EXPECT_EQ(C_CreateObject(session, nullptr, 0, &object), CKR_OK);
  EXPECT_EQ(C_CloseSession(session), CKR_OK);
  EXPECT_EQ(proxyd_.calls(number_of<&F::C_CloseSession>()), 1u);
}

// As over TCP.
TEST_F(RememberedTest, WithoutThePageWhatCanChangeIsGivenOutOnce) {
  C_Finalize(nullptr);
  page_->is_alive = 0;
  start();
  expect_length();
  expect_label();
  EXPECT_EQ(messages(), 1);
  expect_label();
  EXPECT_EQ(messages(), 1);
  CK_ULONG size = 8, number = 0;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(get(CKA_CLASS, &number, size), CKR_OK);
  EXPECT_EQ(messages(), 1) << "the class can never change";
}

}  // namespace
}  // namespace p11shim
