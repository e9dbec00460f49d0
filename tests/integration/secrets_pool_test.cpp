// As secrets_test, on a pool of two members that copies what is made, owes what a member missed, writes its journal and its
// directory of objects, and is reached over a socket and over TCP; with syslog and the systemd journal as sinks, too.
#include <filesystem>
#include <fstream>
#include <iterator>

#include "pool_writes.h"
#include "private_logs.h"
#include "secret_work.h"

namespace p11shim {
namespace {

namespace fs = std::filesystem;

constexpr char kUserPin[] = "user-pin-Lq72mV";

class SecretsInPools : public PoolWrites {
 protected:
  PrivateLogs logs;
  const bool has_sinks = logs.installed();  // otherwise files alone
  PoolMembers members{2};
  compare::PrivateDirectory folder;
  std::vector<Secret> secrets{{"the SO's PIN", compare::kSoPin}, {"the user's first PIN", compare::kUserPin}};
  std::unique_ptr<PrivateProxyd> proxyd;

  void start() {
    ASSERT_NO_FATAL_FAILURE(add_wrapping_key(members, 2));
    proxyd = std::make_unique<PrivateProxyd>(
        "log.level = \"trace\"\nlisten.tcp = \"127.0.0.1:0\"\n[audit]\nenabled = true\njournal = " +
        std::string(has_sinks ? "true" : "false") + "\nfile = \"" + (folder.path() / "audit.jsonl").string() +
        "\"\nclasses = [\"admin\", \"auth\", \"use\", \"read\"]\n" +
        members.config(kQuick + std::string("replication = \"wrap\"\nwrapping_key = \"wrap\"\nadmin = [\"") + me() +
                       "\"]\n"));
    proxyd->start();
  }
  std::string tcp() const {
    const auto status = proxyd->status();
    for (const auto& endpoint : status["endpoints"])
      if (endpoint.get<std::string>().starts_with("tcp:")) return endpoint;
    return {};
  }
  // An application that logs all it can say.
  std::unique_ptr<TestApplication> application(const std::string& endpoint, const std::string& sink) const {
    ::setenv("P11SHIM_LOG", ("trace:" + sink).c_str(), 1);
    auto made = std::make_unique<TestApplication>(endpoint);
    ::unsetenv("P11SHIM_LOG");
    return made;
  }
  std::string file_sink(const char* name) const { return "file:" + (folder.path() / name).string(); }
  void remember(const SecretWork& work) { secrets.insert(secrets.end(), work.secrets().begin(), work.secrets().end()); }
  void change_pins(const TestApplication& by);
  void owe(const TestApplication& by, CK_SESSION_HANDLE session);
  std::string files_written() const;
};

void SecretsInPools::change_pins(const TestApplication& by) {
  SecretWork work(by.v3());
  auto first = work.secret("a PIN that the SO gave", "given-pin-Kd83hZ");
  const auto wrong = work.secret("a wrong PIN", "wrong-pin-Mz61nB"), last = work.secret("the user's PIN", kUserPin);
  const auto session = by.open();
  ASSERT_EQ(by.log_in(session, compare::kSoPin, CKU_SO), CKR_OK);
  ASSERT_EQ(by->C_InitPIN(session, SecretWork::bytes(first), first.size()), CKR_OK);
  EXPECT_EQ(by->C_Logout(session), CKR_OK);
  EXPECT_EQ(by.log_in(session, wrong), CKR_PIN_INCORRECT);
  EXPECT_EQ(by.set_pin(session, wrong, last), CKR_PIN_INCORRECT);
  EXPECT_EQ(by.set_pin(session, first, last), CKR_OK);
  EXPECT_EQ(by->C_CloseSession(session), CKR_OK);
  remember(work);
}

// What is made and destroyed while a member is away goes to the journal, until that is back.
void SecretsInPools::owe(const TestApplication& by, CK_SESSION_HANDLE session) {
  secrets.push_back({"the value of an object that is owed", "owed-value-Gj91sH"});
  secrets.push_back({"the value of an object whose destruction is owed", "gone-value-Hk82tG"});
  const auto gone = by.create_data(session, true, "gone", "gone-value-Hk82tG");
  ASSERT_NO_FATAL_FAILURE(take_away(*proxyd, members, 1));
  by.create_data(session, true, "owed", "owed-value-Gj91sH");
  EXPECT_EQ(by->C_DestroyObject(session, gone), CKR_OK);
  EXPECT_FALSE(nobody_owes(*proxyd));
}

// All but the members' own files, which are their business.
std::string SecretsInPools::files_written() const {
  std::string all;
  for (const fs::path& root : {proxyd->path(), folder.path()})
    for (const auto& entry : fs::recursive_directory_iterator(root)) {
      if (!entry.is_regular_file()) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      all += "== " + entry.path().string() + '\n';
      all.append(std::istreambuf_iterator<char>(file), {});
    }
  return all;
}

TEST_F(SecretsInPools, NothingThatIsWrittenHoldsOne) {
  ASSERT_NO_FATAL_FAILURE(start());
  auto local = application(proxyd->endpoint(), has_sinks ? "syslog" : file_sink("local.log"));
  auto distant = application(tcp(), file_sink("distant.log"));
  ASSERT_NO_FATAL_FAILURE(change_pins(*local));
  for (const auto* each : {local.get(), distant.get()}) {
    const auto session = each->open();
    ASSERT_EQ(each->log_in(session, kUserPin), CKR_OK);
    ASSERT_TRUE(eventually([&] { return all_serve(*proxyd); }));
    SecretWork work(each->v3());
    ASSERT_NO_FATAL_FAILURE(work.use_keys(session));
    ASSERT_NO_FATAL_FAILURE(work.use_parameters(session));
    remember(work);
    if (each == local.get()) {
      ASSERT_NO_FATAL_FAILURE(owe(*each, session));
    }
    members.rules(1).set("");
  }
  std::ofstream(folder.path() / "figures") << proxyd->status() << proxyd->ask("{\"command\":\"stats\"}")
                                           << proxyd->ask("{\"command\":\"pools\"}") << sync(*proxyd);
  std::string written = files_written();  // with what is owed, if it is still
  EXPECT_TRUE(eventually([&] { return nobody_owes(*proxyd); })) << sync(*proxyd);
  EXPECT_EQ(proxyd->stop(), 0);
  local.reset();
  distant.reset();
  logs.stop();
  written += files_written() + "== syslog\n" + logs.syslog() + "== journal\n" + logs.journal();

  const auto journal = proxyd->path() / "state" / "journal.db";
  EXPECT_TRUE(fs::exists(journal) && fs::file_size(journal) > 0);
  for (const char* name : {"C_CreateObject", "C_InitPIN", "C_DeriveKey"}) {
    EXPECT_NE(proxyd->log().find(name), std::string::npos) << name;
    if (!has_sinks) continue;
    EXPECT_NE(logs.syslog().find(name), std::string::npos) << name;
    EXPECT_NE(logs.journal().find(name), std::string::npos) << name;
  }
  EXPECT_EQ(traces_in(written, secrets), std::vector<std::string>{});
}

}  // namespace
}  // namespace p11shim
