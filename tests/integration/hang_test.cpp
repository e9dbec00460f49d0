// A call that hangs costs its lane for as long as it hangs; the application is answered at its deadline.
#include <gtest/gtest.h>

#include <fstream>
#include <future>

#include "application.h"
#include "configs.h"

namespace p11shim {
namespace {

constexpr char kShortDeadline[] = "deadline = \"500ms\"\nkeygen_deadline = \"500ms\"";

class Hang : public testing::Test {
 protected:
  MockModule mock;
  const std::filesystem::path gate = mock.file("gate");
  PrivateProxyd proxyd{mock.config("lanes = 1\nmax_stuck_lanes = 2\nsessions_rw = 4", "", kShortDeadline)};
  std::optional<TestApplication> application;
  CK_SESSION_HANDLE session = 0;
  CK_SESSION_HANDLE other = 0;

  void SetUp() override {
    proxyd.start();
    application.emplace(proxyd);
    session = application->open();
    other = application->open();
  }
  void TearDown() override { std::ofstream{gate}; }

  CK_RV digest(CK_SESSION_HANDLE in) const {
    CK_MECHANISM mechanism{CKM_SHA256, nullptr, 0};
    if (const CK_RV rv = (*application)->C_DigestInit(in, &mechanism); rv != CKR_OK) return rv;
    CK_BYTE data[] = {1, 2, 3}, out[64];
    CK_ULONG length = sizeof out;
    return (*application)->C_Digest(in, data, sizeof data, out, &length);
  }
  CK_RV random(CK_SESSION_HANDLE in) const {
    CK_BYTE bytes[16];
    return (*application)->C_GenerateRandom(in, bytes, sizeof bytes);
  }
};

TEST_F(Hang, CallEndsAtItsDeadlineAndASpareLaneStandsIn) {
  const pid_t worker = proxyd.worker_pid("public");
  mock.rules.set("C_Digest hang=" + gate.string() + " times=1");
  EXPECT_EQ(digest(session), CKR_DEVICE_ERROR);
  EXPECT_EQ(proxyd.worker("public")["stuck_lanes"], 1);
  // There is one lane, and it is stuck: these run on the spare one, in the same worker.
  for (int i = 0; i < 20; ++i) EXPECT_EQ(random(other), CKR_OK);
  EXPECT_EQ(digest(session), CKR_OK);
  EXPECT_EQ(proxyd.worker_pid("public"), worker);

  // The hung call returns late: its real session, whose operation nobody knows, is closed and never lent.
  mock.rules.set(mock.rules.record_directive());
  std::ofstream{gate};
  EXPECT_TRUE(eventually([&] { return proxyd.worker("public")["stuck_lanes"] == 0; }));
  EXPECT_TRUE(eventually([&] { return mock.rules.recorded().find(" C_CloseSession ") != std::string::npos; }));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(digest(i % 2 == 0 ? session : other), CKR_OK);
}

// The application has been told that it failed; others must not remember for long what it then changes all the same.
TEST_F(Hang, WhatItChangesLateIsNotRememberedAsItWas) {
  const CK_OBJECT_HANDLE object = application->create_data(session, true, "before", "value");
  TestApplication reader(proxyd);
  const CK_SESSION_HANDLE reading = reader.open();
  const auto label = [&] {
    char text[16];
    CK_ATTRIBUTE attribute{CKA_LABEL, text, sizeof text};
    EXPECT_EQ(reader->C_GetAttributeValue(reading, object, &attribute, 1), CKR_OK);
    return std::string(text, std::min<CK_ULONG>(attribute.ulValueLen, sizeof text));
  };
  EXPECT_EQ(label(), "before");
  mock.rules.set("C_SetAttributeValue hang=" + gate.string() + " times=1");
  EXPECT_EQ(application->set_label(session, object, "after"), CKR_DEVICE_ERROR);
  EXPECT_EQ(label(), "before");
  std::ofstream{gate};
  EXPECT_TRUE(eventually([&] { return proxyd.worker("public")["stuck_lanes"] == 0; }));
  EXPECT_EQ(label(), "after");
}

TEST_F(Hang, TooManyStuckLanesEndTheWorker) {
  const pid_t worker = proxyd.worker_pid("public");
  mock.rules.set("C_Digest hang=" + gate.string() + " times=3");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(digest(i == 1 ? other : session), CKR_DEVICE_ERROR);
  EXPECT_TRUE(eventually([&] { return digest(session) == CKR_OK; }));
  EXPECT_NE(proxyd.worker_pid("public"), worker);
  EXPECT_EQ(proxyd.worker("public")["stuck_lanes"], 0);
}

// Only the calls that hang are given up: what else runs in the worker may end, then it is replaced.
TEST(HangOfSome, TooManyStuckLanesLetTheOthersEnd) {
  MockModule mock;
  PrivateProxyd proxyd(mock.config("lanes = 2\nmax_stuck_lanes = 1\nsessions_rw = 4", "",
                                   "deadline = \"500ms\"\nkeygen_deadline = \"1m\""));
  proxyd.start();
  TestApplication application(proxyd);
  const CK_SESSION_HANDLE makes = application.open(), hangs = application.open();
  const pid_t worker = proxyd.worker_pid("public");
  const auto hang = mock.file("hang"), slow = mock.file("slow");
  mock.rules.set("C_Digest hang=" + hang.string() + " times=2\nC_GenerateKey hang=" + slow.string() + " times=1");
  CK_OBJECT_HANDLE key = 0;
  auto made =
      std::async(std::launch::async, [&] { return (key = application.generate_aes(makes, false, "key", false)); });
  ASSERT_TRUE(eventually([&] { return proxyd.worker("public")["busy_lanes"] == 1; }));
  CK_MECHANISM mechanism{CKM_SHA256, nullptr, 0};
  CK_BYTE data[] = {1, 2, 3}, out[64];
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(application->C_DigestInit(hangs, &mechanism), CKR_OK);
    CK_ULONG length = sizeof out;
    EXPECT_EQ(application->C_Digest(hangs, data, sizeof data, out, &length), CKR_DEVICE_ERROR);
  }
  EXPECT_EQ(proxyd.worker_pid("public"), worker);
  std::ofstream{slow};
  EXPECT_NE(made.get(), CK_INVALID_HANDLE);
  EXPECT_TRUE(eventually([&] {
    CK_BYTE bytes[16];
    return application->C_GenerateRandom(hangs, bytes, sizeof bytes) == CKR_OK && proxyd.worker_pid("public") != worker;
  }));
  std::ofstream{hang};
}

// What proxyd asks of the module on its own account has no deadline of an application's.
TEST_F(Hang, LoginThatHangsEndsItsWorkerNotTheService) {
  mock.rules.set("C_Login hang=" + gate.string() + " times=1");
  EXPECT_EQ(application->log_in(session, kMockPin), CKR_DEVICE_ERROR);
  EXPECT_EQ(random(session), CKR_OK);
  EXPECT_TRUE(eventually([&] { return application->log_in(session, kMockPin) == CKR_OK; }));
  EXPECT_EQ(random(session), CKR_OK);
  EXPECT_EQ((*application)->C_Logout(session), CKR_OK);
}

TEST_F(Hang, SessionThatCannotBeOpenedEndsTheWorkerNotTheService) {
  mock.rules.set("C_OpenSession hang=" + gate.string() + " times=1");
  CK_SESSION_HANDLE read_only = 0;
  EXPECT_EQ((*application)->C_OpenSession(0, CKF_SERIAL_SESSION, nullptr, nullptr, &read_only), CKR_DEVICE_ERROR);
  EXPECT_TRUE(eventually(
      [&] { return (*application)->C_OpenSession(0, CKF_SERIAL_SESSION, nullptr, nullptr, &read_only) == CKR_OK; }));
  EXPECT_EQ(random(read_only), CKR_OK);
}

}  // namespace
}  // namespace p11shim
