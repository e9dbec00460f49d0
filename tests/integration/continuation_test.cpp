// Applications that go on: over a restart of proxyd, and in forked children.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "application.h"
#include "configs.h"

namespace p11shim {
namespace {

class Continuation : public testing::Test {
 protected:
  std::optional<SofthsmTokens> tokens;
  std::optional<PrivateProxyd> proxyd;
  std::optional<TestApplication> application;
  CK_SESSION_HANDLE read_write = 0, read_only = 0;
  CK_OBJECT_HANDLE token_key = 0;

  void SetUp() override {
    if (!SofthsmTokens::installed()) GTEST_SKIP() << "softhsm2 is not installed";
    tokens.emplace();
    proxyd.emplace(tokens->config());
    proxyd->start();
    application.emplace(*proxyd);
    read_write = application->open();
    read_only = application->open(false);
    ASSERT_EQ(application->log_in(read_write, compare::kUserPin), CKR_OK);
    token_key = application->generate_aes(read_write, true, "token key");
  }
  [[nodiscard]] CK_STATE state_of(CK_SESSION_HANDLE session) const {
    CK_SESSION_INFO info{};
    EXPECT_EQ((*application)->C_GetSessionInfo(session, &info), CKR_OK);
    return info.state;
  }
};

TEST_F(Continuation, SessionsSurviveARestartAndLoginsDoNot) {
  ASSERT_EQ(state_of(read_write), CKS_RW_USER_FUNCTIONS);
  proxyd->restart();
  EXPECT_EQ(state_of(read_write), CKS_RW_PUBLIC_SESSION);
  EXPECT_EQ(state_of(read_only), CKS_RO_PUBLIC_SESSION);
  EXPECT_TRUE(application->find(read_only, CKO_SECRET_KEY).empty());
  ASSERT_EQ(application->log_in(read_only, compare::kUserPin), CKR_OK);
  EXPECT_EQ(application->one(read_only, CKO_SECRET_KEY, "token key"), token_key);
  EXPECT_EQ(application->encrypt(read_only, token_key), CKR_OK);
  EXPECT_EQ((*application)->C_CloseSession(read_only), CKR_OK);
  EXPECT_EQ((*application)->C_CloseSession(read_write), CKR_OK);
}

TEST_F(Continuation, NewSessionsAfterARestartHaveHandlesOfTheirOwn) {
  proxyd->restart();
  const CK_SESSION_HANDLE fresh = application->open();
  EXPECT_NE(fresh, read_write);
  EXPECT_NE(fresh, read_only);
}

TEST_F(Continuation, AnOperationInProgressEndsWithARestart) {
  CK_MECHANISM mechanism{CKM_SHA256, nullptr, 0};
  CK_BYTE data[4] = {1, 2, 3, 4};
  ASSERT_EQ((*application)->C_DigestInit(read_only, &mechanism), CKR_OK);
  ASSERT_EQ((*application)->C_DigestUpdate(read_only, data, sizeof data), CKR_OK);
  proxyd->restart();
  // A small part is gathered: the next call that travels says what has become of the operation.
  EXPECT_EQ((*application)->C_DigestUpdate(read_only, data, sizeof data), CKR_OK);
  CK_BYTE digest[32];
  CK_ULONG size = sizeof digest;
  EXPECT_EQ((*application)->C_DigestFinal(read_only, digest, &size), CKR_OPERATION_NOT_INITIALIZED);
  EXPECT_EQ((*application)->C_DigestInit(read_only, &mechanism), CKR_OK);
}

// Runs `body` in a forked child; its result, 0 to 127, is the child's exit status. A child that hangs is
// killed.
int in_child(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(120);
    _exit(body());
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST_F(Continuation, AChildGoesOnWithTheParentsSessionsAndLogin) {
  const CK_OBJECT_HANDLE session_key = application->generate_aes(read_write, false, "session key");
  EXPECT_EQ(in_child([&] {
              if (application->one(read_only, CKO_SECRET_KEY, "token key") != token_key) return 1;
              if (application->encrypt(read_only, token_key) != CKR_OK) return 2;
              if (application->encrypt(read_write, session_key) != CKR_OK) return 3;
              return (*application)->C_Finalize(nullptr) == CKR_OK ? 0 : 4;
            }),
            0);
  EXPECT_EQ(application->encrypt(read_only, token_key), CKR_OK);
  EXPECT_EQ(application->encrypt(read_write, session_key), CKR_OK) << "the child's end destroys nothing";
}

TEST_F(Continuation, WhatAChildClosesOrLogsOutStaysOpenInTheParent) {
  EXPECT_EQ(in_child([&] {
              if ((*application)->C_Logout(read_write) != CKR_OK) return 1;
              if (!application->find(read_write, CKO_SECRET_KEY).empty()) return 2;
              if ((*application)->C_CloseSession(read_only) != CKR_OK) return 3;
              return (*application)->C_CloseSession(read_only) == CKR_SESSION_HANDLE_INVALID ? 0 : 4;
            }),
            0);
  EXPECT_EQ(state_of(read_only), CKS_RO_USER_FUNCTIONS);
  EXPECT_EQ(application->encrypt(read_write, token_key), CKR_OK);
}

TEST_F(Continuation, ManyChildrenWorkAtOnce) {
  constexpr int kChildren = 8;
  pid_t children[kChildren];
  for (pid_t& child : children) {
    child = fork();
    if (child != 0) continue;
    alarm(120);
    for (int i = 0; i < 20; ++i)
      if (application->encrypt(read_only, token_key) != CKR_OK) _exit(1);
    _exit(0);
  }
  for (const pid_t child : children) {
    int status = -1;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(application->encrypt(read_only, token_key), CKR_OK);
}

}  // namespace
}  // namespace p11shim
