// batch, rotate, backup: no key is lost that was not theirs to change, and no way back is lost.
#include <fstream>
#include <set>

#include "automate_fixture.h"
#include "mock/control_file.h"
#include "schema.h"
#include "tests/places.h"

namespace p11shim {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class AutomateSafetyTest : public AutomateFixture {
 protected:
  json attribute(const std::string& label, const char* name) {
    return data({"key", "show", label})["attributes"][name];
  }
  bool said(const std::string& text) const { return err.find(text) != std::string::npos; }
  void make(Words words) {
    words.insert(words.begin(), {"key", "gen"});
    ASSERT_EQ(tool(words), 0) << err;
  }
  // As if the token were new: proxyd would have to be told.
  void delete_key(const std::string& key) { ASSERT_EQ(tool({"key", "delete", key, "--yes"}), 0) << err; }
  std::string failing(const std::string& steps) {
    return write("plan.toml", steps + "[[step]]\naction = \"delete\"\nlabel = \"nobody\"\n");
  }
};
INSTANTIATE_TEST_SUITE_P(Ways, AutomateSafetyTest, testing::Values(Way::kDirect, Way::kProxied), name_of);

TEST_P(AutomateSafetyTest, WhatIsCalledLikeANewKeyIsNeverTakenForIt) {
  make({"--label", "precious", "--id", "0102", "--type", "ec:P-256"});
  make({"--label", "half", "--id", "0304", "--type", "ec:P-256"});
  ASSERT_EQ(tool({"key", "delete", "half", "--class", "public", "--yes"}), 0) << err;
  const auto before = labels();
  const auto print = fingerprint("precious");
  const auto evil = failing("[[step]]\naction = \"generate\"\nlabel = \"precious\"\nid = \"0102\"\n");
  EXPECT_EQ(tool({"batch", "apply", evil, "--rollback-on-failure"}), 7);
  EXPECT_TRUE(said("there is a key \"precious\" already")) << err;
  EXPECT_TRUE(said("everything was taken back")) << err;
  EXPECT_EQ(labels(), before);
  EXPECT_EQ(fingerprint("precious"), print);
  const auto half = write("half.toml", "[[step]]\naction = \"generate\"\nlabel = \"half\"\nid = \"0304\"\n");
  EXPECT_EQ(tool({"batch", "apply", half, "--rollback-on-failure"}), 7);
  const auto id = write("id.toml", "[[step]]\naction = \"generate\"\nlabel = \"else\"\nid = \"0304\"\n");
  EXPECT_EQ(tool({"batch", "apply", id, "--rollback-on-failure"}), 7);
  EXPECT_TRUE(said("the id 0304 is that of \"half\" already")) << err;
  EXPECT_EQ(labels(), before);
  // Refused with its place before anything is done.
  error({"batch", "apply",
         write("twice.toml", "[[step]]\naction = \"generate\"\nlabel = \"two\"\nid = \"05\"\ncount = 2\n")},
        3);
  EXPECT_TRUE(said("twice.toml:1:")) << err;
  EXPECT_TRUE(said("two steps give the same label")) << err;
  EXPECT_EQ(labels(), before);
}

TEST_P(AutomateSafetyTest, RestoreTellsTwinsAndOtherKeysApart) {
  ASSERT_EQ(tool({"key", "gen-secret", "--label", "kek"}), 0) << err;
  for (int i = 0; i < 2; ++i) {
    fs::copy(folder / "tokens", folder / ("tokens." + std::to_string(i)), fs::copy_options::recursive);
    make({"--type", "aes:128", "--label", "same", "--id", "77", "--attr", "extractable", "--allow-duplicate"});
  }
  make({"--type", "ec:P-256", "--label", "ek", "--id", "99", "--attr", "extractable"});
  const auto print = fingerprint("ek");
  ASSERT_EQ(tool({"backup", "create", "--kek", "kek", "--out", path("bundle")}), 0) << err;
  const auto states = [](const json& report) {
    std::multiset<std::string> found;
    for (const auto& object : report["objects"])
      found.insert(object["label"].get<std::string>() + " " + object["state"].get<std::string>());
    return found;
  };
  EXPECT_EQ(
      states(answered({"backup", "restore", path("bundle")})),
      (std::multiset<std::string>{"ek was there", "ek was there", "kek left out", "same was there", "same was there"}));
  if (GetParam() == Way::kDirect) {  // proxyd would have to be stopped
    for (const int left : {1, 0}) {
      fs::remove_all(folder / "tokens");
      fs::copy(folder / ("tokens." + std::to_string(left)), folder / "tokens", fs::copy_options::recursive);
      EXPECT_EQ(labels().count("secret same"), static_cast<std::size_t>(left));
      EXPECT_EQ(states(answered({"backup", "restore", path("bundle")})).count("same restored"), 2u - left);
      EXPECT_EQ(labels().count("secret same"), 2u);
      EXPECT_EQ(states(answered({"backup", "restore", path("bundle")})).count("same was there"), 2u);
    }
  }
  // Another key under the old name, and one that cannot be compared.
  delete_key("ek");
  make({"--type", "ec:P-256", "--label", "ek", "--id", "99"});
  const json report = answered({"backup", "restore", path("bundle")}, 9);
  EXPECT_EQ(states(report).count("ek differs"), 2u) << report;
  EXPECT_TRUE(said("not as they are in the backup")) << err;
  EXPECT_NE(fingerprint("ek"), print);
  delete_key("ek");
  answered({"backup", "restore", path("bundle")});
  EXPECT_EQ(fingerprint("ek"), print);
}

TEST_P(AutomateSafetyTest, OneJobAtATimeChangesAToken) {
  for (const char* label : {"prod-01", "prod-02"}) make({"--type", "ec:P-256", "--label", label});
  const auto before = labels();
  const auto print = fingerprint("prod-01");
  const Words killed{"rotate", "run", "--pattern", "prod-*", "--canary", "1", "--canary-command", "kill -KILL $PPID"};
  EXPECT_EQ(tool(killed), 128 + SIGKILL);
  EXPECT_EQ(tool({"rotate", "run", "--pattern", "prod-0*", "--backup", path("none")}), 9);
  EXPECT_TRUE(said("another job on this token is not finished")) << err;
  EXPECT_FALSE(fs::exists(path("none"))) << "nor is anything else begun";
  EXPECT_EQ(tool({"batch", "apply", write("p.toml", "[[step]]\naction = \"generate\"\nlabel = \"new\"\n")}), 9);
  EXPECT_EQ(answered({"batch", "rollback"})["state"], "rolled-back");
  EXPECT_EQ(labels(), before);
  EXPECT_EQ(fingerprint("prod-01"), print);
  // What a timer does.
  EXPECT_EQ(tool(killed), 128 + SIGKILL);
  EXPECT_EQ(tool({"rotate", "run", "--pattern", "prod-0*", "--recover"}), 0) << err;
  EXPECT_TRUE(said("is taken back")) << err;
  EXPECT_EQ(fingerprint("prod-01@v1"), print);
  EXPECT_EQ(labels().size(), 8u);
}

TEST_P(AutomateSafetyTest, NothingIsRenamedToANameThatIsTaken) {
  make({"--type", "ec:P-256", "--label", "old", "--id", "01"});
  const auto plan = failing("[[step]]\naction = \"rename\"\nlabel = \"old\"\nto = \"new\"\n");
  EXPECT_EQ(tool({"batch", "apply", plan}), 7);
  make({"--type", "ec:P-256", "--label", "old", "--id", "02"});
  EXPECT_EQ(tool({"batch", "rollback"}), 7);
  EXPECT_TRUE(said("there is a key \"old\" already")) << err;
  EXPECT_EQ(labels().count("private old"), 1u);
  EXPECT_EQ(labels().count("private new"), 1u);
  delete_key("old");
  EXPECT_EQ(answered({"batch", "rollback"})["state"], "rolled-back");
  EXPECT_EQ(labels(), (std::multiset<std::string>{"private old", "public old"}));
}

TEST_P(AutomateSafetyTest, WhatCannotBeTakenBackIsDoneLast) {
  make({"--type", "aes:128", "--label", "ow", "--attr", "extractable"});
  const std::string step = "[[step]]\naction = \"set\"\nlabel = \"ow\"\nattributes = \"!extractable !sign\"\n";
  EXPECT_EQ(tool({"batch", "apply", failing(step), "--rollback-on-failure"}), 7);
  EXPECT_TRUE(said("everything was taken back")) << err;
  EXPECT_EQ(attribute("ow", "extractable"), true);
  EXPECT_EQ(attribute("ow", "sign"), true);
  // It is done to the key, whatever that is called by then.
  const auto good = write("good.toml", step + "[[step]]\naction = \"rename\"\nlabel = \"ow\"\nto = \"owned\"\n");
  EXPECT_EQ(answered({"batch", "apply", good})["state"], "done");
  EXPECT_EQ(attribute("owned", "extractable"), false);
  EXPECT_EQ(tool({"batch", "apply",
                  write("d.toml", "[[step]]\naction = \"generate\"\nlabel = \"d\"\nattributes = \"!destroyable\"\n")}),
            2);
  EXPECT_TRUE(said("could not be taken back")) << err;
}

TEST_P(AutomateSafetyTest, AKeyThatIsGoneEndsItsJob) {
  for (const char* label : {"a", "b"}) make({"--type", "aes:128", "--label", label});
  const std::string steps =
      "[[step]]\naction = \"rename\"\nlabel = \"a\"\nto = \"a2\"\n[[step]]\naction = \"rename\"\nlabel = \"b\"\nto = "
      "\"b2\"\n";
  EXPECT_EQ(tool({"batch", "apply", failing(steps)}), 7);
  delete_key("b2");
  EXPECT_EQ(answered({"batch", "rollback"}, 9)["state"], "rolled-back");
  EXPECT_TRUE(said("not there any more")) << err;
  EXPECT_EQ(labels(), (std::multiset<std::string>{"secret a"}));
  EXPECT_EQ(tool({"batch", "resume"}), 7) << "no job is unfinished";
}

TEST_P(AutomateSafetyTest, AJobThatCanNeitherEndNorGoBackIsAbandoned) {
  make({"--type", "aes:128", "--label", "a"});
  EXPECT_EQ(tool({"batch", "apply", failing("[[step]]\naction = \"rename\"\nlabel = \"a\"\nto = \"b\"\n")}), 7);
  const auto id = answered({"job", "list"})["jobs"][0]["id"].get<std::string>();
  EXPECT_EQ(tool({"job", "cancel", id}), 2) << "it does not run";
  EXPECT_EQ(tool({"job", "abandon", id}), 2) << "it asks";
  EXPECT_EQ(answered({"job", "abandon", id, "--yes"})["state"], "abandoned");
  EXPECT_TRUE(said("stays done: rename a to b")) << err;
  EXPECT_EQ(tool({"batch", "rollback", id}), 2);
  EXPECT_EQ(tool({"batch", "apply", write("p.toml", "[[step]]\naction = \"delete\"\nlabel = \"b\"\n")}), 0) << err;
}

TEST_P(AutomateSafetyTest, ACancelledRunDoesNotCancelTheNext) {
  make({"--type", "aes:128", "--label", "a"});
  EXPECT_EQ(tool({"rotate", "run", "--pattern", "a", "--canary", "1", "--canary-command", "kill -KILL $PPID"}),
            128 + SIGKILL);
  const auto id = answered({"job", "list"})["jobs"][0]["id"].get<std::string>();
  EXPECT_EQ(tool({"job", "cancel", id}), 2);
  EXPECT_TRUE(said("the shimctl that ran it is gone")) << err;
  EXPECT_EQ(answered({"batch", "rollback"})["state"], "rolled-back");
  EXPECT_EQ(labels(), (std::multiset<std::string>{"secret a"}));
}

TEST_P(AutomateSafetyTest, RestrictionsAreKept) {
  ASSERT_EQ(tool({"key", "gen-secret", "--label", "kek"}), 0) << err;
  make({"--type", "ec:P-256", "--label", "prod-aa", "--attr", "extractable always_authenticate !copyable"});
  make({"--type", "aes:128", "--label", "prod-wt", "--attr",
        "extractable wrap_with_trusted allowed_mechanisms=8210000000000000"});
  const auto restricted = [&](const std::string& suffix) {
    EXPECT_EQ(attribute("prod-aa" + suffix, "always_authenticate"), true);
    EXPECT_EQ(attribute("prod-aa" + suffix, "copyable"), false);
  };
  restricted("");
  ASSERT_EQ(answered({"rotate", "run", "--pattern", "prod-*"})["state"], "done");
  restricted("");
  EXPECT_EQ(attribute("prod-wt", "wrap_with_trusted"), true);
  EXPECT_EQ(attribute("prod-wt", "allowed_mechanisms"), attribute("prod-wt@v1", "allowed_mechanisms"));
  EXPECT_EQ(data({"key", "show", "prod-wt"})["size"], 128);
  const auto print = fingerprint("prod-aa");
  ASSERT_EQ(tool({"backup", "create", "--kek", "kek", "--out", path("bundle")}), 0) << err;
  delete_key("prod-aa");
  answered({"backup", "restore", path("bundle")});
  EXPECT_EQ(fingerprint("prod-aa"), print);
  restricted("");
  if (GetParam() == Way::kProxied) return;  // it shows the tokens that were there at its start
  ASSERT_EQ(shell("softhsm2-util --init-token --free --label second --pin 1234 --so-pin 5678"), 0) << err;
  ASSERT_EQ(tool({"key", "copy", "prod-aa", "--to", "second"}), 0) << err;
  ASSERT_EQ(bare({"--module", variables()["P11_MODULE"], "--token", "second", "--pin-from", "env:PIN", "key", "show",
                  "prod-aa", "-o", "json"}),
            0)
      << err;
  EXPECT_EQ(json::parse(out)["data"]["attributes"]["always_authenticate"], true);
  EXPECT_EQ(json::parse(out)["data"]["attributes"]["copyable"], false);
}

TEST_P(AutomateSafetyTest, ARestoredKeyKeepsItsSizeWhenItIsRotated) {
  ASSERT_EQ(tool({"key", "gen-secret", "--label", "kek"}), 0) << err;
  make({"--type", "aes:128", "--label", "prod-a", "--attr", "extractable"});
  make({"--type", "generic:512", "--label", "prod-g", "--attr", "extractable"});
  ASSERT_EQ(tool({"backup", "create", "--kek", "kek", "--out", path("bundle")}), 0) << err;
  for (const char* label : {"prod-a", "prod-g"}) delete_key(label);
  answered({"backup", "restore", path("bundle")});
  ASSERT_EQ(answered({"rotate", "run", "--pattern", "prod-*"})["state"], "done");
  EXPECT_EQ(data({"key", "show", "prod-a"})["size"], 128);
  EXPECT_EQ(data({"key", "show", "prod-g"})["size"], 512);
}

TEST_P(AutomateSafetyTest, ABackupThatOnlyItsTokenOpensSaysSo) {
  ASSERT_EQ(tool({"key", "gen-secret", "--label", "kek"}), 0) << err;
  make({"--type", "ec:P-256", "--label", "signer"});
  make({"--type", "aes:128", "--label", "prod", "--attr", "extractable"});
  const json made = answered({"backup", "create", "--kek", "kek", "--out", path("bundle")});
  EXPECT_NE(made["warning"].dump().find("cannot leave this token"), std::string::npos) << made;
  EXPECT_TRUE(said("cannot leave this token")) << err;
  const json shared =
      answered({"backup", "create", "--custodians", "2-of-3", "--shares-to", folder.string(), "--out", path("shared")});
  EXPECT_TRUE(shared["warning"].is_null()) << shared;
  EXPECT_EQ(tool({"rotate", "run", "--pattern", "prod", "--backup", path("backups"), "--sign-with", "signer", "--kek",
                  "kek"}),
            0)
      << err;
  EXPECT_TRUE(said("cannot leave this token")) << err;
  const auto bundle = fs::directory_iterator(folder / "backups")->path().string();
  EXPECT_EQ(answered({"backup", "verify", bundle})["signer"]["label"], "signer");
}

TEST_P(AutomateSafetyTest, ABackupIsOnTheDiskBeforeItIsTold) {
  if (GetParam() == Way::kProxied) GTEST_SKIP() << "the same file";
  if (shell("strace -f -o strace.log true") != 0) GTEST_SKIP() << "strace cannot trace here";
  ASSERT_EQ(tool({"key", "gen-secret", "--label", "kek"}), 0) << err;
  const std::string command = "ASAN_OPTIONS=detect_leaks=0 strace -f -y -e trace=fsync,rename -o strace.log " +
                              build_dir() + "/bin/shimctl --module " + variables()["P11_MODULE"] +
                              " --token test --pin-from env:PIN backup create ";
  for (const std::string what : {"--kek kek --out bundle", "--custodians 2-of-2 --out shared"}) {
    ASSERT_EQ(shell(command + what), 0) << err;
    const std::string log = read("strace.log");
    const auto synced = log.find("fsync(");
    const auto renamed = log.rfind("rename(\"" + what.substr(what.rfind(' ') + 1));
    EXPECT_LT(synced, renamed) << log;
    EXPECT_NE(log.find("fsync(", renamed), std::string::npos) << "nor is its name lost: " << log;
  }
}

TEST_P(AutomateSafetyTest, ARotationGoesInStagesAndTriesKeysBeforeTheyAreLive) {
  for (int i = 0; i < 5; ++i) make({"--type", "aes:128", "--label", "prod-" + std::to_string(i)});
  const auto before = labels();
  const std::string log = path("log");
  const Words stages{"rotate",   "run", "--pattern",        "prod-*",
                     "--canary", "1",   "--canary-command", "echo canary $KEY >> " + log,
                     "--stage",  "50%", "--stage-command",  "echo stage $KEYS >> " + log};
  Words bad = stages;
  bad.back() = "test $(echo $KEYS | cut -c6) != 3";
  EXPECT_EQ(tool(bad), 1);
  EXPECT_TRUE(said("the check of the stage 2 failed")) << err;
  EXPECT_EQ(labels(), before);
  fs::remove(log);
  ASSERT_EQ(answered(stages)["state"], "done");
  EXPECT_EQ(read("log"), "canary prod-0\nstage prod-1 prod-2\nstage prod-3 prod-4\n");
  EXPECT_EQ(
      tool({"rotate", "run", "--pattern", "prod-0", "--try-command", "echo $KEY for $LIVE_KEY >> " + log + "; false"}),
      1);
  EXPECT_NE(read("log").find("prod-0@new for prod-0\n"), std::string::npos) << read("log");
  EXPECT_EQ(labels().count("secret prod-0"), 1u);
  EXPECT_EQ(tool({"rotate", "run", "--pattern", "prod-*", "--stage", "0"}), 2);
  error({"rotate", "run", "--policy", write("bad.toml", "[[rule]]\npattern = \"x\"\nstage = \"101%\"\n")}, 2);
}

}  // namespace
}  // namespace p11shim
