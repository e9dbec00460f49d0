// key import, export-pub, wrap, unwrap, rewrap, csr, cert: what goes in and comes out, compared with openssl.
#include "toolbox.h"

namespace p11shim {
namespace {

using nlohmann::json;

class TransferTest : public ToolboxTest {};
INSTANTIATE_TEST_SUITE_P(Ways, TransferTest, testing::Values(Way::kDirect, Way::kProxied), name_of);

TEST_P(TransferTest, ImportsWhatOpensslMakes) {
  ASSERT_EQ(shell("openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pem 2>/dev/null && "
                  "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out ec.pem && "
                  "openssl genpkey -algorithm ED25519 -outform DER -out ed.der && "
                  "openssl req -x509 -key ec.pem -subj /CN=c -out cert.pem"),
            0)
      << err;
  write("m", "message");
  for (const char* name : {"rsa.pem", "ec.pem", "ed.der"}) {
    const json made = data({"key", "import", path(name), "--label", name});
    ASSERT_EQ(made["keys"].size(), 2u) << err;
    ASSERT_EQ(tool({"sign", "--key", name, "--in", path("m"), "--out", path("s")}), 0) << name << err;
    EXPECT_EQ(data({"verify", "--key", name, "--in", path("m"), "--signature", path("s")})["valid"], true) << name;
    ASSERT_EQ(tool({"key", "export-pub", name, "--out", path("pub")}), 0) << err;
    const std::string form = std::string(name).ends_with("der") ? " -inform DER" : "";
    EXPECT_EQ(shell("openssl pkey -in " + std::string(name) + form + " -pubout | cmp - pub"), 0) << name << err;
  }
  EXPECT_EQ(data({"key", "import", path("cert.pem"), "--label", "c"})["keys"][0]["class"], "cert");
}

TEST_P(TransferTest, ImportRefusesWhatIsNoKey) {
  write("text", "hello");
  error({"key", "import", path("text"), "--label", "k"}, 2);
  error({"key", "import", path("text"), "--type", "aes", "--label", "k"}, 2);
  error({"key", "import", path("missing"), "--label", "k"}, 7);
  ASSERT_EQ(shell("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -aes128 -pass pass:x -out enc.pem"),
            0);
  EXPECT_EQ(error({"key", "import", path("enc.pem"), "--label", "k"}, 2)["why"], "its key is encrypted");
}

TEST_P(TransferTest, ExportsPublicKeys) {
  ASSERT_EQ(tool({"key", "gen", "--label", "k"}), 0) << err;
  const json exported = data({"key", "export-pub", "k"});
  EXPECT_TRUE(exported["pem"].get<std::string>().starts_with("-----BEGIN PUBLIC KEY-----\n"));
  ASSERT_EQ(tool({"key", "export-pub", "k", "--format", "der", "--out", path("der")}), 0) << err;
  write("pem", exported["pem"]);
  EXPECT_EQ(shell("openssl pkey -pubin -in pem -outform der | cmp - der"), 0) << err;
  error({"key", "export-pub", "nope"}, 7);
}

TEST_P(TransferTest, WrapsAndUnwraps) {
  for (const char* label : {"kek", "kek2"}) ASSERT_EQ(tool({"key", "gen-secret", "--label", label}), 0) << err;
  ASSERT_EQ(tool({"key", "gen-secret", "--label", "k", "--attr", "extractable"}), 0) << err;
  ASSERT_EQ(tool({"key", "wrap", "k", "--with", "kek", "--out", path("w")}), 0) << err;
  ASSERT_EQ(
      tool({"key", "rewrap", path("w"), "--with", "kek", "--to", "kek2", "--type", "aes:256", "--out", path("w2")}), 0)
      << err;
  EXPECT_NE(read("w"), read("w2"));
  EXPECT_EQ(data({"key", "unwrap", path("w2"), "--with", "kek2", "--type", "aes:256", "--label", "u"})["keys"].size(),
            1u);
  const auto kcv = data({"key", "kcv", "k"})["kcv"];
  EXPECT_EQ(data({"key", "kcv", "u"})["kcv"], kcv);
  EXPECT_EQ(error({"key", "wrap", "kek", "--with", "kek2", "--out", path("n")}, 8)["explain"], "CKR_KEY_UNEXTRACTABLE");
  error({"key", "unwrap", path("w"), "--with", "kek2", "--type", "aes:256", "--label", "x"}, 8);
  error({"key", "wrap", "k", "--with", "kek", "--mechanism", "magic"}, 2);
}

TEST_P(TransferTest, ADryRunWritesNothing) {
  ASSERT_EQ(tool({"key", "gen-secret", "--label", "s", "--attr", "extractable"}), 0) << err;
  ASSERT_EQ(tool({"key", "gen-secret", "--label", "kek"}), 0) << err;
  ASSERT_EQ(tool({"key", "gen", "--label", "k"}), 0) << err;
  ASSERT_EQ(tool({"key", "wrap", "s", "--with", "kek", "--out", path("w")}), 0) << err;
  const std::vector<Words> commands{{"key", "wrap", "s", "--with", "kek"},
                                    {"key", "rewrap", path("w"), "--with", "kek", "--to", "kek", "--type", "aes:256"},
                                    {"key", "export-pub", "k"},
                                    {"key", "csr", "k", "--subject", "/CN=k"},
                                    {"key", "cert", "k", "--subject", "/CN=k"}};
  for (Words words : commands) {
    words.insert(words.end(), {"--out", path("new"), "--dry-run"});
    EXPECT_EQ(tool(words), 0) << words[1] << err;
    EXPECT_FALSE(std::filesystem::exists(path("new"))) << words[1];
  }
  const auto before = data({"key", "list"})["keys"].size();
  EXPECT_EQ(tool({"key", "unwrap", path("w"), "--with", "kek", "--type", "aes:256", "--label", "again", "--dry-run"}),
            0)
      << err;
  EXPECT_EQ(data({"key", "list"})["keys"].size(), before);
}

TEST_P(TransferTest, RequestsAndCertificatesAreGood) {
  for (const char* type : {"rsa:2048", "ec:P-256", "ed25519"}) {
    ASSERT_EQ(tool({"key", "gen", "--type", type, "--label", type}), 0) << err;
    ASSERT_EQ(tool({"key", "csr", type, "--subject", "/CN=example.org/O=Example, Ltd", "--out", path("csr")}), 0)
        << err;
    EXPECT_EQ(shell("openssl req -in csr -verify -noout -subject"), 0) << type << err;
    EXPECT_NE(out.find("example.org"), std::string::npos) << out;
    ASSERT_EQ(tool({"key", "cert", type, "--subject", "CN=example.org", "--out", path("cert")}), 0) << err;
    EXPECT_EQ(shell("openssl verify -check_ss_sig -CAfile cert cert"), 0) << type << out << err;
  }
  for (const char* verb : {"csr", "cert"}) {
    const json made = data({"key", verb, "rsa:2048", "--subject", "/CN=k"});
    EXPECT_EQ(made["key"], "rsa:2048");
    EXPECT_TRUE(made["pem"].get<std::string>().starts_with("-----BEGIN CERTIFICATE")) << made;
  }
  error({"key", "csr", "rsa:2048", "--subject", "/nonsense"}, 2);
  error({"key", "cert", "nope", "--subject", "/CN=x"}, 7);
}

}  // namespace
}  // namespace p11shim
