// No PIN, plaintext, key, IV or result may ever reach a log, the audit log, the statistics or the state
// directory.
//
// One application does everything that carries a secret through the shim, with every log at its most
// talkative and every audit class on; then all that anybody wrote is searched for every secret in every usual
// form.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <thread>

#include "pkcs11/interface.h"
#include "secret_work.h"
#include "tests/places.h"
#include "tests/unit/tools/shimctl/process.h"

namespace p11shim {
namespace {

namespace fs = std::filesystem;

const std::string kBuild = build_dir();
constexpr char kSoftHsm[] = "/usr/lib/softhsm/libsofthsm2.so";
constexpr char kToken[] = "canary token";

std::string content(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

const auto bytes = &SecretWork::bytes;

TEST(SecretTraces, FindsEveryForm) {
  const std::vector<Secret> secrets{{"it", "secret-8"}};
  for (const char* text : {"xsecret-8x", "7365637265742d38", "7365637265742D38", "73 65 63 72 65 74 2d 38",
                           "73:65:63:72:65:74:2d:38", "0x73, 0x65, 0x63, 0x72, 0x65, 0x74, 0x2d, 0x38",
                           "[115,101,99,114,101,116,45,56]", "c2VjcmV0LTg=", "eHNlY3JldC04", "eHhzZWNyZXQtOA=="}) {
    EXPECT_EQ(traces_in(text, secrets).size(), 1u) << text;
  }
  EXPECT_TRUE(traces_in("secret-7 secret- 8 7365637265742d39", secrets).empty());
}

// proxyd with a fresh SoftHSM token directory, and the shim loaded into this process.
class SecretsTest : public testing::Test {
 protected:
  const fs::path folder = [] {
    std::string name = fs::temp_directory_path() / "secrets_test.XXXXXX";
    return fs::path(::mkdtemp(name.data()));
  }();
  const fs::path tokens = folder / "softhsm";  // the vendor's own files: what is in there is its business
  std::optional<Process> proxyd;
  void* shim = nullptr;
  const CK_FUNCTION_LIST_3_0* p11 = nullptr;
  std::optional<SecretWork> work;

  SecretsTest() {
    for (const fs::path& name : {tokens, folder / "state"}) {
      fs::create_directory(name);
      fs::permissions(name, fs::perms::owner_all);
    }
    std::ofstream(tokens / "softhsm2.conf") << "directories.tokendir = " << tokens.string() << "\nlog.level = DEBUG\n";
    std::ofstream(folder / "proxyd.toml")
        << "listen.unix = \"" << (folder / "proxyd.sock").string() << "\"\n"
        << "control.unix = \"" << (folder / "control.sock").string() << "\"\n"
        << "state.directory = \"" << (folder / "state").string() << "\"\n"
        << "log.level = \"trace\"\nlog.file = \"" << (folder / "proxyd.log").string() << "\"\n"
        << "[audit]\nenabled = true\nfile = \"" << (folder / "audit.jsonl").string() << "\"\n"
        << "classes = [\"admin\", \"auth\", \"use\", \"read\"]\n"
        << "[[module]]\nname = \"softhsm\"\npath = \"" << kSoftHsm << "\"\ntokens = \"*\"\nadmin = true\n";
  }
  ~SecretsTest() override {
    if (shim != nullptr) ::dlclose(shim);
    proxyd.reset();
    fs::remove_all(folder);
  }

  void start() {
    proxyd.emplace(std::vector<std::string>{kBuild + "/bin/proxyd", "--config", folder / "proxyd.toml"},
                   Variables{{"SOFTHSM2_CONF", tokens / "softhsm2.conf"}});
    const auto deadline = std::chrono::steady_clock::now() + Process::kPatience;
    while (!fs::exists(folder / "proxyd.sock") && std::chrono::steady_clock::now() < deadline)
      std::this_thread::yield();

    ::setenv("P11SHIM_ENDPOINT", ("unix:" + (folder / "proxyd.sock").string()).c_str(), 1);
    ::setenv("P11SHIM_LOG", ("trace:file:" + (folder / "shim.log").string()).c_str(), 1);
    shim = ::dlopen((kBuild + "/lib/libpkcs11-shim.so").c_str(), RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(shim, nullptr) << ::dlerror();
    p11 = find_list_3_0(reinterpret_cast<CK_C_GetInterface>(::dlsym(shim, "C_GetInterface")));
    ASSERT_NE(p11, nullptr);
    work.emplace(*p11);
    ASSERT_EQ(p11->C_Initialize(nullptr), CKR_OK);
  }

  CK_SLOT_ID slot_of(const std::string& label) const {
    CK_SLOT_ID slots[16];
    CK_ULONG count = 16;
    EXPECT_EQ(p11->C_GetSlotList(CK_FALSE, slots, &count), CKR_OK);
    for (CK_ULONG i = 0; i < count; ++i) {
      CK_TOKEN_INFO info{};
      const bool known = p11->C_GetTokenInfo(slots[i], &info) == CKR_OK;
      const bool fresh = known && (info.flags & CKF_TOKEN_INITIALIZED) == 0;
      const std::string_view shown(reinterpret_cast<char*>(info.label), sizeof info.label);
      if (known && (label.empty() ? fresh : shown.starts_with(label))) return slots[i];
    }
    ADD_FAILURE() << "no slot for \"" << label << '"';
    return 0;
  }
  CK_SESSION_HANDLE open(CK_SLOT_ID slot) const {
    CK_SESSION_HANDLE session = 0;
    EXPECT_EQ(p11->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr, &session), CKR_OK);
    return session;
  }

  void administer();
  void ask_for_figures();
  void stop();
  std::string everything_written();
};

// Initialises the token, sets and changes its PINs, tries wrong ones. Leaves the user's PIN at its last
// value.
void SecretsTest::administer() {
  auto so_pin = work->secret("the SO's PIN", "so-pin-J4x9Qw");
  auto first_pin = work->secret("the user's first PIN", "first-pin-Kd83hZ");
  auto user_pin = work->secret("the user's PIN", "user-pin-Lq72mV");
  auto wrong_pin = work->secret("a wrong PIN", "wrong-pin-Mz61nB");
  std::string label = kToken;
  label.resize(32, ' ');
  const CK_SLOT_ID fresh = slot_of("");
  ASSERT_EQ(p11->C_InitToken(fresh, bytes(so_pin), so_pin.size(), bytes(label)), CKR_OK);

  const auto session = open(slot_of(kToken));
  ASSERT_EQ(p11->C_Login(session, CKU_SO, bytes(so_pin), so_pin.size()), CKR_OK);
  ASSERT_EQ(p11->C_InitPIN(session, bytes(first_pin), first_pin.size()), CKR_OK);
  EXPECT_EQ(p11->C_Logout(session), CKR_OK);
  EXPECT_EQ(p11->C_Login(session, CKU_USER, bytes(wrong_pin), wrong_pin.size()), CKR_PIN_INCORRECT);
  EXPECT_EQ(p11->C_SetPIN(session, bytes(wrong_pin), wrong_pin.size(), bytes(user_pin), user_pin.size()),
            CKR_PIN_INCORRECT);
  EXPECT_EQ(p11->C_SetPIN(session, bytes(first_pin), first_pin.size(), bytes(user_pin), user_pin.size()), CKR_OK);
  EXPECT_EQ(p11->C_CloseSession(session), CKR_OK);
}

void SecretsTest::ask_for_figures() {
  for (const char* command : {"stats --raw", "stats --by client", "status", "ping"}) {
    std::vector<std::string> arguments{kBuild + "/bin/shimctl", "--control", folder / "control.sock", "-o", "json"};
    std::istringstream words(command);
    arguments.insert(arguments.end(), std::istream_iterator<std::string>(words), {});
    Process shimctl(arguments);
    EXPECT_EQ(shimctl.wait(), 0) << shimctl.err;
    std::ofstream(folder / "figures", std::ios::app) << shimctl.out;
  }
}

void SecretsTest::stop() {
  proxyd->signal(SIGTERM);
  EXPECT_EQ(proxyd->wait(), 0);
}

// Each file under its path, so that a trace can be found again.
std::string SecretsTest::everything_written() {
  std::ostringstream all;
  all << "== proxyd's output\n" << proxyd->out << "== proxyd's errors\n" << proxyd->err;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const bool of_the_vendor = entry.path().string().starts_with(tokens.string());
    if (entry.is_regular_file() && !of_the_vendor) all << "== " << entry.path() << '\n' << content(entry.path());
  }
  return all.str();
}

TEST_F(SecretsTest, NothingThatIsWrittenHoldsOne) {
  if (!fs::exists(kSoftHsm)) GTEST_SKIP() << "SoftHSM is not installed";
  ASSERT_NO_FATAL_FAILURE(start());
  ASSERT_NO_FATAL_FAILURE(administer());
  const auto session = open(slot_of(kToken));
  std::string user_pin = "user-pin-Lq72mV";
  ASSERT_EQ(p11->C_Login(session, CKU_USER, bytes(user_pin), user_pin.size()), CKR_OK);
  ASSERT_NO_FATAL_FAILURE(work->use_keys(session));
  ASSERT_NO_FATAL_FAILURE(work->use_parameters(session));
  ask_for_figures();
  stop();
  // A shim that has lost its proxyd has something to log, too.
  EXPECT_NE(p11->C_SetPIN(session, bytes(user_pin), user_pin.size(), bytes(user_pin), user_pin.size()), CKR_OK);
  p11->C_Finalize(nullptr);
  const std::string written = everything_written();

  // The search is worth something only if all of them did write.
  const std::string audit = content(folder / "audit.jsonl");
  for (const char* function : {"C_InitToken", "C_InitPIN", "C_SetPIN", "C_Login", "C_CreateObject", "C_Encrypt",
                               "C_Decrypt", "C_SignFinal", "C_Digest", "C_GenerateRandom", "C_GetAttributeValue"}) {
    EXPECT_NE(audit.find('"' + std::string(function) + '"'), std::string::npos) << function << " left no audit record";
  }
  EXPECT_NE(audit.find(SecretWork::kKeyLabel), std::string::npos) << "keys are named in the audit log";
  EXPECT_NE(audit.find("CKR_PIN_INCORRECT"), std::string::npos);
  for (const char* log : {"proxyd.log", "shim.log"})
    for (const char* function : {"C_Login", "C_SetPIN", "C_Encrypt", "C_DeriveKey", "C_GenerateKey"})
      EXPECT_NE(content(folder / log).find(function), std::string::npos) << log << " has no line of " << function;
  EXPECT_NE(content(folder / "shim.log").find("CKM_AES_GCM("), std::string::npos) << "mechanisms are described";
  std::istringstream lines(audit);
  for (std::string line; std::getline(lines, line);) EXPECT_TRUE(nlohmann::json::accept(line)) << line;

  EXPECT_EQ(traces_in(written, work->secrets()), std::vector<std::string>{});
}

}  // namespace
}  // namespace p11shim
