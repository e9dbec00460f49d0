// The same of slots, tokens, mechanisms and sessions.
#include "remembered.h"

namespace p11shim {
namespace {

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

TEST_F(RememberedTest, WithoutThePageEachSearchBringsWhatIsReadOnce) {
  C_Finalize(nullptr);
  page_->is_alive = 0;
  start();
  const auto search_and_read = [&] {
    search();
    expect_length();
    expect_label();
    return messages();
  };
  search_and_read();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(search_and_read(), 1) << i;
  for (int i = 0; i < 2; ++i) search();
  EXPECT_FALSE(asked_along_) << "nobody has read what came with the last one";
}

TEST_F(RememberedTest, WithoutThePageWhatWasReadIsReadAgainIfItCanChange) {
  C_Finalize(nullptr);
  page_->is_alive = 0;
  start();
  for (int i = 0; i < 3; ++i) expect_label();
  EXPECT_EQ(messages(), 3);
}

TEST_F(RememberedTest, ClosedSessionsAreNotGivenOutAgainWhenATokenMayHaveGone) {
  expect_label();  // the page is there
  EXPECT_EQ(C_CloseSession(open_session()), CKR_OK);
  ++page_->of(GenerationPage::kSlots);
  const std::size_t before = proxyd_.calls(number_of<&F::C_OpenSession>());
  open_session();
  EXPECT_EQ(proxyd_.calls(number_of<&F::C_OpenSession>()), before + 1);
  EXPECT_EQ(proxyd_.calls(number_of<&F::C_CloseSession>()), 1u);
}

}  // namespace
}  // namespace p11shim
