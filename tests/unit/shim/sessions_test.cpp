#include "shim/sessions.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace p11shim {
namespace {

std::vector<CK_SESSION_HANDLE> handles_of(const Sessions& sessions) {
  std::vector<CK_SESSION_HANDLE> handles;
  for (const OpenSession& session : sessions.list()) handles.push_back(session.handle);
  std::sort(handles.begin(), handles.end());
  return handles;
}

TEST(Sessions, AreListedWhileTheyAreOpen) {
  Sessions sessions;
  sessions.opened({1, 5, CKF_SERIAL_SESSION});
  sessions.opened({2, 5, CKF_SERIAL_SESSION | CKF_RW_SESSION});
  sessions.opened({3, 6, CKF_SERIAL_SESSION});
  sessions.closed(1);
  sessions.closed(99);
  EXPECT_EQ(handles_of(sessions), (std::vector<CK_SESSION_HANDLE>{2, 3}));
  sessions.closed_all(5);
  ASSERT_EQ(handles_of(sessions), std::vector<CK_SESSION_HANDLE>{3});
  EXPECT_EQ(sessions.list()[0].slot, 6u);
  EXPECT_EQ(sessions.list()[0].flags, CKF_SERIAL_SESSION);
}

TEST(Sessions, RememberTheMechanismOfEachMessageOperation) {
  Sessions sessions;
  sessions.opened({1, 5, 0});
  sessions.message_started(1, Operation::message_encrypt, CKM_AES_GCM);
  sessions.message_started(1, Operation::message_sign, CKM_AES_CCM);
  sessions.message_started(2, Operation::message_sign, CKM_AES_CCM);
  EXPECT_EQ(sessions.message_mechanism(1, Operation::message_encrypt), CKM_AES_GCM);
  EXPECT_EQ(sessions.message_mechanism(1, Operation::message_sign), CKM_AES_CCM);
  EXPECT_EQ(sessions.message_mechanism(1, Operation::message_verify), 0u);
  EXPECT_EQ(sessions.message_mechanism(2, Operation::message_sign), 0u) << "no such session";
  sessions.message_ended(1, Operation::message_encrypt);
  EXPECT_EQ(sessions.message_mechanism(1, Operation::message_encrypt), 0u);
  sessions.closed(1);
  EXPECT_EQ(sessions.message_mechanism(1, Operation::message_sign), 0u);
}

// The same whether there are three sessions or a hundred thousand.
TEST(Sessions, ThoseThatWaitAreInAListOfTheirOwn) {
  constexpr std::uint64_t kInit = 1;
  Sessions sessions;
  for (CK_SESSION_HANDLE handle = 1; handle <= 5; ++handle) sessions.opened({handle, 5, CKF_SERIAL_SESSION});
  const auto defer_in = [&](CK_SESSION_HANDLE handle, Operation operation, std::uint64_t object) {
    return sessions.with(handle, [&](SessionOperations& operations, KnownInits& known, const OpenSession&) {
      known.add(kInit, 0, false);
      WaitingInit init;
      init.call = 1;
      init.operation = operation;
      init.objects = {object};
      init.signature = kInit;
      return defer(operations, known, init);
    });
  };
  const auto take_from = [&](CK_SESSION_HANDLE handle) {
    return sessions.with(handle, [&](SessionOperations& operations, KnownInits& known, const OpenSession&) {
      WaitingInit init;
      return take_waiting(operations, known, Operation::any, init);
    });
  };
  EXPECT_TRUE(defer_in(1, Operation::find, 0));
  EXPECT_EQ(sessions.waiting(false), CK_INVALID_HANDLE) << "a search is nobody else's business";
  EXPECT_TRUE(defer_in(2, Operation::sign, 7));
  EXPECT_TRUE(defer_in(3, Operation::sign, 7 | kSessionObjectBit));
  EXPECT_TRUE(defer_in(4, Operation::sign, 8));
  EXPECT_EQ(sessions.waiting(true), 3u);
  EXPECT_TRUE(take_from(3));
  EXPECT_EQ(sessions.waiting(true), CK_INVALID_HANDLE);
  sessions.with(5, [](SessionOperations& operations, KnownInits& known, const OpenSession&) {
    operations.gathered.append("part", 4);
    known.list(operations);
  });
  std::vector<CK_SESSION_HANDLE> seen;
  for (CK_SESSION_HANDLE next; (next = sessions.waiting(false)) != CK_INVALID_HANDLE; sessions.closed(next))
    seen.push_back(next);
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(seen, (std::vector<CK_SESSION_HANDLE>{2, 4, 5}));
  EXPECT_EQ(handles_of(sessions), (std::vector<CK_SESSION_HANDLE>{1, 3}));
}

TEST(Sessions, ACallIsToldWhatItHasToCareFor) {
  Sessions sessions;
  for (const CK_SESSION_HANDLE handle : {1, 2}) sessions.opened({handle, 5, CKF_SERIAL_SESSION});
  const auto change = [&](auto fn) {
    sessions.with(1, [&](SessionOperations& operations, KnownInits&, const OpenSession&) { fn(operations); });
    EXPECT_FALSE(sessions.wait_until_sent(2).any()) << "another session";
    return sessions.wait_until_sent(1);
  };
  EXPECT_FALSE(change([](SessionOperations&) {}).any());
  EXPECT_TRUE(change([](SessionOperations& operations) { operations.waiting.call = 1; }).init);
  EXPECT_TRUE(change([](SessionOperations& operations) { operations.gathered.append("part", 4); }).parts);
  EXPECT_TRUE(change([](SessionOperations& operations) { operations.lost = Operation::sign; }).lost);
  EXPECT_FALSE(sessions.wait_until_sent(99).any());
}

TEST(Sessions, AChildInheritsTheOpenOnesWithoutTheirOperations) {
  Sessions parent, child;
  parent.opened({1, 5, 0});
  parent.message_started(1, Operation::message_encrypt, CKM_AES_GCM);
  child.inherit(parent);
  EXPECT_EQ(handles_of(child), std::vector<CK_SESSION_HANDLE>{1});
  EXPECT_EQ(child.message_mechanism(1, Operation::message_encrypt), 0u);
}

}  // namespace
}  // namespace p11shim
