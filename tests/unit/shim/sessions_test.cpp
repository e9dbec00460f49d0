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
