// What only a terminal shows: questions, PINs that are typed, the pager, bold headings.
#include "terminal.h"

#include "tests/places.h"
#include "toolbox.h"

namespace p11shim {
namespace {

class TerminalTest : public ToolboxTest {
 protected:
  // shimctl with the token's options and these words.
  Words words(const Words& more) const {
    Words all{build_dir() + "/bin/shimctl", "--token", "test"};
    if (GetParam() == Way::kDirect) all.insert(all.end(), {"--module", variables().at("P11_MODULE")});
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  Variables with(const std::string& name, const std::string& value) const {
    auto all = variables();
    all[name] = value;
    return all;
  }
};
INSTANTIATE_TEST_SUITE_P(Ways, TerminalTest, testing::Values(Way::kDirect, Way::kProxied), name_of);

TEST_P(TerminalTest, AWipeWantsTheTokensNameTyped) {
  ASSERT_EQ(tool({"key", "gen", "--label", "k"}), 0) << err;
  const Words wipe = words({"--so-pin-from", "env:SOPIN", "token", "wipe"});
  {
    Terminal terminal(wipe, variables());
    ASSERT_TRUE(terminal.wait_for("Type test to go on: ")) << terminal.shown;
    terminal.type("yes\n");
    EXPECT_EQ(terminal.wait(), 2) << terminal.shown;
    EXPECT_NE(terminal.shown.find("nothing was done"), std::string::npos) << terminal.shown;
  }
  EXPECT_EQ(data({"key", "show", "k"})["label"], "k");
  Terminal terminal(wipe, variables());
  ASSERT_TRUE(terminal.wait_for("Type test to go on: ")) << terminal.shown;
  terminal.type("test\n");
  EXPECT_EQ(terminal.wait(), 0) << terminal.shown;
  EXPECT_NE(tool({"key", "show", "k"}), 0);
}

TEST_P(TerminalTest, ADeletionAsksAndTakesNoForAnAnswer) {
  ASSERT_EQ(tool({"key", "gen", "--label", "k"}), 0) << err;
  Terminal terminal(words({"--pin-from", "env:PIN", "key", "delete", "k"}), variables());
  ASSERT_TRUE(terminal.wait_for("to go on: ")) << terminal.shown;
  terminal.type("\n");
  EXPECT_EQ(terminal.wait(), 2) << terminal.shown;
  EXPECT_EQ(data({"key", "show", "k"})["label"], "k");
}

TEST_P(TerminalTest, APinIsTypedUnseen) {
  Terminal terminal(words({"--pin-from", "prompt", "key", "list"}), variables());
  ASSERT_TRUE(terminal.wait_for("PIN of token \"test\": ")) << terminal.shown;
  EXPECT_FALSE(terminal.echoes());
  terminal.type("1234\n");
  EXPECT_EQ(terminal.wait(), 0) << terminal.shown;
  EXPECT_EQ(terminal.shown.find("1234"), std::string::npos) << terminal.shown;
}

TEST_P(TerminalTest, AnInterruptedPromptLeavesTheTerminalAsItWas) {
  Words all{"sh", "-c", "\"$@\"; echo code $?; stty -a | grep -q ' echo ' && echo sane; true", "sh"};
  const Words asking = words({"--pin-from", "prompt", "key", "list"});
  all.insert(all.end(), asking.begin(), asking.end());
  Terminal interrupted(all, variables());
  ASSERT_TRUE(interrupted.wait_for("PIN of token \"test\": ")) << interrupted.shown;
  interrupted.type("12\x03");
  EXPECT_TRUE(interrupted.wait_for("code 6")) << interrupted.shown;
  EXPECT_TRUE(interrupted.wait_for("sane")) << interrupted.shown;
}

TEST_P(TerminalTest, ANewPinIsTypedTwice) {
  const Words change = words({"--pin-from", "env:PIN", "token", "set-pin", "--new-pin-from", "prompt"});
  {
    Terminal terminal(change, variables());
    ASSERT_TRUE(terminal.wait_for("new PIN: ")) << terminal.shown;
    terminal.type("4321\n");
    ASSERT_TRUE(terminal.wait_for("once more: ")) << terminal.shown;
    terminal.type("4312\n");
    EXPECT_EQ(terminal.wait(), 2) << terminal.shown;
  }
  EXPECT_EQ(tool({"key", "list"}), 0) << err;
  Terminal terminal(change, variables());
  ASSERT_TRUE(terminal.wait_for("new PIN: ")) << terminal.shown;
  terminal.type("4321\n");
  ASSERT_TRUE(terminal.wait_for("once more: ")) << terminal.shown;
  terminal.type("4321\n");
  EXPECT_EQ(terminal.wait(), 0) << terminal.shown;
  EXPECT_EQ(tool({"--pin-from", "file:" + write("new", "4321"), "key", "list"}), 0) << err;
}

TEST_P(TerminalTest, LongTablesGoThroughThePager) {
  Terminal long_table(words({"mech", "list"}), with("PAGER", "cat >'" + path("paged") + "'"));
  EXPECT_EQ(long_table.wait(), 0) << long_table.shown;
  EXPECT_NE(read("paged").find("CKM_RSA_PKCS"), std::string::npos);
  EXPECT_EQ(long_table.shown.find("CKM_RSA_PKCS"), std::string::npos) << long_table.shown;
  Terminal short_table(words({"token", "list"}), with("PAGER", "cat >'" + path("short") + "'"));
  EXPECT_EQ(short_table.wait(), 0);
  EXPECT_NE(short_table.shown.find("test"), std::string::npos);
  EXPECT_EQ(read("short"), "");
  Terminal no_pager(words({"mech", "list"}), with("PAGER", "/none/at/all"));
  EXPECT_EQ(no_pager.wait(), 0);
  EXPECT_NE(no_pager.shown.find("CKM_RSA_PKCS"), std::string::npos) << no_pager.shown;
}

TEST_P(TerminalTest, HeadingsAreBoldUnlessSomebodyObjects) {
  Terminal bold(words({"token", "list"}), variables());
  EXPECT_EQ(bold.wait(), 0);
  EXPECT_NE(bold.shown.find("\x1b[1m"), std::string::npos) << bold.shown;
  Terminal plain(words({"token", "list"}), with("NO_COLOR", "1"));
  EXPECT_EQ(plain.wait(), 0);
  EXPECT_EQ(plain.shown.find('\x1b'), std::string::npos) << plain.shown;
  Terminal dumb(words({"token", "list"}), with("TERM", "dumb"));
  EXPECT_EQ(dumb.wait(), 0);
  EXPECT_EQ(dumb.shown.find('\x1b'), std::string::npos) << dumb.shown;
}

TEST_P(TerminalTest, TheTerminalsOwnWidthIsKept) {
  Terminal narrow(words({"token", "list"}), variables(), 24, 40);
  EXPECT_EQ(narrow.wait(), 0);
  for (std::size_t at = 0; at < narrow.shown.size();) {
    const auto end = std::min(narrow.shown.find("\r\n", at), narrow.shown.size());
    EXPECT_LE(end - at, 48U) << narrow.shown;  // 40 and the bytes that make headings bold
    at = end + 2;
  }
}

}  // namespace
}  // namespace p11shim
