// audit keys.
#include <algorithm>
#include <set>

#include "schema.h"
#include "toolbox.h"

namespace p11shim {
namespace {

using nlohmann::json;

// CN=old.example, signed by itself with SHA-1, over since 2020-01-01.
constexpr char kOldCertificate[] = R"(-----BEGIN CERTIFICATE-----
MIIBRTCB7KADAgECAgEBMAkGByqGSM49BAEwFjEUMBIGA1UEAwwLb2xkLmV4YW1w
bGUwHhcNMTkwMTAxMDAwMDAwWhcNMjAwMTAxMDAwMDAwWjAWMRQwEgYDVQQDDAtv
bGQuZXhhbXBsZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABFAm0WYgI4ZI7ry6
gvk5EkJzUb4vKMLtE969lSS4Gdbn06FqxRl5QygNyJnejzghmJ/l4Bhs+hKSWUhB
0DKeDXajLDAqMAkGA1UdEwQCMAAwHQYDVR0OBBYEFOSuSBaCfs6vKzL+HFl1PjHC
T/J0MAkGByqGSM49BAEDSQAwRgIhAKRKLDXeCKywCggA5K9f3zIrtBHAUyF5VVyh
8v6tK44SAiEA9HTV6A4I5kJrfrwJS/lUt4zzqeENTCPvq04Q3Fcuo3s=
-----END CERTIFICATE-----
)";

class AuditTest : public ToolboxTest {
 protected:
  // "rule label" of each finding.
  std::set<std::string> findings(Words words = {}) {
    words.insert(words.begin(), {"audit", "keys"});
    answer = data(words);
    std::set<std::string> all;
    for (const json& finding : answer["findings"])
      all.insert(finding["rule"].get<std::string>() + " " + finding["label"].get<std::string>());
    return all;
  }
  json finding(const std::string& rule) const {
    for (const json& each : answer["findings"])
      if (each["rule"] == rule) return each;
    return json::object();
  }
  void make(const std::string& type, const std::string& label, const std::string& attributes = "",
            const std::string& id = "") {
    Words words{"key", "gen", "--type", type, "--label", label, "--allow-duplicate"};
    if (!attributes.empty()) words.insert(words.end(), {"--attr", attributes});
    if (!id.empty()) words.insert(words.end(), {"--id", id});
    ASSERT_EQ(tool(words), 0) << err;
  }

  json answer;
};
INSTANTIATE_TEST_SUITE_P(Ways, AuditTest, testing::Values(Way::kDirect, Way::kProxied), name_of);

TEST_P(AuditTest, AnEmptyTokenHasNoFindings) {
  EXPECT_TRUE(findings().empty());
  EXPECT_EQ(code, 0);
  ASSERT_EQ(tool({"audit", "keys"}), 0) << err;
  EXPECT_EQ(out, "nothing found\n");
}

TEST_P(AuditTest, FindsWhatIsWeakAndOpen) {
  make("rsa:1024", "short");
  make("rsa:2048", "both");
  make("aes:256", "open", "!sensitive extractable");
  make("aes:256", "loose", "extractable !wrap");
  make("des3", "old", "!wrap");
  make("generic:64", "small");
  make("ec:P-256", "good", "end-date=2999-12-31");
  make("aes:128", "over", "end-date=2020-01-31 !private !wrap");  // SoftHSM reads no dates of private objects
  const auto found = findings();
  EXPECT_EQ(code, 1);  // high and above
  for (const char* wanted : {"rsa-too-short short", "signs-and-decrypts both", "not-sensitive open",
                             "extractable loose", "triple-des old", "secret-too-short small", "key-expired over",
                             "not-private over", "wraps-and-decrypts open", "no-limits both", "no-certificate good"})
    EXPECT_TRUE(found.contains(wanted)) << wanted << "\n" << answer.dump(1);
  for (const char* absent : {"rsa-too-short both", "no-limits good", "key-expired good", "weak-curve good",
                             "extractable good", "not-private good", "wraps-and-decrypts loose"})
    EXPECT_FALSE(found.contains(absent)) << absent;
  EXPECT_EQ(answer["findings"][0]["severity"], "critical");
  EXPECT_EQ(finding("not-sensitive")["severity"], "critical");
  EXPECT_EQ(finding("wraps-and-decrypts")["severity"], "critical");  // others are extractable
  EXPECT_FALSE(finding("rsa-too-short")["fix"].empty());
}

TEST_P(AuditTest, TheExitCodeFollowsTheSeverity) {
  make("des3", "old", "!wrap end-date=2999-12-31");
  EXPECT_EQ(tool({"audit", "keys"}), 0);
  EXPECT_EQ(tool({"audit", "keys", "--fail-on", "medium"}), 1);
  EXPECT_EQ(tool({"audit", "keys", "--fail-on", "medium", "--ignore", "triple-des"}), 0);
  EXPECT_EQ(tool({"audit", "keys", "--fail-on", "never"}), 0);
  error({"audit", "keys", "--ignore", "tripel-des"}, 2);
  EXPECT_NE(err.find("did you mean"), std::string::npos) << err;
  error({"audit", "keys", "--fail-on", "dreadful"}, 2);
}

TEST_P(AuditTest, FindsKeysThatAreOneAndNamesThatAreTwo) {
  write("old.key", R"(-----BEGIN EC PRIVATE KEY-----
MHcCAQEEILkvmeimD7rD8G8tEY/hvoda9UbmNmmlLCS6TBOKeVVYoAoGCCqGSM49
AwEHoUQDQgAEUCbRZiAjhkjuvLqC+TkSQnNRvi8owu0T3r2VJLgZ1ufToWrFGXlD
KA3Imd6POCGYn+XgGGz6EpJZSEHQMp4Ndg==
-----END EC PRIVATE KEY-----
)");
  for (const char* label : {"one", "two"})
    ASSERT_EQ(
        tool({"key", "import", path("old.key"), "--label", label, "--id", label == std::string("one") ? "01" : "02"}),
        0)
        << err;
  make("aes:128", "same", "", "0a");
  make("aes:256", "same", "", "0b");
  make("aes:256", "other", "", "0b");
  auto found = findings();
  EXPECT_TRUE(found.contains("duplicate-key one") || found.contains("duplicate-key two")) << answer.dump(1);
  EXPECT_TRUE(found.contains("was-extractable one"));
  EXPECT_TRUE(found.contains("ambiguous-label same"));
  EXPECT_TRUE(found.contains("ambiguous-id other") || found.contains("ambiguous-id same"));
  EXPECT_TRUE(found.contains("no-certificate one"));

  ASSERT_EQ(tool({"key", "import", write("old.pem", kOldCertificate), "--label", "cert", "--id", "01"}), 0) << err;
  found = findings();
  EXPECT_TRUE(found.contains("certificate-expired cert")) << answer.dump(1);
  EXPECT_EQ(finding("certificate-expired")["detail"], "ended 2020-01-01");
  EXPECT_TRUE(found.contains("certificate-weak cert"));
  EXPECT_FALSE(found.contains("no-certificate one"));
  EXPECT_FALSE(found.contains("certificate-alone cert"));
}

TEST_P(AuditTest, CertificatesThatEndSoonAreFound) {
  make("ec:P-256", "k", "", "01");
  ASSERT_EQ(tool({"key", "cert", "k", "--subject", "/CN=k", "--days", "10", "--out", path("c.pem")}), 0) << err;
  ASSERT_EQ(tool({"key", "import", path("c.pem"), "--label", "cert", "--id", "01"}), 0) << err;
  EXPECT_TRUE(findings().contains("certificate-expires cert"));
  EXPECT_FALSE(findings({"--days", "5"}).contains("certificate-expires cert"));
}

TEST_P(AuditTest, ComparesWithASnapshot) {
  make("des3", "old", "!wrap end-date=2999-12-31", "01");
  ASSERT_EQ(tool({"audit", "keys", "--snapshot", path("before.json")}), 0) << err;
  EXPECT_EQ(schema_error(json::parse(read("before.json"))), "");
  EXPECT_EQ(tool({"audit", "keys", "--diff", path("before.json"), "--fail-on", "info"}), 0) << out << err;

  ASSERT_EQ(tool({"key", "set", "old", "!encrypt"}), 0) << err;
  make("aes:128", "new", "!wrap end-date=2999-12-31 extractable", "02");
  findings({"--diff", path("before.json"), "--fail-on", "medium"});
  EXPECT_EQ(code, 1);
  std::set<std::string> changed;
  for (const json& change : answer["changes"])
    changed.insert(change["change"].get<std::string>() + " " + change["identity"].get<std::string>() +
                   (change["attribute"].is_null() ? "" : " " + change["attribute"].get<std::string>()));
  EXPECT_EQ(changed, (std::set<std::string>{"added secret new 02", "changed secret old 01 encrypt"}));
  EXPECT_EQ(finding("triple-des")["new"], false);
  EXPECT_EQ(finding("extractable")["new"], true);
  ASSERT_EQ(tool({"key", "delete", "new", "--yes"}), 0) << err;
  EXPECT_EQ(tool({"audit", "keys", "--diff", path("before.json"), "--fail-on", "medium"}), 0);
  EXPECT_NE(err.find("changed: secret old 01: encrypt was true, is false"), std::string::npos) << err;
  error({"audit", "keys", "--diff", write("nonsense", "{}")}, 3);
  error({"audit", "keys", "--diff", write("wrong", R"({"schema":"p11shim.audit.snapshot/1","data":{}})")}, 3);
}

}  // namespace
}  // namespace p11shim
