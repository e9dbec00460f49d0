// Wrong PINs, ambiguous names, closed pipes, narrow terminals, hostile labels, many objects.
#include <algorithm>
#include <sstream>

#include "tests/places.h"
#include "tests/system_library.h"
#include "toolbox.h"

namespace p11shim {
namespace {

using nlohmann::json;

class BadInputTest : public ToolboxTest {};
INSTANTIATE_TEST_SUITE_P(Ways, BadInputTest, testing::Values(Way::kDirect, Way::kProxied), name_of);

TEST_P(BadInputTest, AWrongPinIsTriedOnce) {
  const std::string wrong = "file:" + write("pin", "9999");
  const json failure = error({"--pin-from", wrong, "key", "list"}, 6);
  EXPECT_EQ(failure["explain"], "CKR_PIN_INCORRECT");
  EXPECT_EQ(err.find("9999"), std::string::npos);
  EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), 1);
}

// The command sees no more than an empty list of slots.
TEST_P(BadInputTest, RunTellsWhyAModuleCannotBeUsed) {
  if (GetParam() != Way::kDirect) GTEST_SKIP() << "run brings a proxyd of its own";
  write("empty", "");
  const std::vector<std::pair<std::string, std::string>> modules{
      {write("text", "not a module\n"), "is not a shared object"},
      {path("empty"), "is empty"},
      {system_library("libm.so.6"), "does not export C_GetFunctionList"},
      {system_library("libsoftokn3.so"), "C_Initialize failed (CKR_ARGUMENTS_BAD)"}};
  for (const auto& [module, why] : modules) {
    if (!std::filesystem::exists(module)) continue;
    EXPECT_EQ(bare({"run", "--module", module, "--", "sh", "-c", "exit 4"}), 4) << module;
    EXPECT_NE(err.find("shimctl: proxyd: "), std::string::npos) << err;
    EXPECT_NE(err.find(why), std::string::npos) << module << ": " << err;
    EXPECT_LE(std::count(err.begin(), err.end(), '\n'), 2) << err;
  }
  EXPECT_EQ(bare({"run", "--module", "/usr/lib/softhsm/libsofthsm2.so", "--", "true"}), 0);
  EXPECT_EQ(err, "");
}

TEST_P(BadInputTest, APinIsNeverTakenFromTheCommandLine) {
  error({"--pin-from", "1234", "key", "list"}, 2);
  EXPECT_EQ(err.find("1234"), std::string::npos);
  error({"--pin-from", "env:NO_SUCH", "key", "list"}, 6);
  error({"--pin-from", "file:/none", "key", "list"}, 6);
  error({"--pin-from", "fd:x", "key", "list"}, 6);
  const json uri = error({"--uri", "pkcs11:token=test?pin-value=1234", "key", "list"}, 2);
  EXPECT_EQ(err.find("1234"), std::string::npos);
  EXPECT_EQ(tool({"--pin-from", "fd:0", "key", "list"}, "1234\n"), 0) << err;
}

TEST_P(BadInputTest, AnAmbiguousLabelNamesItsCandidates) {
  for (const char* id : {"01", "02"}) {
    ASSERT_EQ(tool({"key", "gen-secret", "--label", "k", "--id", id, "--allow-duplicate"}), 0) << err;
  }
  const json failure = error({"key", "show", "k"}, 7);
  EXPECT_NE(failure["why"].get<std::string>().find("id:01"), std::string::npos);
  EXPECT_NE(failure["why"].get<std::string>().find("id:02"), std::string::npos);
  EXPECT_EQ(data({"key", "show", "id:02"})["id"], "02");
}

TEST_P(BadInputTest, AKeysUriSaysOnWhichTokenItIs) {
  ASSERT_EQ(tool({"key", "gen-secret", "--label", "k", "--id", "01"}), 0) << err;
  std::vector<std::string> words{"--pin-from", "env:PIN"};
  if (GetParam() == Way::kDirect) words.insert(words.end(), {"--module", "/usr/lib/softhsm/libsofthsm2.so"});
  const auto show = [&](const char* uri) {
    auto all = words;
    all.insert(all.end(), {"key", "show", uri});
    return bare(all);
  };
  EXPECT_EQ(show("pkcs11:token=test;object=k"), 0) << err;
  EXPECT_EQ(show("pkcs11:token=other;object=k"), 7) << out;
  EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), 1) << err;
  EXPECT_EQ(tool({"key", "show", "pkcs11:token=test;id=%01"}), 0) << err;
  const json failure = error({"key", "show", "pkcs11:token=other;object=k"}, 7);
  EXPECT_NE(failure["what"].get<std::string>().find("another token"), std::string::npos) << err;
  error({"key", "delete", "pkcs11:serial=0;object=k", "--yes"}, 7);
  EXPECT_EQ(tool({"key", "show", "k"}), 0) << err;
}

TEST_P(BadInputTest, ALabelCannotDisturbTheTerminal) {
  const std::string label = "evil\x1b[2J\n\xe2\x80\xae";
  ASSERT_EQ(tool({"key", "gen-secret", "--label", label}), 0) << err;
  ASSERT_EQ(tool({"key", "list"}), 0) << err;
  EXPECT_EQ(out.find('\x1b'), std::string::npos);
  EXPECT_NE(out.find("evil\\x1b[2J\\x0a"), std::string::npos) << out;
  EXPECT_EQ(data({"key", "list"})["keys"][0]["label"], label);
  tool({"key", "show", "\x1b[2J"});
  EXPECT_EQ(err.find('\x1b'), std::string::npos) << err;
}

TEST_P(BadInputTest, FortyColumnsAreEnough) {
  ASSERT_EQ(tool({"key", "gen", "--label", "a-label-that-is-longer-than-most-labels-are"}), 0) << err;
  std::vector<std::string> words{"--token", "test", "--pin-from", "env:PIN"};
  if (GetParam() == Way::kDirect) words.insert(words.end(), {"--module", "/usr/lib/softhsm/libsofthsm2.so"});
  words.insert(words.end(), {"key", "list"});
  ASSERT_EQ(bare(words, {{"COLUMNS", "40"}}), 0) << err;
  std::istringstream lines(out);
  for (std::string line; std::getline(lines, line);) {
    const auto columns = std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xC0) != 0x80; });
    EXPECT_LE(columns, 40) << line;
  }
}

TEST_P(BadInputTest, AReaderThatGoesAwayIsOneLine) {
  ASSERT_EQ(tool({"key", "gen", "--label", "k"}), 0) << err;
  const std::string bin = build_dir() + "/bin";
  const std::string way = GetParam() == Way::kDirect ? "--module $P11_MODULE " : "";
  shell("( " + bin + "/shimctl " + way + "--token test key list; echo $? > code ) | true; cat code");
  EXPECT_EQ(out, "9\n");
  EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), 1) << err;
  shell(bin + "/shimctl " + way + "--token test random 1000 --out /dev/full");
  EXPECT_EQ(code, 9);
  EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), 1) << err;
}

TEST_P(BadInputTest, WhatIsNoModuleIsToldSo) {
  write("text.so", "hello");
  EXPECT_EQ(bare({"--module", path("text.so"), "info"}), 3);
  EXPECT_EQ(bare({"--module", path("missing.so"), "info"}), 3);
  EXPECT_EQ(bare({"--module", system_library("libc.so.6"), "info"}), 3) << err;
  EXPECT_EQ(bare({"info"}, {{"P11SHIM_ENDPOINT", "unix:" + path("none.sock")}}), 4) << err;
}

TEST_P(BadInputTest, AMissingMechanismNamesWhatIsThereInstead) {
  const json failure = error({"key", "gen", "--type", "chacha20", "--label", "k"}, 8);
  EXPECT_EQ(failure["explain"], "CKR_MECHANISM_INVALID");
  const std::string text = failure["why"].get<std::string>() + failure["fix"].get<std::string>();
  EXPECT_NE(text.find("CKM_AES_KEY_GEN"), std::string::npos) << text;
}

TEST_P(BadInputTest, AFileThatIsNotWhatItSeemsIsToldSo) {
  const json certificate =
      error({"key", "import", write("cert.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
             "--label", "k"},
            2);
  EXPECT_FALSE(certificate["what"].get<std::string>().empty());
  error({"key", "import", write("image.pem", std::string("\x89PNG\r\n\x1a\n", 8)), "--label", "k"}, 2);
  error({"key", "import", path("none.pem"), "--label", "k"}, 7);
  error({"key", "import", folder.string(), "--label", "k"}, 7);
  ASSERT_EQ(tool({"key", "gen", "--label", "k"}), 0) << err;
  EXPECT_EQ(tool({"verify", "--key", "k", "--in", write("m", "m"), "--signature", write("s", "no signature")}), 1)
      << err;
  ASSERT_EQ(tool({"key", "gen-secret", "--label", "kek"}), 0) << err;
  EXPECT_EQ(tool({"key", "unwrap", write("w", "no wrapped key"), "--with", "kek", "--type", "aes:256", "--label", "u"}),
            8)
      << err;
  EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), 1) << err;
}

TEST_P(BadInputTest, MistypedCommandsAreRecognised) {
  EXPECT_EQ(tool({"kye", "list"}), 2);
  EXPECT_NE(err.find("did you mean \"key\"?"), std::string::npos) << err;
  EXPECT_EQ(tool({"key", "lst"}), 2);
  EXPECT_NE(err.find("did you mean \"list\"?"), std::string::npos) << err;
  EXPECT_EQ(tool({"key"}), 2);
  EXPECT_EQ(tool({"key", "list", "--cursor", "x"}), 2);
}

TEST_P(BadInputTest, AWordThatAnOptionDoesNotTakeIsOneClearLine) {
  EXPECT_EQ(tool({"-o", "jsn", "info"}), 2);
  EXPECT_EQ(err,
            "shimctl: --output: \"jsn\" is none of csv, json, ndjson, plain, table, yaml; did you mean \"json\"? "
            "(shimctl --help)\n");
  EXPECT_EQ(tool({"--progress", "x", "info"}), 2);
  EXPECT_NE(err.find("none of auto, json, none"), std::string::npos) << err;
  EXPECT_EQ(tool({"--limit", "-1", "key", "list"}), 2);
  EXPECT_NE(err.find("\"-1\" is no number"), std::string::npos) << err;
  EXPECT_EQ(tool({"random", "-1"}), 2);
}

TEST_P(BadInputTest, PaddingIsOfRsaKeys) {
  ASSERT_EQ(tool({"key", "gen", "--label", "k"}), 0) << err;
  EXPECT_EQ(tool({"sign", "--key", "k", "--padding", "pss", "--in", write("m", "m")}), 2);
  EXPECT_NE(err.find("\"k\" is no RSA key"), std::string::npos) << err;
  EXPECT_EQ(tool({"verify", "--key", "k", "--padding", "pss", "--in", path("m"), "--signature", path("m")}), 2);
}

TEST_P(BadInputTest, KeysMayBeCalledLikeCommands) {
  for (const char* label : {"key", "list", "run", "-dash"}) {
    ASSERT_EQ(tool({"key", "gen-secret", std::string("--label=") + label}), 0) << err;
  }
  EXPECT_EQ(data({"key", "show", "key"})["label"], "key");
  EXPECT_EQ(data({"key", "show", "run"})["label"], "run");
  EXPECT_EQ(tool({"key", "show", "-o", "json", "--", "-dash"}), 0) << err;
}

}  // namespace
}  // namespace p11shim
