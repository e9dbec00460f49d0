// key list, find, show, diff, gen, gen-secret, kcv, copy, rename, set, delete.
#include <map>

#include "toolbox.h"

namespace p11shim {
namespace {

using nlohmann::json;

class KeyTest : public ToolboxTest {};
INSTANTIATE_TEST_SUITE_P(Ways, KeyTest, testing::Values(Way::kDirect, Way::kProxied), name_of);

TEST_P(KeyTest, EveryTypeOfKeyIsMade) {
  for (const char* type : {"rsa:2048", "ec:P-256", "ec:P-384", "ec:secp521r1", "ec:secp256k1", "ec:brainpoolP256r1",
                           "ed25519", "aes:128", "hmac:512", "generic:160", "des3"}) {
    const json key = data({"key", "gen", "--type", type, "--label", type});
    EXPECT_EQ(key["label"], type) << out << err;
    EXPECT_EQ(key["sensitive"], true);
    EXPECT_EQ(key["extractable"], false);
  }
  EXPECT_EQ(data({"key", "gen-secret", "--label", "s"})["size"], 256);
  const json listed = data({"key", "list"});
  EXPECT_EQ(listed["keys"].size(), 7u * 2 + 5);
  EXPECT_EQ(data({"key", "list", "--class", "secret", "--type", "aes"})["keys"].size(), 2u);
}

TEST_P(KeyTest, GenerationRefusesWhatCannotBe) {
  EXPECT_NE(error({"key", "gen", "--type", "ec:P-257", "--label", "k"}, 2)["why"].get<std::string>().find("P-257"),
            std::string::npos);
  EXPECT_NE(error({"key", "gen", "--type", "rsb", "--label", "k"}, 2)["why"].get<std::string>().find("rsa"),
            std::string::npos);
  EXPECT_EQ(error({"key", "gen", "--type", "chacha20", "--label", "k"}, 8)["explain"], "CKR_MECHANISM_INVALID");
  error({"key", "gen", "--label", "k", "--attr", "sing"}, 2);
  EXPECT_NE(err.find("did you mean"), std::string::npos) << err;
  EXPECT_EQ(tool({"key", "gen", "--label", "k", "--dry-run"}), 0);
  EXPECT_EQ(data({"key", "list"})["keys"].size(), 0u);
  EXPECT_EQ(tool({"key", "gen", "--label", "k"}), 0) << err;
  error({"key", "gen", "--label", "k"}, 7);
  EXPECT_EQ(tool({"key", "gen", "--label", "k", "--allow-duplicate"}), 0) << err;
}

TEST_P(KeyTest, AttributesAreGivenAsWords) {
  const json key = data({"key", "gen", "--type", "rsa:2048", "--label", "k", "--id", "0a1b", "--attr",
                         "!decrypt CKA_EXTRACTABLE", "--public-attr", "start-date=2026-01-31"});
  EXPECT_EQ(key["id"], "0a1b");
  EXPECT_EQ(key["extractable"], true);
  EXPECT_EQ(key["usage"], json::array({"sign"}));
  EXPECT_EQ(data({"key", "show", "k", "--class", "public"})["attributes"]["start_date"], "2026-01-31");
}

TEST_P(KeyTest, ShowTellsEverythingButSecrets) {
  ASSERT_EQ(tool({"key", "gen", "--label", "k"}), 0) << err;
  const json key = data({"key", "show", "k"});
  EXPECT_EQ(key["class"], "private");
  EXPECT_EQ(key["size"], "P-256");
  EXPECT_EQ(key["provenance"]["never_left_the_token"], true);
  EXPECT_FALSE(key["attributes"].contains("value"));
  EXPECT_EQ(key["sensitive_attributes"], json::array({"value"}));
  ASSERT_EQ(tool({"key", "export-pub", "k"}), 0) << err;
  write("pub.pem", out);
  ASSERT_EQ(shell("openssl pkey -pubin -in pub.pem -outform der | openssl sha256 -r | cut -d' ' -f1"), 0) << err;
  EXPECT_EQ(key["spki_sha256"].get<std::string>() + "\n", out);
  EXPECT_EQ(data({"key", "show", "k", "--class", "public"})["class"], "public");
  EXPECT_EQ(data({"key", "show", "id:" + key["id"].get<std::string>()})["label"], "k");
  EXPECT_EQ(data({"key", "show", "pkcs11:object=k;type=public"})["class"], "public");
  ASSERT_EQ(tool({"key", "rename", "k", "signing"}), 0) << err;
  error({"key", "show", "singing"}, 7);
  EXPECT_NE(err.find("did you mean"), std::string::npos) << err;
}

TEST_P(KeyTest, FindsWhatIsNearlyCalledSo) {
  for (const char* label : {"Signing", "signing-2026", "my-signing", "singing", "other"}) {
    ASSERT_EQ(tool({"key", "gen-secret", "--label", label}), 0) << err;
  }
  const json similar = data({"key", "find", "signing", "--similar"});
  std::map<std::string, std::string> kinds;
  for (const auto& key : similar["keys"]) kinds[key["label"]] = key["match"]["kind"];
  const std::map<std::string, std::string> expected{
      {"Signing", "case"}, {"signing-2026", "prefix"}, {"my-signing", "part"}, {"singing", "edit"}};
  EXPECT_EQ(kinds, expected);
  EXPECT_EQ(data({"key", "find", "other"})["keys"].size(), 1u);
  EXPECT_EQ(tool({"key", "find", "nothing-like-it"}), 1);
}

TEST_P(KeyTest, DiffTellsHowBadItIs) {
  ASSERT_EQ(tool({"key", "gen", "--label", "a"}), 0) << err;
  ASSERT_EQ(tool({"key", "gen", "--label", "b", "--attr", "extractable"}), 0) << err;
  EXPECT_EQ(data({"key", "diff", "a", "a"})["worst"], json());
  EXPECT_EQ(code, 0);
  const json diff = data({"key", "diff", "a", "b"});
  EXPECT_EQ(code, 1);
  EXPECT_EQ(diff["worst"], "critical");
  EXPECT_EQ(diff["same_public_key"], false);
  error({"key", "diff", "a", "c"}, 7);
  error({"key", "diff", "a", "--other-token", "nope"}, 7);
}

TEST_P(KeyTest, CheckValuesAreThoseOfOpenssl) {
  write("aes", std::string(32, 'k'));
  ASSERT_EQ(tool({"key", "import", path("aes"), "--type", "aes:256", "--label", "k"}), 0) << err;
  std::string digits;
  for (int i = 0; i < 32; ++i) digits += "6b";
  ASSERT_EQ(shell("head -c 16 /dev/zero | openssl enc -aes-256-ecb -nopad -K " + digits +
                  " | od -An -tx1 | tr -d ' \\n' | head -c 6"),
            0)
      << err;
  const std::string expected = out;
  EXPECT_EQ(data({"key", "kcv", "k"})["kcv"], expected);
  EXPECT_EQ(tool({"key", "kcv", "k", "-o", "plain"}), 0);
  EXPECT_EQ(out, expected + "\n");
  EXPECT_EQ(data({"key", "kcv", "k", "--method", "cmac"})["kcv"].get<std::string>().size(), 10u);
  ASSERT_EQ(tool({"key", "gen-secret", "--type", "hmac", "--label", "h"}), 0) << err;
  error({"key", "kcv", "h"}, 2);
}

TEST_P(KeyTest, KeysAreCopiedRenamedChangedAndDeleted) {
  ASSERT_EQ(tool({"key", "gen", "--label", "k"}), 0) << err;
  EXPECT_EQ(data({"key", "copy", "k", "--label", "copy", "--class", "public"})["keys"][0]["label"], "copy");
  EXPECT_EQ(data({"key", "rename", "k", "renamed"})["keys"].size(), 2u);
  error({"key", "show", "k"}, 7);
  EXPECT_EQ(data({"key", "set", "renamed", "!sign id=beef"})["keys"][0]["id"], "beef");
  error({"key", "set", "renamed", "!sign=1"}, 2);
  error({"key", "rename", "renamed", "copy"}, 7);
  error({"key", "delete", "renamed"}, 2);  // nobody is there to be asked
  EXPECT_EQ(tool({"key", "delete", "copy", "--dry-run"}), 0) << err;
  EXPECT_EQ(data({"key", "delete", "copy", "--yes"})["keys"].size(), 1u);
  error({"key", "delete", "copy", "--yes"}, 7);
}

}  // namespace
}  // namespace p11shim
