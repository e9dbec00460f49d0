#include "proxyd/config/rules.h"

#include "parsed.h"

namespace p11shim {
namespace {

const std::string kModule = "[[module]]\nname = \"soft\"\npath = \"/a.so\"\n";                     // 3 lines
const std::string kMember = "[[member]]\nname = \"m\"\nmodule = \"soft\"\ntoken_label = \"t\"\n";  // 4 lines
const std::string kPool = "[[pool]]\nname = \"p\"\nmembers = [\"m\"]\n";

TEST(Rules, AreSilentAboutAGoodFile) { EXPECT_EQ(problems_of(kModule + kMember + kPool), Lines{}); }

TEST(Rules, SomethingMustBeServed) {
  EXPECT_EQ(problems_of(""),
            Lines{"p.toml: there is nothing to serve (expected a [[pool]], or a [[module]] with tokens = \"*\")"});
}

TEST(Rules, NamesAreUnique) {
  EXPECT_EQ(problems_of(kModule + kMember + kPool + kModule),
            Lines{"p.toml:12:8: there is already a module named \"soft\" (line 2)"});
  EXPECT_EQ(problems_of(kModule + kMember + kPool + kMember),
            Lines{"p.toml:12:8: there is already a member named \"m\" (line 5)"});
  EXPECT_EQ(problems_of(kModule + kMember + kPool + kPool),
            (Lines{"p.toml:11:1: warning: two pools have the label \"p\": applications that look for it find either",
                   "p.toml:12:8: there is already a pool named \"p\" (line 9)"}));
}

TEST(Rules, OneUserMayNotHaveAll) {
  const std::string served = kModule + kMember + kPool;
  EXPECT_EQ(problems_of("[limits]\nmax_applications = 10\nmax_applications_per_user = 9\n" + served), Lines{});
  EXPECT_EQ(problems_of("[limits]\nmax_applications = 10\nmax_applications_per_user = 10\n" + served),
            Lines{"p.toml:3:29: warning: one user alone can have as many applications as \"max_applications\" allows: "
                  "nobody else gets in then"});
  EXPECT_EQ(
      problems_of("[limits]\nmax_buffered_per_user = \"100MiB\"\n" + served),
      Lines{"p.toml:2:25: warning: it is less than two messages of \"max_frame\": who sends such ones may lose its "
            "connections"});
}

// The digest is of a file that somebody else may exchange before it is loaded.
TEST(Rules, ADigestAloneKeepsNobodyOut) {
  const std::string digest = "sha256 = \"" + std::string(64, 'a') + "\"\n";
  EXPECT_EQ(problems_of(kModule + digest + kMember + kPool), Lines{});
  const Lines warnings = problems_of(kModule + digest + "check_owner = false\n" + kMember + kPool);
  ASSERT_EQ(warnings.size(), 2U);
  EXPECT_TRUE(warnings[0].starts_with("p.toml:4:10: warning: with check_owner = false \"sha256\"")) << warnings[0];
  EXPECT_TRUE(warnings[1].starts_with("p.toml:5:15: warning: check_owner = false: ")) << warnings[1];
}

TEST(Rules, ReferencesMustExist) {
  EXPECT_EQ(problems_of(kModule + "[[member]]\nname = \"m\"\nmodule = \"sotf\"\nslot = 1\n" + kPool),
            (Lines{"p.toml:1:1: warning: no member uses module \"soft\"",
                   "p.toml:6:10: no [[module]] is named \"sotf\"; did you mean \"soft\"?"}));
  EXPECT_EQ(problems_of(kModule + kMember + "[[pool]]\nname = \"p\"\nmembers = [\"other\"]\n"),
            (Lines{"p.toml:4:1: warning: member \"m\" is in no pool: no application sees it",
                   "p.toml:10:12: no [[member]] is named \"other\""}));
}

TEST(Rules, AMemberIsOneToken) {
  const std::string member = "[[member]]\nname = \"m\"\nmodule = \"soft\"\n";
  EXPECT_EQ(problems_of(kModule + member + kPool),
            Lines{"p.toml:4:1: nothing tells which token this is (expected one of token_label, token_serial, slot)"});
  EXPECT_EQ(problems_of(kModule + member + "token_label = \"t\"\nslot = 0\n" + kPool),
            Lines{"p.toml:4:1: more than one key tells which token this is (expected one of token_label, "
                  "token_serial, slot)"});
  EXPECT_EQ(problems_of(kModule + member + "token_label = 5\n" + kPool),
            Lines{"p.toml:7:15: \"token_label\" is an integer (expected a token's label of at most 32 bytes)"});
}

TEST(Rules, ThePinComesFromOnePlace) {
  const std::string expected = " (expected one of pin_file, pin_credential, pin_command)";
  EXPECT_EQ(problems_of(kModule + kMember + "login = \"daemon\"\n" + kPool),
            Lines{"p.toml:8:9: nothing tells where the PIN comes from" + expected});
  EXPECT_EQ(problems_of(kModule + kMember + "login = \"daemon\"\npin_file = \"/a\"\npin_credential = \"b\"\n" + kPool),
            Lines{"p.toml:8:9: more than one key tells where the PIN comes from" + expected});
  EXPECT_EQ(problems_of(kModule + kMember + "pin_file = \"/a\"\n" + kPool),
            Lines{"p.toml:8:12: \"pin_file\" needs login = \"daemon\""});
}

TEST(Rules, ADaemonsPinIsNotForApplicationsToChange) {
  EXPECT_EQ(problems_of(kModule + kMember + "login = \"daemon\"\npin_file = \"/a\"\n" + kPool + "set_pin = true\n"),
            Lines{"p.toml:13:11: applications cannot change a PIN that proxyd logs in with (login = \"daemon\")"});
}

TEST(Rules, PoolsHaveMembers) {
  EXPECT_EQ(problems_of(kModule + kMember + "[[pool]]\nname = \"p\"\nmembers = []\n"),
            (Lines{"p.toml:4:1: warning: member \"m\" is in no pool: no application sees it",
                   "p.toml:10:11: \"members\" is empty (expected names of members)"}));
}

TEST(Rules, APoolsMembersAreDifferentTokens) {
  const std::string second = "[[member]]\nname = \"n\"\nmodule = \"soft\"\n";
  const std::string pool = "[[pool]]\nname = \"p\"\nmembers = [\"m\", \"n\"]\n";
  EXPECT_EQ(problems_of(kModule + kMember + second + "token_label = \"other\"\n" + pool), Lines{});
  EXPECT_EQ(problems_of(kModule + kMember + second + "token_label = \"t\"\n" + pool),
            Lines{"p.toml:14:17: member \"n\" is the same token as member \"m\" (of the same module and environment)"});
  EXPECT_EQ(problems_of(kModule + kMember + second + "token_label = \"t\"\nenvironment = { SOFTHSM2_CONF = \"/b\" }\n" +
                        pool),
            Lines{});
  const std::string nss =
      "[[module]]\nname = \"a\"\npath = \"/n.so\"\nlibrary_parameters = \"configdir=/a\"\n"
      "[[module]]\nname = \"b\"\npath = \"/n.so\"\nlibrary_parameters = \"configdir=/b\"\n"
      "[[member]]\nname = \"m\"\nmodule = \"a\"\ntoken_label = \"t\"\n"
      "[[member]]\nname = \"n\"\nmodule = \"b\"\ntoken_label = \"t\"\n";
  EXPECT_EQ(problems_of(nss + pool), Lines{});
  EXPECT_EQ(problems_of(kModule + kMember + "[[pool]]\nname = \"p\"\nmembers = [\"m\", \"m\"]\n"),
            Lines{"p.toml:10:17: \"m\" is in \"members\" twice"});
}

TEST(Rules, APoolsMembersLogInTheSameWay) {
  EXPECT_EQ(
      problems_of(kModule + kMember +
                  "[[member]]\nname = \"n\"\nmodule = \"soft\"\nslot = 1\nlogin = \"daemon\"\npin_file = \"/a\"\n" +
                  "[[pool]]\nname = \"p\"\nmembers = [\"m\", \"n\"]\n"),
      Lines{"p.toml:16:17: member \"n\" and member \"m\" log in differently (expected one \"login\" for all "
            "members of a pool)"});
}

TEST(Rules, APoolsStrategyIsOneOfFour) {
  EXPECT_EQ(problems_of(kModule + kMember + kPool + "strategy = \"least-latncy\"\n"),
            Lines{"p.toml:11:12: \"strategy\" is \"least-latncy\" (expected \"least-latency\", \"least-outstanding\", "
                  "\"round-robin\" or \"failover\"); did you mean \"least-latency\"?"});
  EXPECT_EQ(problems_of(kModule + kMember + kPool + "breaker = { open_min = \"2m\" }\n"),
            Lines{"p.toml:11:11: \"open_min\" of \"breaker\" is longer than \"open_max\""});
}

TEST(Rules, ATokensLabelHas32Bytes) {
  const std::string name(33, 'x');
  EXPECT_EQ(problems_of(kModule + kMember + "[[pool]]\nname = \"" + name + "\"\nmembers = [\"m\"]\n"),
            Lines{"p.toml:9:8: the name is longer than a token's label can be (expected \"label\", at most 32 "
                  "bytes)"});
  EXPECT_EQ(problems_of(kModule + kMember + "[[pool]]\nname = \"" + name + "\"\nlabel = \"l\"\nmembers = [\"m\"]\n"),
            Lines{});
  EXPECT_EQ(problems_of(kModule + kMember + kPool + "label = \"" + name + "\"\n"),
            Lines{"p.toml:11:9: \"label\" is \"" + name + "\" (expected a token's label of at most 32 bytes)"});
}

TEST(Rules, SlotsAreUnique) {
  EXPECT_EQ(problems_of(kModule + kMember + kPool + "slot = 3\n[[pool]]\nname = \"q\"\nmembers = [\"m\"]\nslot = 3\n"),
            Lines{"p.toml:15:8: slot 3 belongs to another pool already"});
  EXPECT_EQ(problems_of(kModule + kMember + kPool + "slot = 2147483648\n"),
            Lines{"p.toml:11:8: \"slot\" is 2147483648 (expected a whole number from 0 to 2147483647)"});
}

TEST(Rules, EveryTokenLeavesNoneForMembers) {
  EXPECT_EQ(problems_of(kModule + "tokens = \"*\"\n" + kMember + kPool),
            Lines{"p.toml:7:10: module \"soft\" has tokens = \"*\": its members are made by proxyd"});
}

TEST(Rules, LanesNeedAThreadSafeModule) {
  EXPECT_EQ(problems_of(kModule + "thread_safe = false\n" + kMember + "lanes = 2\n" + kPool),
            Lines{"p.toml:9:9: \"lanes\" is 2 (expected 1: thread_safe = false)"});
  EXPECT_EQ(problems_of(kModule + "thread_safe = false\n" + kMember + "lanes = 1\n" + kPool), Lines{});
}

TEST(Rules, BackoffGrows) {
  EXPECT_EQ(problems_of(kModule + kMember + "restart_backoff = { min = \"1m\" }\n" + kPool),
            Lines{"p.toml:8:19: \"min\" of \"restart_backoff\" is longer than \"max\""});
}

TEST(Rules, SocketsAreTwo) {
  EXPECT_EQ(problems_of("[control]\nunix = \"/run/p11shim/proxyd.sock\"\n" + kServing),
            Lines{"p.toml:2:8: \"/run/p11shim/proxyd.sock\" is the socket of [listen] too"});
}

TEST(Rules, WarnOfWhatIsUnwise) {
  EXPECT_EQ(problems_of("[listen]\nmode = \"0666\"\n" + kServing),
            Lines{"p.toml:2:8: warning: every user of this machine can connect to \"/run/p11shim/proxyd.sock\""});
  EXPECT_EQ(problems_of("[control]\nmode = \"0662\"\n" + kServing),
            Lines{"p.toml:2:8: warning: every user of this machine can connect to \"/run/p11shim/control.sock\""});
  EXPECT_EQ(problems_of("[listen]\ntcp = \"127.0.0.1:0\"\n" + kServing),
            Lines{"p.toml:2:7: warning: every user of this machine can connect over TCP, and nothing tells who it "
                  "is: such applications are \"anonymous\""});
  EXPECT_EQ(problems_of("[listen]\nunix = \"\"\n" + kServing),
            Lines{"p.toml:2:8: warning: neither a unix socket nor TCP: only a socket passed by systemd is listened "
                  "on"});
  EXPECT_EQ(problems_of("[audit]\nenabled = true\nmode = \"0644\"\n" + kServing),
            Lines{"p.toml:3:8: warning: every user of this machine has access to the audit log"});
  EXPECT_EQ(problems_of(kModule + kMember + "isolation = \"shared\"\n" + kPool),
            Lines{"p.toml:8:13: warning: isolation = \"shared\": applications share one logged-in worker, and only "
                  "proxyd keeps them apart"});
  EXPECT_EQ(problems_of(kModule + "check_owner = false\n" + kMember + kPool),
            Lines{"p.toml:4:15: warning: check_owner = false: whoever can change \"/a.so\" or a directory above it "
                  "can see PINs"});
}

TEST(Rules, AWarningIsNoError) { EXPECT_TRUE(parse_config("[listen]\nmode = \"0666\"\n" + kServing, "p.toml")); }

}  // namespace
}  // namespace p11shim
