// The audit log has one record for each logical operation, and sizes in it are those of data.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "application.h"
#include "mock_members.h"
#include "pool_members.h"

namespace p11shim {
namespace {

using Records = std::vector<nlohmann::json>;

// Of class use.
Records records_in(const std::filesystem::path& file) {
  Records all;
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);)
    if (auto record = nlohmann::json::parse(line); record["class"] == "use") all.push_back(std::move(record));
  return all;
}

class Audit : public testing::Test {
 protected:
  MockModule mock;
  const std::filesystem::path file = mock.file("audit.jsonl");
  PrivateProxyd proxyd{"audit.enabled = true\naudit.file = \"" + file.string() + "\"\n" + mock.config()};
  std::optional<TestApplication> application;
  CK_SESSION_HANDLE session = 0;

  void SetUp() override {
    proxyd.start();
    application.emplace(proxyd);
    session = application->open();
  }
  // Ends the application and proxyd, which then has written all.
  Records records() {
    application.reset();
    EXPECT_EQ(proxyd.stop(), 0);
    return records_in(file);
  }
  CK_RV begin_digest() const {
    CK_MECHANISM mechanism{CKM_SHA256, nullptr, 0};
    return (*application)->C_DigestInit(session, &mechanism);
  }
  CK_BYTE data[100] = {}, out[256];
  CK_ULONG length = sizeof out;
};

TEST_F(Audit, MultiPartOperationIsOneRecord) {
  ASSERT_EQ(begin_digest(), CKR_OK);
  for (int i = 0; i < 3; ++i) ASSERT_EQ((*application)->C_DigestUpdate(session, data, sizeof data), CKR_OK);
  ASSERT_EQ((*application)->C_DigestFinal(session, nullptr, &length), CKR_OK);  // a length query
  ASSERT_EQ((*application)->C_DigestFinal(session, out, &length), CKR_OK);
  const CK_ULONG size = length;
  const Records all = records();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0]["function"], "C_DigestFinal");
  EXPECT_EQ(all[0]["mechanism"], "CKM_SHA256");
  EXPECT_EQ(all[0]["rv"], "CKR_OK");
  EXPECT_EQ(all[0]["in"], 300);
  EXPECT_EQ(all[0]["out"], size);
  EXPECT_FALSE(all[0].contains("unfinished"));
}

TEST_F(Audit, EachCallHasATraceOfItsApplication) {
  for (int i = 0; i < 2; ++i) ASSERT_EQ((*application)->C_GenerateRandom(session, out, 24), CKR_OK);
  const Records all = records();
  ASSERT_EQ(all.size(), 2u);
  for (const auto& record : all) {
    const std::string trace = record["trace"], application_id = record["application"];
    ASSERT_EQ(trace.size(), 32u);
    EXPECT_EQ(trace.substr(0, 16), application_id.substr(0, 16));
  }
  EXPECT_LT(all[0]["trace"], all[1]["trace"]);
}

TEST_F(Audit, CallsAreOfTheTraceThatTheEnvironmentNames) {
  const std::string trace = "4bf92f3577b34da6a3ce929d0e0e4736";
  ::setenv("TRACEPARENT", ("00-" + trace + "-00f067aa0ba902b7-01").c_str(), 1);
  application.emplace(proxyd);
  ::unsetenv("TRACEPARENT");
  session = application->open();
  ASSERT_EQ((*application)->C_GenerateRandom(session, out, 24), CKR_OK);
  ASSERT_EQ(begin_digest(), CKR_OK);
  ASSERT_EQ((*application)->C_Digest(session, data, sizeof data, out, &length), CKR_OK);
  const Records all = records();
  ASSERT_EQ(all.size(), 2u);
  for (const auto& record : all) EXPECT_EQ(record["trace"], trace);
}

TEST(AuditOfKeys, RecordOfTheOperationNamesTheKeyOfItsInit) {
  if (!SofthsmTokens::installed()) GTEST_SKIP() << "softhsm2 is not installed";
  const SofthsmTokens tokens;
  const std::filesystem::path file = tokens.path() / "audit.jsonl";
  PrivateProxyd proxyd("audit.enabled = true\naudit.file = \"" + file.string() + "\"\n" + tokens.config());
  proxyd.start();
  CK_BYTE iv[16] = {}, data[100] = {}, out[256];
  CK_ULONG length = sizeof out;
  {
    TestApplication application(proxyd);
    const auto session = application.open();
    ASSERT_EQ(application.log_in(session, compare::kUserPin), CKR_OK);
    const auto key = application.generate_aes(session, false, "audited");
    CK_MECHANISM mechanism{CKM_AES_CBC_PAD, iv, sizeof iv};
    ASSERT_EQ(application->C_EncryptInit(session, &mechanism, key), CKR_OK);
    ASSERT_EQ(application->C_Encrypt(session, data, sizeof data, out, &length), CKR_OK);
  }
  ASSERT_EQ(proxyd.stop(), 0);
  const Records all = records_in(file);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0]["function"], "C_Encrypt");
  EXPECT_EQ(all[0]["mechanism"], "CKM_AES_CBC_PAD");
  EXPECT_EQ(all[0]["key"]["label"], "audited");
  EXPECT_EQ(all[0]["key"]["class"], "CKO_SECRET_KEY");
  EXPECT_EQ(all[0]["in"], sizeof data);
  EXPECT_EQ(all[0]["out"], length);
}

TEST_F(Audit, FailureIsARecordOfItsOwn) {
  mock.rules.set("C_DigestInit rv=CKR_MECHANISM_INVALID times=1\nC_Digest rv=CKR_DEVICE_MEMORY times=1");
  EXPECT_EQ(begin_digest(), CKR_MECHANISM_INVALID);
  ASSERT_EQ(begin_digest(), CKR_OK);
  EXPECT_EQ((*application)->C_Digest(session, data, sizeof data, out, &length), CKR_DEVICE_MEMORY);
  const Records all = records();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0]["function"], "C_DigestInit");
  EXPECT_EQ(all[0]["rv"], "CKR_MECHANISM_INVALID");
  EXPECT_EQ(all[1]["function"], "C_Digest");
  EXPECT_EQ(all[1]["rv"], "CKR_DEVICE_MEMORY");
  EXPECT_EQ(all[1]["mechanism"], "CKM_SHA256");
}

TEST_F(Audit, OperationThatIsGivenUpIsRecordedWhenItsSessionEnds) {
  ASSERT_EQ(begin_digest(), CKR_OK);
  ASSERT_EQ((*application)->C_DigestUpdate(session, data, sizeof data), CKR_OK);
  ASSERT_EQ((*application)->C_CloseSession(session), CKR_OK);
  const Records all = records();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0]["function"], "C_DigestUpdate");
  EXPECT_EQ(all[0]["unfinished"], true);
  EXPECT_EQ(all[0]["in"], sizeof data);
}

TEST_F(Audit, CallWithoutAnOperationIsOneRecord) {
  ASSERT_EQ((*application)->C_GenerateRandom(session, out, 24), CKR_OK);
  const Records all = records();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0]["function"], "C_GenerateRandom");
  EXPECT_EQ(all[0]["out"], 24);
}

TEST(AuditOfPools, RecordSaysHowOftenTheOperationWasTried) {
  MockMembers members(2);
  const compare::PrivateDirectory directory;
  const std::filesystem::path file = directory.path() / "audit.jsonl";
  PrivateProxyd proxyd("audit.enabled = true\naudit.file = \"" + file.string() + "\"\n" +
                       members.config("strategy = \"failover\"\nprobe = { call = \"none\" }\n"));
  proxyd.start();
  CK_BYTE data[100] = {}, out[256];
  CK_ULONG length = sizeof out;
  {
    TestApplication application(proxyd);
    const auto session = application.open();
    ASSERT_EQ(application.log_in(session, kMockPin), CKR_OK);
    ASSERT_TRUE(eventually([&] { return members_up(proxyd) == 2; }));
    members.set(0, "C_GenerateRandom|C_Digest rv=CKR_DEVICE_ERROR times=2");
    ASSERT_EQ(application->C_GenerateRandom(session, out, 8), CKR_OK);
    CK_MECHANISM mechanism{CKM_SHA256, nullptr, 0};
    ASSERT_EQ(application->C_DigestInit(session, &mechanism), CKR_OK);
    ASSERT_EQ(application->C_Digest(session, data, sizeof data, out, &length), CKR_OK);
    ASSERT_EQ(application->C_GenerateRandom(session, out, 8), CKR_OK);
  }
  ASSERT_EQ(proxyd.stop(), 0);
  const Records all = records_in(file);
  ASSERT_EQ(all.size(), 3u);
  for (const std::size_t retried : {0, 1}) {
    EXPECT_EQ(all[retried]["attempts"], 2) << all[retried];
    EXPECT_EQ(all[retried]["member"], "mock1") << all[retried];
  }
  EXPECT_EQ(all[2]["attempts"], 1) << all[2];
}

}  // namespace
}  // namespace p11shim
