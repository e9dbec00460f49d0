// The audit log has one record for each logical operation, and sizes in it are those of data.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "application.h"
#include "configs.h"

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

}  // namespace
}  // namespace p11shim
