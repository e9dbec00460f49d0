// The examples at the end of --help: they work as they stand.
#include <sstream>

#include "tests/places.h"
#include "toolbox.h"

namespace p11shim {
namespace {

class ExamplesTest : public ToolboxTest {
 protected:
  // The first line below "Example:" in what `shimctl COMMAND --help` says.
  std::string example_of(const std::string& command) {
    shell("PATH='" + build_dir() + "/bin:'$PATH; shimctl " + command + " --help");
    EXPECT_EQ(code, 0) << command << ": " << err;
    std::istringstream lines(out);
    bool found = false;
    for (std::string line; std::getline(lines, line);) {
      if (found) return line.substr(line.find_first_not_of(' '));
      found = line == "Example:";
    }
    return "";
  }
};
INSTANTIATE_TEST_SUITE_P(Ways, ExamplesTest, testing::Values(Way::kProxied), name_of);

TEST_P(ExamplesTest, WorkAsTheyStand) {
  ASSERT_EQ(tool({"key", "gen", "--type", "hmac:256", "--label", "mac"}), 0) << err;
  ASSERT_EQ(tool({"key", "gen", "--type", "ec:P-256", "--label", "k"}), 0) << err;
  ASSERT_EQ(tool({"key", "gen-secret", "--label", "kek"}), 0) << err;
  // In an order in which each finds what it needs.
  for (const char* command :
       {"info",       "slot list",      "token list", "token info",    "token selftest", "mech list",    "key list",
        "key find",   "key show",       "key copy",   "key diff",      "key set",        "key rename",   "key delete",
        "key kcv",    "key export-pub", "key csr",    "key cert",      "key import",     "random",       "sign",
        "verify",     "encrypt",        "decrypt",    "hash",          "cmac",           "derive",       "key wrap",
        "key unwrap", "key rewrap",     "hmac",       "explain-error", "explain error",  "explain mech", "explain attr",
        "explain fn", "explain check"}) {
    const std::string name = command;
    const std::string example = example_of(name);
    ASSERT_TRUE(example.starts_with("shimctl " + name + " ")) << name << ": " << example;
    shell("PATH='" + build_dir() + "/bin:'$PATH; " + example);
    EXPECT_EQ(code, 0) << example << ": " << err;
  }
}

TEST_P(ExamplesTest, WhatChangesATokenHasOneToo) {
  for (const char* command : {"token init", "token init-pin", "token set-pin", "token wipe"})
    EXPECT_TRUE(example_of(command).starts_with("shimctl ")) << command;
}

}  // namespace
}  // namespace p11shim
