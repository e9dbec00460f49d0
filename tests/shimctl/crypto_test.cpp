// sign, verify, encrypt, decrypt, hash, hmac, cmac, random, derive: with openssl at the other end.
#include <openssl/evp.h>

#include <memory>

#include "tests/places.h"
#include "toolbox.h"

namespace p11shim {
namespace {

using nlohmann::json;

class CryptoTest : public ToolboxTest {
 protected:
  void make(const char* type, const char* label) {
    ASSERT_EQ(tool({"key", "gen", "--type", type, "--label", label}), 0) << err;
    ASSERT_EQ(tool({"key", "export-pub", label, "--out", path(std::string(label) + ".pub")}), 0) << err;
  }
};
INSTANTIATE_TEST_SUITE_P(Ways, CryptoTest, testing::Values(Way::kDirect, Way::kProxied), name_of);

TEST_P(CryptoTest, TheScriptWorksAsItStands) {
  const std::string way = GetParam() == Way::kDirect ? "--module $P11_MODULE " : "";
  write("m", "message");
  const std::string bin = build_dir() + "/bin";
  EXPECT_EQ(shell("set -e; PATH=" + bin + ":$PATH; export PIN=1234; p11=\"" + way +
                  "--token test --pin-from env:PIN\"\n"
                  "shimctl $p11 key gen --type ec:P-256 --label k\n"
                  "shimctl $p11 key list -o json\n"
                  "shimctl $p11 key export-pub k > pub.pem\n"
                  "shimctl $p11 sign --key k --hash sha256 --format der --in m --out s && "
                  "openssl dgst -sha256 -verify pub.pem -signature s m"),
            0)
      << out << err;
  EXPECT_NE(out.find("Verified OK"), std::string::npos) << out;
}

TEST_P(CryptoTest, RsaSignaturesAreOpenssls) {
  make("rsa:2048", "k");
  ASSERT_EQ(shell("head -c 300000 /dev/urandom > m"), 0);
  for (const char* hash : {"sha1", "sha224", "sha256", "sha384", "sha512"}) {
    for (const char* padding : {"pkcs1", "pss"}) {
      for (const bool on_token : {false, true}) {
        std::vector<std::string> words{"sign",  "--key", "k",       "--hash", hash,     "--padding",
                                       padding, "--in",  path("m"), "--out",  path("s")};
        if (on_token) words.push_back("--hash-on-token");
        ASSERT_EQ(tool(words), 0) << hash << padding << err;
        const std::string option = padding == std::string("pss") ? " -sigopt rsa_padding_mode:pss" : "";
        EXPECT_EQ(shell("openssl dgst -" + std::string(hash) + option + " -verify k.pub -signature s m"), 0)
            << hash << padding << out << err;
      }
    }
  }
  EXPECT_EQ(data({"verify", "--key", "k", "--hash", "sha512", "--padding", "pss", "--in", path("m"), "--signature",
                  path("s")})["valid"],
            true);
  EXPECT_EQ(data({"verify", "--key", "k", "--in", path("m"), "--signature", path("s")})["valid"], false);
  EXPECT_EQ(code, 1);
}

TEST_P(CryptoTest, EcSignaturesAreOpensslsInBothForms) {
  make("ec:P-384", "k");
  write("m", "message");
  for (const char* hash : {"sha256", "sha512", "sha3-256"}) {
    ASSERT_EQ(tool({"sign", "--key", "k", "--hash", hash, "--in", path("m"), "--out", path("s")}), 0) << err;
    EXPECT_EQ(shell("openssl dgst -" + std::string(hash) + " -verify k.pub -signature s m"), 0) << out << err;
  }
  ASSERT_EQ(tool({"sign", "--key", "k", "--format", "raw", "--in", path("m"), "--out", path("raw")}), 0) << err;
  EXPECT_EQ(read("raw").size(), 96u);
  EXPECT_EQ(tool({"verify", "--key", "k", "--format", "raw", "--in", path("m"), "--signature", path("raw")}), 0) << err;
  EXPECT_EQ(tool({"verify", "--key", "k", "--in", path("m"), "--signature", path("raw")}), 1) << err;
  ASSERT_EQ(shell("openssl sha256 -binary m > h"), 0);
  ASSERT_EQ(tool({"sign", "--key", "k", "--hash", "none", "--in", path("h"), "--out", path("s")}), 0) << err;
  EXPECT_EQ(shell("openssl dgst -sha256 -verify k.pub -signature s m"), 0) << out << err;
}

TEST_P(CryptoTest, EdwardsSignaturesAreOpenssls) {
  make("ed25519", "k");
  write("m", "message");
  const json signature = data({"sign", "--key", "k", "--in", path("m")});
  EXPECT_EQ(signature["signature"].get<std::string>().size(), 128u);
  ASSERT_EQ(tool({"sign", "--key", "k", "--in", path("m"), "--out", path("s")}), 0) << err;
  EXPECT_EQ(shell("openssl pkeyutl -verify -rawin -pubin -inkey k.pub -sigfile s -in m"), 0) << out << err;
}

TEST_P(CryptoTest, AKeyThatWantsThePinEachTimeGetsIt) {
  ASSERT_EQ(tool({"key", "gen", "--label", "k", "--attr", "always-authenticate"}), 0) << err;
  write("m", "message");
  ASSERT_EQ(tool({"sign", "--key", "k", "--in", path("m"), "--out", path("s")}), 0) << err;
  EXPECT_EQ(tool({"verify", "--key", "k", "--in", path("m"), "--signature", path("s")}), 0) << err;
}

TEST_P(CryptoTest, SigningFailsInOneLine) {
  make("ec:P-256", "k");
  write("m", "message");
  error({"sign", "--key", "k", "--hash", "sha265", "--in", path("m")}, 2);
  error({"sign", "--key", "k", "--in", path("missing")}, 7);
  error({"sign", "--key", "nope", "--in", path("m")}, 7);
  error({"verify", "--key", "k", "--in", path("m"), "--signature", path("missing")}, 7);
  ASSERT_EQ(tool({"key", "set", "k", "!sign"}), 0) << err;
  EXPECT_EQ(error({"sign", "--key", "k", "--in", path("m")}, 8)["explain"], "CKR_KEY_FUNCTION_NOT_PERMITTED");
}

TEST_P(CryptoTest, AFileThatWasWrittenIsToldInEveryForm) {
  write("m", "message");
  ASSERT_EQ(tool({"key", "gen-secret", "--label", "k"}), 0) << err;
  EXPECT_EQ(data({"encrypt", "--key", "k", "--in", path("m"), "--out", path("c")}),
            (json{{"out", path("c")}, {"bytes", 12 + 7 + 16}}));
  EXPECT_EQ(data({"decrypt", "--key", "k", "--in", path("c"), "--out", path("d")}),
            (json{{"out", path("d")}, {"bytes", 7}}));
  EXPECT_EQ(data({"hash", "--in", path("m"), "--out", path("h")})["bytes"], 32);
  EXPECT_EQ(data({"cmac", "--key", "k", "--in", path("m"), "--out", path("h")})["bytes"], 16);
  EXPECT_EQ(data({"random", "20", "--out", path("h")})["bytes"], 20);
  error({"encrypt", "--key", "k", "--in", path("m")}, 2);
  EXPECT_EQ(tool({"-o", "plain", "encrypt", "--key", "k", "--in", path("m")}), 0);
  EXPECT_EQ(out.size(), 12 + 7 + 16);
}

// SoftHSM takes OAEP with SHA-1 only.
TEST_P(CryptoTest, AHashThatTheTokenDoesNotTakeIsNamed) {
  make("rsa:2048", "k");
  write("m", "message");
  const json oaep =
      error({"encrypt", "--key", "k", "--mode", "oaep", "--hash", "sha256", "--in", path("m"), "--out", path("c")}, 8);
  EXPECT_EQ(oaep["what"], "the token does not take OAEP with sha256");
  const json pss = error({"sign", "--key", "k", "--padding", "pss", "--hash", "sha3-256", "--in", path("m")}, 8);
  EXPECT_EQ(pss["what"], "the token does not take PSS with sha3-256");
  EXPECT_FALSE(std::filesystem::exists(path("c")));
}

TEST_P(CryptoTest, AesIsOpensslsInBothDirections) {
  write("key", std::string(32, 'k'));
  ASSERT_EQ(tool({"key", "import", path("key"), "--type", "aes:256", "--label", "k"}), 0) << err;
  std::string digits;
  for (int i = 0; i < 32; ++i) digits += "6b";
  const std::string iv(32, '1');
  ASSERT_EQ(shell("head -c 1000000 /dev/urandom > m"), 0);
  for (const char* mode : {"cbc", "ctr"}) {
    const std::string openssl = "openssl enc -aes-256-" + std::string(mode) + " -K " + digits + " -iv " + iv;
    ASSERT_EQ(tool({"encrypt", "--key", "k", "--mode", mode, "--iv", iv, "--in", path("m"), "--out", path("c")}), 0)
        << err;
    EXPECT_EQ(shell(openssl + " -in m | cmp - c"), 0) << mode << err;
    EXPECT_EQ(shell(openssl + " -d -in c | cmp - m"), 0) << mode << err;
    ASSERT_EQ(tool({"decrypt", "--key", "k", "--mode", mode, "--iv", iv, "--in", path("c"), "--out", path("d")}), 0)
        << err;
    EXPECT_EQ(shell("cmp m d"), 0) << mode << out;
  }
  ASSERT_EQ(tool({"encrypt", "--key", "k", "--aad", "00ff", "--in", path("m"), "--out", path("c")}), 0) << err;
  ASSERT_EQ(tool({"decrypt", "--key", "k", "--aad", "00ff", "--in", path("c"), "--out", path("d")}), 0) << err;
  EXPECT_EQ(shell("cmp m d && rm d"), 0) << out;
  EXPECT_EQ(tool({"decrypt", "--key", "k", "--aad", "00fe", "--in", path("c"), "--out", path("d")}), 8) << err;
  EXPECT_FALSE(std::filesystem::exists(path("d")));  // nothing that was not authenticated
  error({"encrypt", "--key", "k", "--mode", "ofb", "--in", path("m")}, 2);
  error({"encrypt", "--key", "k", "--iv", "00", "--mode", "cbc", "--in", path("m")}, 2);
  write("short", "x");
  error({"decrypt", "--key", "k", "--in", path("short")}, 2);
}

// The openssl command has no GCM; its library has.
std::string openssl_gcm(const std::string& key, const std::string& iv, const std::string& aad,
                        const std::string& plain) {
  const auto bytes = [](const std::string& text) { return reinterpret_cast<const unsigned char*>(text.data()); };
  const std::unique_ptr<EVP_CIPHER_CTX, void (*)(EVP_CIPHER_CTX*)> context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  const auto* cipher = key.size() == 16 ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
  std::string sealed(plain.size() + 16, '\0');
  auto* out = reinterpret_cast<unsigned char*>(sealed.data());
  int length = 0;
  EXPECT_EQ(EVP_EncryptInit_ex(context.get(), cipher, nullptr, nullptr, nullptr), 1);
  EXPECT_EQ(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_IVLEN, static_cast<int>(iv.size()), nullptr), 1);
  EXPECT_EQ(EVP_EncryptInit_ex(context.get(), nullptr, nullptr, bytes(key), bytes(iv)), 1);
  EXPECT_EQ(EVP_EncryptUpdate(context.get(), nullptr, &length, bytes(aad), static_cast<int>(aad.size())), 1);
  EXPECT_EQ(EVP_EncryptUpdate(context.get(), out, &length, bytes(plain), static_cast<int>(plain.size())), 1);
  EXPECT_EQ(EVP_EncryptFinal_ex(context.get(), out + length, &length), 1);
  EXPECT_EQ(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, 16, out + plain.size()), 1);
  return sealed;
}

TEST_P(CryptoTest, GcmIsOpensslsInBothDirections) {
  std::string plain;
  for (int i = 0; i < 200'000; ++i) plain += static_cast<char>(i * 7 + i / 256);
  const std::string iv = "0123456789ab", aad = "header";
  const Words shared{"--iv", "303132333435363738396162", "--aad", "686561646572"};
  for (const std::size_t size : {std::size_t{16}, std::size_t{32}}) {
    const std::string key = std::string("0123456789abcdef0123456789abcdef").substr(0, size);
    const std::string label = "k" + std::to_string(size);
    ASSERT_EQ(tool({"key", "import", write("key", key), "--type", "aes:" + std::to_string(8 * size), "--label", label}),
              0)
        << err;
    for (const std::string& data : {std::string(), std::string("x"), plain}) {
      const std::string expected = openssl_gcm(key, iv, aad, data);
      Words seal{"encrypt", "--key", label, "--mode", "gcm", "--in", write("m", data), "--out", path("c")};
      seal.insert(seal.end(), shared.begin(), shared.end());
      ASSERT_EQ(tool(seal), 0) << err;
      EXPECT_EQ(read("c") == expected, true) << data.size() << " bytes";
      Words open{"decrypt", "--key", label, "--mode", "gcm", "--in", write("e", expected), "--out", path("p")};
      open.insert(open.end(), shared.begin(), shared.end());
      ASSERT_EQ(tool(open), 0) << err;
      EXPECT_EQ(read("p") == data, true) << data.size() << " bytes";
    }
    // A changed bit is refused, and no file appears.
    std::string forged = openssl_gcm(key, iv, aad, plain);
    forged[100] = static_cast<char>(forged[100] ^ 1);
    Words open{"decrypt", "--key", label, "--in", write("e", forged), "--out", path("forged")};
    open.insert(open.end(), shared.begin(), shared.end());
    EXPECT_EQ(tool(open), 8) << err;
    EXPECT_FALSE(std::filesystem::exists(path("forged")));
  }
}

TEST_P(CryptoTest, RsaEncryptsForOpensslAndBack) {
  make("rsa:2048", "k");
  write("m", "secret");
  ASSERT_EQ(tool({"encrypt", "--key", "k", "--mode", "pkcs1", "--in", path("m"), "--out", path("c")}), 0) << err;
  ASSERT_EQ(tool({"decrypt", "--key", "k", "--mode", "pkcs1", "--in", path("c")}), 0) << err;
  EXPECT_EQ(out, "secret");
  ASSERT_EQ(shell("openssl pkeyutl -encrypt -pubin -inkey k.pub -pkeyopt rsa_padding_mode:oaep -in m -out c"), 0)
      << err;
  ASSERT_EQ(tool({"decrypt", "--key", "k", "--hash", "sha1", "--in", path("c")}), 0) << err;
  EXPECT_EQ(out, "secret");
  ASSERT_EQ(shell("head -c 3000 /dev/zero > long"), 0);
  error({"encrypt", "--key", "k", "--mode", "pkcs1", "--in", path("long")}, 2);
}

TEST_P(CryptoTest, HashesAreOpenssls) {
  ASSERT_EQ(shell("head -c 200000 /dev/urandom > m; openssl sha256 -r m | cut -d' ' -f1"), 0);
  const std::string expected = out.substr(0, 64);
  EXPECT_EQ(data({"hash", "--in", path("m")})["digest"], expected);
  EXPECT_EQ(tool({"hash", "--in", path("m"), "-o", "plain"}), 0);
  EXPECT_EQ(out, expected + "\n");
  error({"hash", "--hash", "md6", "--in", path("m")}, 2);
  EXPECT_NE(error({"hash", "--hash", "sha3-256", "--in", path("m")}, 8)["why"].get<std::string>().find("CKM_SHA256"),
            std::string::npos)
      << err;
}

TEST_P(CryptoTest, MacsAreOpenssls) {
  write("key", std::string(32, 'k'));
  ASSERT_EQ(tool({"key", "import", path("key"), "--type", "hmac", "--label", "h"}), 0) << err;
  ASSERT_EQ(tool({"key", "import", path("key"), "--type", "aes", "--label", "a"}), 0) << err;
  std::string digits;
  for (int i = 0; i < 32; ++i) digits += "6b";
  ASSERT_EQ(shell("head -c 200000 /dev/urandom > m; openssl dgst -sha256 -mac HMAC -macopt hexkey:" + digits +
                  " -r m | cut -d' ' -f1"),
            0);
  const std::string hmac = out.substr(0, 64);
  EXPECT_EQ(data({"hmac", "--key", "h", "--in", path("m")})["mac"], hmac);
  ASSERT_EQ(shell("openssl mac -cipher AES-256-CBC -macopt hexkey:" + digits + " -in m CMAC | tr A-F a-f"), 0) << err;
  const std::string cmac = out.substr(0, 32);
  EXPECT_EQ(data({"cmac", "--key", "a", "--in", path("m")})["mac"], cmac);
  error({"hmac", "--key", "a", "--in", path("m")}, 2);
  error({"cmac", "--key", "h", "--in", path("m")}, 2);
}

TEST_P(CryptoTest, RandomBytesComeInAnyNumber) {
  EXPECT_EQ(data({"random", "16"})["random"].get<std::string>().size(), 32u);
  ASSERT_EQ(tool({"random", "100000", "--out", path("r")}), 0) << err;
  EXPECT_EQ(read("r").size(), 100000u);
  error({"random", "100000000"}, 2);
}

TEST_P(CryptoTest, AgreesOnTheKeyThatOpensslAgreesOn) {
  make("ec:P-256", "k");
  ASSERT_EQ(shell("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out peer.pem && "
                  "openssl pkey -in peer.pem -pubout -out peer.pub && "
                  "openssl pkeyutl -derive -inkey peer.pem -peerkey k.pub -out theirs"),
            0)
      << err;
  ASSERT_EQ(tool({"derive", "--key", "k", "--peer", path("peer.pub"), "--out", path("ours")}), 0) << err;
  EXPECT_EQ(read("ours"), read("theirs"));
  EXPECT_EQ(data({"derive", "--key", "k", "--peer", path("peer.pub"), "--type", "aes:256", "--label", "d"})["type"],
            "aes");
  error({"derive", "--key", "k", "--peer", path("peer.pub")}, 2);
  make("x25519", "x");
  ASSERT_EQ(
      shell("openssl genpkey -algorithm X25519 -out xpeer.pem && openssl pkey -in xpeer.pem -pubout -out xpeer.pub && "
            "openssl pkeyutl -derive -inkey xpeer.pem -peerkey x.pub -out xtheirs"),
      0)
      << err;
  ASSERT_EQ(tool({"derive", "--key", "x", "--peer", path("xpeer.pub"), "--out", path("xours")}), 0) << err;
  EXPECT_EQ(read("xours"), read("xtheirs"));
  write("text", "hello");
  error({"derive", "--key", "k", "--peer", path("text"), "--label", "e"}, 2);
}

}  // namespace
}  // namespace p11shim
