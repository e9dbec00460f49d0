// batch, job, rotate, backup: what is promised is what is on the token afterwards, also after a SIGKILL at any
// call of the module.
#include <fstream>
#include <map>
#include <set>

#include "automate_fixture.h"
#include "mock/control_file.h"
#include "schema.h"
#include "tests/places.h"

namespace p11shim {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class AutomateTest : public AutomateFixture {
 protected:
  // Every key with all that tells it from others.
  std::set<std::string> keys() {
    std::set<std::string> found;
    const json listed = data({"key", "list"});
    for (auto key : listed["keys"]) {
      key.erase("handle");
      found.insert(key.dump());
    }
    return found;
  }
};
INSTANTIATE_TEST_SUITE_P(Ways, AutomateTest, testing::Values(Way::kDirect, Way::kProxied), name_of);

constexpr char kPlan[] = R"(
name = "keys of {env}"
[variables]
env = "prod"
[[step]]
action = "generate"
label = "{env}-{n:2}"
type = "aes:256"
count = 3
[[step]]
action = "generate"
label = "{env}-pair"
type = "ed25519"
attributes = "extractable"
[[step]]
action = "rename"
label = "old"
to = "new"
[[step]]
action = "set"
label = "new"
attributes = "!sign !extractable id=0a1b"
public_attributes = "id=0a1b"
[[step]]
action = "delete"
label = "gone"
)";

TEST_P(AutomateTest, APlanIsAppliedOnce) {
  ASSERT_EQ(tool({"key", "gen", "--type", "ec:P-256", "--label", "old"}), 0) << err;
  ASSERT_EQ(tool({"key", "gen-secret", "--label", "gone"}), 0) << err;
  const auto plan = write("plan.toml", kPlan);
  EXPECT_EQ(answered({"batch", "plan", plan})["steps"].size(), 7u);
  EXPECT_EQ(answered({"batch", "apply", plan, "--dry-run"})["steps"].size(), 7u);
  EXPECT_EQ(labels().size(), 3u);
  const json job = answered({"batch", "apply", plan, "--set", "env=test"});
  EXPECT_EQ(job["state"], "done");
  EXPECT_EQ(job["name"], "keys of test");
  EXPECT_EQ(labels(), (std::multiset<std::string>{"private new", "private test-pair", "public new", "public test-pair",
                                                  "secret test-01", "secret test-02", "secret test-03"}));
  const json changed = data({"key", "show", "new"});
  EXPECT_EQ(changed["attributes"]["sign"], false);
  EXPECT_EQ(changed["id"], "0a1b");
  EXPECT_EQ(answered({"job", "list"})["jobs"].size(), 1u);
  EXPECT_EQ(answered({"job", "status", job["id"]})["steps"].size(), 7u);
  EXPECT_EQ(tool({"batch", "rollback", job["id"]}), 2) << "what was deleted is gone";
  EXPECT_EQ(tool({"batch", "resume"}), 7);
}

TEST_P(AutomateTest, YamlSaysTheSame) {
  const auto plan = write("plan.yaml",
                          "name: hashes\nvariables: {env: y}\nsteps:\n  - action: generate\n    label: '{env}-{n}'\n"
                          "    type: aes:128\n    count: 2\n");
  EXPECT_EQ(answered({"batch", "apply", plan})["state"], "done");
  EXPECT_EQ(labels(), (std::multiset<std::string>{"secret y-1", "secret y-2"}));
}

TEST_P(AutomateTest, MistakesInAPlanAreNamedWithTheirPlace) {
  const auto refused = [&](const char* name, const std::string& text, const std::string& place,
                           const std::string& hint) {
    error({"batch", "apply", write(name, text)}, 3);
    EXPECT_NE(err.find(place), std::string::npos) << err;
    EXPECT_NE(err.find(hint), std::string::npos) << err;
  };
  refused("a.toml", "[[step]]\naction = \"generate\"\nlable = \"x\"\n", "a.toml:3:1", "did you mean \\\"label\\\"");
  refused("b.toml", "[[step]]\naction = \"genrate\"\nlabel = \"x\"\n", "b.toml:2:", "did you mean \\\"generate\\\"");
  refused("c.yaml", "steps:\n  - action: delete\n    label: '{evn}'\nvariables: {env: x}\n",
          "c.yaml:3:", "did you mean \\\"env\\\"");
  refused("d.yaml", "steps: [\n", "d.yaml:", "syntax error");
  refused("e.toml", "[[step]]\naction = \"delete\"\nlabel = \"x\"\ntype = \"aes\"\n", "e.toml:4:", "generate");
  EXPECT_EQ(labels().size(), 0u);
}

TEST_P(AutomateTest, AStepThatFailsCanBeTakenBack) {
  ASSERT_EQ(tool({"key", "gen-secret", "--label", "twice"}), 0) << err;
  const auto before = keys();
  const auto plan = write("plan.toml",
                          "[[step]]\naction = \"generate\"\nlabel = \"once\"\n[[step]]\naction = \"generate\"\n"
                          "label = \"twice\"\ntype = \"aes:256\"\n");
  EXPECT_EQ(tool({"batch", "apply", plan}), 7);
  EXPECT_NE(err.find("batch rollback"), std::string::npos) << err;
  EXPECT_EQ(labels().size(), 3u);
  EXPECT_EQ(tool({"batch", "apply", plan}), 9) << "it is unfinished";
  EXPECT_EQ(answered({"batch", "rollback"})["state"], "rolled-back");
  EXPECT_EQ(keys(), before);
  EXPECT_EQ(tool({"batch", "apply", plan, "--rollback-on-failure"}), 7);
  EXPECT_EQ(keys(), before);
}

TEST_P(AutomateTest, ATokenThatFillsUpStopsThePlan) {
  ControlFile control(folder);
  control.set("C_GenerateKey rv=CKR_DEVICE_MEMORY after=2");
  const std::string real =
      GetParam() == Way::kDirect ? variables()["P11_MODULE"] : build_dir() + "/lib/libpkcs11-shim.so";
  const auto plan =
      write("plan.toml", "[[step]]\naction = \"generate\"\nlabel = \"k-{n}\"\ntype = \"aes:256\"\ncount = 4\n");
  bare({"--module", build_dir() + "/tests/libp11fault.so", "--token", "test", "--pin-from", "env:PIN", "batch", "apply",
        plan},
       {{"P11FAULT_MODULE", real}, {"P11FAULT_CONTROL", control.path().string()}});
  EXPECT_EQ(code, 8) << err;
  EXPECT_NE(err.find("the token is full"), std::string::npos) << err;
  EXPECT_NE(err.find("batch rollback"), std::string::npos) << err;
  EXPECT_EQ(labels(), (std::multiset<std::string>{"secret k-1", "secret k-2"}));
  EXPECT_EQ(answered({"batch", "rollback"})["state"], "rolled-back");
  EXPECT_EQ(labels().size(), 0u);
}

TEST_P(AutomateTest, KilledAtAnyCallItCanBeFinishedOrTakenBack) {
  if (GetParam() == Way::kProxied) GTEST_SKIP() << "the module that kills stands before the token itself";
  ASSERT_EQ(tool({"key", "gen", "--type", "ec:P-256", "--label", "old", "--attr", "extractable"}), 0) << err;
  ASSERT_EQ(tool({"key", "gen-secret", "--label", "gone"}), 0) << err;
  const auto plan = write("plan.toml", kPlan);
  const auto before = keys();
  const std::multiset<std::string> after{"private new",    "private prod-pair", "public new",    "public prod-pair",
                                         "secret prod-01", "secret prod-02",    "secret prod-03"};
  fs::copy(folder / "tokens", folder / "tokens.before", fs::copy_options::recursive);
  ControlFile control(folder);
  const Variables fault{{"P11FAULT_MODULE", variables()["P11_MODULE"]}, {"P11FAULT_CONTROL", control.path().string()}};
  int resumed = 0;
  int taken_back = 0;
  int calls = 0;
  for (; calls < 2000; ++calls) {
    fs::remove_all(folder / "tokens");
    fs::copy(folder / "tokens.before", folder / "tokens", fs::copy_options::recursive);
    for (const char* file : {"jobs.db", "jobs.db-wal", "jobs.db-shm"}) fs::remove(folder / file);
    control.set("* crash=kill after=" + std::to_string(calls));
    bare({"--module", build_dir() + "/tests/libp11fault.so", "--token", "test", "--pin-from", "env:PIN", "batch",
          "apply", plan},
         fault);
    if (code == 0) break;
    ASSERT_EQ(code, 128 + SIGKILL) << err;
    const json jobs = answered({"job", "list"})["jobs"];
    if (jobs.empty()) {
      ASSERT_EQ(keys(), before) << "killed at call " << calls;
      continue;
    }
    const bool past = jobs[0]["state"] == "committing" || jobs[0]["state"] == "done";
    if (calls % 2 == 0 && !past) {
      ASSERT_EQ(answered({"batch", "rollback"})["state"], "rolled-back");
      ASSERT_EQ(keys(), before) << "killed at call " << calls;
      ++taken_back;
    } else {
      if (jobs[0]["state"] != "done") {
        ASSERT_EQ(answered({"batch", "resume"})["state"], "done");
      }
      ASSERT_EQ(labels(), after) << "killed at call " << calls;
      ASSERT_EQ(data({"key", "show", "new"})["attributes"]["extractable"], false) << "killed at call " << calls;
      ++resumed;
    }
  }
  EXPECT_EQ(code, 0);
  EXPECT_GT(resumed, 10) << calls;
  EXPECT_GT(taken_back, 10) << calls;
  RecordProperty("calls", calls);
}

TEST_P(AutomateTest, RotationKeepsTheNameAndTheFormerKey) {
  ASSERT_EQ(tool({"key", "gen", "--type", "ec:P-256", "--label", "prod-a", "--attr", "!derive"}), 0) << err;
  ASSERT_EQ(tool({"key", "gen-secret", "--label", "prod-b"}), 0) << err;
  ASSERT_EQ(tool({"key", "gen-secret", "--label", "kek"}), 0) << err;
  const auto former = fingerprint("prod-a");
  EXPECT_EQ(answered({"rotate", "plan", "--pattern", "prod-*"})["steps"].size(), 8u);
  const json job = answered({"rotate", "run", "--pattern", "prod-*", "--backup", path("backups"), "--kek", "kek",
                             "--canary", "1", "--canary-command", "test \"$KEY\" = prod-a"});
  EXPECT_EQ(job["state"], "done");
  EXPECT_EQ(fingerprint("prod-a@v1"), former);
  EXPECT_NE(fingerprint("prod-a"), former);
  EXPECT_EQ(data({"key", "show", "prod-a"})["attributes"]["derive"], false)
      << "the new key may do what the old one may";
  EXPECT_EQ(std::distance(fs::directory_iterator(folder / "backups"), {}), 1);
  const json status = answered({"rotate", "status", "--pattern", "prod-*", "--max-age", "90d"});
  EXPECT_EQ(status["keys"][0]["version"], 2);
  EXPECT_EQ(status["keys"][0]["due"], false);
  ASSERT_EQ(answered({"rotate", "run", "--pattern", "prod-a", "--keep", "1"})["state"], "done");
  EXPECT_EQ(tool({"key", "show", "prod-a@v1"}), 7) << "older than the one that is kept";
  EXPECT_EQ(tool({"key", "show", "prod-a@v2"}), 0) << err;
  const auto policy = write("policy.toml", "[[rule]]\npattern = \"prod-*\"\nmax_age = \"90d\"\nkeep = 2\n");
  EXPECT_EQ(answered({"rotate", "run", "--policy", policy})["steps"].size(), 0u) << "nothing is due";
  error({"rotate", "run", "--policy", write("bad.toml", "[[rule]]\npatern = \"x\"\n")}, 3);
  EXPECT_NE(err.find("did you mean \\\"pattern\\\""), std::string::npos) << err;
}

TEST_P(AutomateTest, ACanaryThatFailsRestoresEverything) {
  for (const char* label : {"prod-a", "prod-b", "prod-c"})
    ASSERT_EQ(tool({"key", "gen", "--type", "ec:P-256", "--label", label}), 0) << err;
  const auto before = keys();
  EXPECT_EQ(
      tool({"rotate", "run", "--pattern", "prod-*", "--canary", "2", "--canary-command", "test \"$KEY\" != prod-b"}),
      1);
  EXPECT_NE(err.find("taken back"), std::string::npos) << err;
  EXPECT_EQ(keys(), before);
  EXPECT_EQ(answered({"job", "list"})["jobs"][0]["state"], "rolled-back");
}

TEST_P(AutomateTest, AWipedTokenComesBackFromItsBackup) {
  if (GetParam() == Way::kProxied) GTEST_SKIP() << "wiping a token is proxyd's administrator's";
  ASSERT_EQ(tool({"key", "gen", "--type", "rsa:2048", "--label", "r", "--attr", "extractable"}), 0) << err;
  ASSERT_EQ(tool({"key", "gen", "--type", "ec:P-256", "--label", "e", "--attr", "extractable !derive"}), 0) << err;
  ASSERT_EQ(tool({"key", "gen-secret", "--label", "s", "--attr", "extractable"}), 0) << err;
  ASSERT_EQ(tool({"key", "gen-secret", "--label", "fixed"}), 0) << err;
  ASSERT_EQ(tool({"key", "gen", "--type", "ed25519", "--label", "edwards", "--attr", "extractable"}), 0) << err;
  const std::string what = "kcv " + data({"key", "kcv", "s"})["kcv"].dump() + fingerprint("r") + fingerprint("e");
  const json made = answered({"backup", "create", "--custodians", "2-of-3", "--shares-to", folder.string(), "--out",
                              path("bundle"), "--require-all"},
                             9);
  std::map<std::string, std::string> left_out;
  for (const auto& object : made["objects"])
    if (object["state"] == "left out") left_out[object["label"]] = object["why"];
  EXPECT_EQ(left_out.size(), 2u) << "keys that cannot leave are named: " << made;
  EXPECT_EQ(left_out["fixed"], "it is not extractable");
  EXPECT_NE(left_out["edwards"].find("CKR_KEY_NOT_WRAPPABLE"), std::string::npos) << left_out["edwards"];
  std::vector<std::string> shares;
  for (const auto& file : fs::directory_iterator(folder)) {
    if (file.path().filename().string().starts_with("share-")) shares.push_back(file.path());
  }
  ASSERT_EQ(shares.size(), 3u);
  EXPECT_EQ(answered({"backup", "verify", path("bundle"), "--share", shares[0], "--share", shares[2]})["authentic"],
            true);
  EXPECT_EQ(tool({"backup", "verify", path("bundle"), "--share", shares[1]}), 6) << "one is too few";

  ASSERT_EQ(shell("softhsm2-util --delete-token --token test && softhsm2-util --init-token --free --label test "
                  "--pin 1234 --so-pin 5678"),
            0)
      << err;
  ASSERT_EQ(labels().size(), 0u);
  answered({"backup", "restore", path("bundle"), "--share", shares[1], "--share", shares[2]});
  EXPECT_EQ("kcv " + data({"key", "kcv", "s"})["kcv"].dump() + fingerprint("r") + fingerprint("e"), what);
  EXPECT_EQ(data({"key", "show", "e"})["attributes"]["derive"], false);
  const json again = answered({"backup", "restore", path("bundle"), "--share", shares[0], "--share", shares[1]});
  EXPECT_EQ(again["objects"][0]["state"], "was there");
}

TEST_P(AutomateTest, AKeyIsCopiedToAnotherToken) {
  if (GetParam() == Way::kProxied)
    GTEST_SKIP() << "the proxyd of the test shows the tokens that were there at its start";
  ASSERT_EQ(shell("softhsm2-util --init-token --free --label second --pin 9876 --so-pin 5678"), 0) << err;
  ASSERT_EQ(tool({"key", "gen", "--type", "ec:P-256", "--label", "e", "--attr", "extractable"}), 0) << err;
  ASSERT_EQ(tool({"key", "gen-secret", "--label", "fixed"}), 0) << err;
  write("pin", "9876\n");
  const std::string source = "file:" + path("pin");
  EXPECT_EQ(answered({"key", "copy", "e", "--to", "second", "--to-pin-from", source})["keys"].size(), 2u);
  const auto there = fingerprint("e");
  Words words{"--module", variables()["P11_MODULE"], "--token", "second", "--pin-from", source};
  words.insert(words.end(), {"key", "show", "e", "-o", "json"});
  ASSERT_EQ(bare(words), 0) << err;
  EXPECT_EQ(json::parse(out)["data"]["spki_sha256"].dump(), there);
  EXPECT_EQ(tool({"key", "copy", "e", "--to", "second", "--to-pin-from", source}), 7) << "it is there";
  EXPECT_EQ(tool({"key", "copy", "fixed", "--to", "second", "--to-pin-from", source}), 8);
  EXPECT_NE(err.find("not extractable"), std::string::npos) << err;
  EXPECT_EQ(tool({"key", "copy", "e"}), 2);
}

TEST_P(AutomateTest, ASignedBackupIsProvenByThePublicKeyAlone) {
  ASSERT_EQ(tool({"key", "gen-secret", "--label", "kek"}), 0) << err;
  ASSERT_EQ(tool({"key", "gen-secret", "--label", "s", "--attr", "extractable"}), 0) << err;
  write("other.pem", "");
  for (const char* type : {"ec:P-256", "rsa:2048", "ed25519"}) {
    ASSERT_EQ(tool({"key", "gen", "--type", type, "--label", type}), 0) << err;
    ASSERT_EQ(tool({"key", "export-pub", type}), 0) << err;
    const auto pem = write("signer.pem", out);
    const json made = answered({"backup", "create", "--kek", "kek", "--sign-with", type, "--out", path("bundle")});
    EXPECT_EQ(made["signer"]["label"], type);
    EXPECT_EQ(made["signer"]["spki_sha256"].dump(), fingerprint(type));
    EXPECT_EQ(answered({"backup", "verify", path("bundle")})["objects"][0]["state"], "good");
    // Neither module nor token nor PIN.
    ASSERT_EQ(bare({"backup", "verify", path("bundle"), "--public-key", pem, "-o", "json"}), 0) << err;
    EXPECT_EQ(schema_error(json::parse(out)), "") << out;
    EXPECT_EQ(json::parse(out)["data"]["objects"][0]["state"], "signed");
    if (!read("other.pem").empty()) {
      EXPECT_EQ(bare({"backup", "verify", path("bundle"), "--public-key", path("other.pem")}), 1);
      EXPECT_NE(err.find("not signed by this key"), std::string::npos) << err;
    }
    write("other.pem", read("signer.pem"));

    const std::string good = read("bundle");
    const auto refused = [&](const std::string& text) {
      const auto bad = write("bad", text);
      EXPECT_EQ(bare({"backup", "verify", bad, "--public-key", pem}), 1) << err;
      EXPECT_EQ(tool({"backup", "verify", bad, "--kek", "kek"}), 1) << err;
      EXPECT_EQ(tool({"backup", "restore", bad, "--kek", "kek"}), 1) << err;
    };
    for (const auto at :
         {good.find("\"class\""), good.find("cmac:") + 5, good.find("signature:") + 10, good.size() - 1}) {
      std::string bad = good;
      bad[at] = bad[at] == '0' ? '1' : '0';
      refused(bad);
    }
    std::string capital = good;
    const auto letter = capital.find_first_of("abcdef", capital.find("signature:") + 10);
    capital[letter] = static_cast<char>(capital[letter] - 'a' + 'A');
    refused(capital);
    refused(good.substr(0, good.find("signature:")));
  }
  ASSERT_EQ(tool({"backup", "create", "--kek", "kek", "--out", path("plain")}), 0) << err;
  EXPECT_EQ(tool({"backup", "verify", path("plain"), "--kek", "kek", "--public-key", path("signer.pem")}), 1);
  EXPECT_NE(err.find("not signed"), std::string::npos) << err;
  EXPECT_EQ(bare({"backup", "verify", path("plain"), "--public-key", path("plain")}), 2) << err;
  error({"backup", "create", "--kek", "kek", "--sign-with", "nobody", "--out", path("x")}, 7);
  EXPECT_FALSE(fs::exists(path("x")));
}

TEST_P(AutomateTest, ABundleWithAnyByteAlteredIsRefused) {
  ASSERT_EQ(tool({"key", "gen-secret", "--label", "kek"}), 0) << err;
  ASSERT_EQ(tool({"key", "gen-secret", "--label", "s", "--attr", "extractable"}), 0) << err;
  ASSERT_EQ(tool({"backup", "create", "--kek", "kek", "--out", path("bundle")}), 0) << err;
  ASSERT_EQ(tool({"backup", "verify", path("bundle")}), 0) << err;
  const std::string good = read("bundle");
  // One in each part of the file; the whole file is the proof's (make bench-bench).
  for (std::size_t at = 0; at < good.size(); at += good.size() / 12 + 1) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    EXPECT_NE(tool({"backup", "verify", write("bad", bad), "--kek", "kek"}), 0) << "byte " << at;
  }
  std::string bad = good;
  bad.back() = ' ';
  EXPECT_EQ(tool({"backup", "verify", write("bad", bad)}), 1);
  EXPECT_EQ(tool({"backup", "verify", write("bad", good.substr(0, good.size() / 2))}), 1);
  ASSERT_EQ(tool({"key", "gen-secret", "--label", "other"}), 0) << err;
  EXPECT_EQ(tool({"backup", "verify", path("bundle"), "--kek", "other"}), 1) << "another KEK's";
}

}  // namespace
}  // namespace p11shim
