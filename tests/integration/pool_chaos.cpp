// Random creations, uses and destructions in a pool of three whose members fail and return, while proxyd is killed at any
// moment. Afterwards all members agree, nothing that was acknowledged is lost, and nothing that was destroyed exists.
//
// P11_CHAOS_OPERATIONS (150) and P11_CHAOS_SEED (3) say how many and which; with more than a thousand it tells on stderr how far
// it is.
#include <gtest/gtest.h>
#include <signal.h>

#include <iomanip>
#include <iostream>
#include <map>
#include <mutex>
#include <random>
#include <set>

#include "pool_members.h"

namespace p11shim {
namespace {

constexpr std::size_t kMembers = 3;
constexpr std::size_t kMostObjects = 60;
constexpr std::chrono::seconds kLongPatience{120};  // beside whatever else the machine does
constexpr char kPool[] =
    "replication = \"wrap\"\nwrapping_key = \"wrap\"\nattempt_timeout = \"1s\"\nbreaker = { failures = 3, open_min = "
    "\"20ms\", open_max = \"100ms\" }\n"
    "probe = { interval = \"200ms\", timeout = \"1s\" }\n";
constexpr CK_BBOOL kYes = CK_TRUE, kNo = CK_FALSE;

CK_ATTRIBUTE flag(CK_ATTRIBUTE_TYPE type, const CK_BBOOL& value) {
  return {type, const_cast<CK_BBOOL*>(&value), sizeof value};
}
std::uint64_t setting(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::stoull(text) : otherwise;
}

enum class Fate { alive, destroyed, unknown };
struct Object {
  bool is_key = false;
  Fate fate = Fate::unknown;
  CK_OBJECT_HANDLE handle = 0;
  Bytes result;  // of the first use
};

class Chaos {
 public:
  explicit Chaos(std::uint64_t seed)
      : random_(seed), proxyd_("[limits]\ndeadline = \"2s\"\nkeygen_deadline = \"2s\"\n" + members_.config(kPool)) {
    for (std::size_t i = 0; i < kMembers; ++i) add_wrapping_key(i);
    proxyd_.start();
    connect();
  }

  void run(std::uint64_t operations) {
    for (std::uint64_t i = 0; i < operations && !::testing::Test::HasFailure(); ++i) {
      if (operations > 1000 && i % 500 == 0)
        std::cerr << "chaos: " << i << " of " << operations << " operations" << std::endl;
      disturb();
      std::thread killer;
      const bool kills = chance(100);
      if (kills) killer = std::thread([this, after = random_() % 6000] { kill_proxyd(after); });
      operate(i);
      if (kills) killer.join(), connect();
    }
  }

  void check() {
    for (std::size_t i = 0; i < kMembers; ++i) members_.rules(i).set("");
    connect();
    EXPECT_TRUE(eventually([&] { return settled(); }, kLongPatience))
        << report().dump() << proxyd_.ask(R"({"command":"pool-diff"})").dump();
    application_.reset();
    proxyd_.stop();
    std::vector<std::multiset<std::string>> on;
    for (std::size_t i = 0; i < kMembers; ++i) on.push_back(labels_on(i));
    for (std::size_t i = 1; i < kMembers; ++i) EXPECT_EQ(on[0], on[i]) << "member " << i;
    std::size_t lost = 0, back = 0, twice = 0;
    std::string wrong;
    for (const auto& [label, object] : objects_)
      for (std::size_t i = 0; i < kMembers; ++i) {
        const std::size_t count = on[i].count(label);
        const bool is_lost = object.fate == Fate::alive && count == 0;
        const bool is_back = object.fate == Fate::destroyed && count != 0;
        lost += is_lost, back += is_back, twice += count > 1;
        if (is_lost || is_back || count > 1 || count != on[0].count(label))
          wrong += label + " is on hsm" + std::to_string(i) + " " + std::to_string(count) + " times\n";
      }
    EXPECT_EQ(wrong, "");
    EXPECT_EQ(lost, 0u);
    EXPECT_EQ(back, 0u);
    EXPECT_EQ(twice, 0u);
    std::cout << "chaos: " << made_ << " made, " << used_ << " used, " << destroyed_ << " destroyed, " << failed_
              << " without success, " << kills_ << " kills of proxyd, " << faults_ << " faults of members; lost "
              << lost << ", came back " << back << ", objects left " << on[0].size() << std::endl;
    if (::testing::Test::HasFailure()) std::cerr << proxyd_.log() << told_;
  }

 private:
  bool chance(unsigned one_in) { return random_() % one_in == 0; }

  void add_wrapping_key(std::size_t member) {
    PrivateProxyd alone(members_.config_of(member));
    alone.start();
    TestApplication application(alone);
    const auto session = application.open();
    ASSERT_EQ(application.log_in(session, compare::kUserPin), CKR_OK);
    CK_OBJECT_CLASS object_class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_AES;
    CK_BYTE value[32] = {1, 2, 3};
    char label[] = "wrap";
    CK_ATTRIBUTE tmpl[] = {{CKA_CLASS, &object_class, sizeof object_class},
                           {CKA_KEY_TYPE, &type, sizeof type},
                           {CKA_VALUE, value, sizeof value},
                           {CKA_LABEL, label, 4},
                           flag(CKA_TOKEN, kYes),
                           flag(CKA_PRIVATE, kYes),
                           flag(CKA_WRAP, kYes),
                           flag(CKA_UNWRAP, kYes)};
    CK_OBJECT_HANDLE key = 0;
    ASSERT_EQ(application->C_CreateObject(session, tmpl, std::size(tmpl), &key), CKR_OK);
  }

  // As an application that starts: handles are looked up.
  void connect() {
    application_.reset();
    application_ = std::make_unique<TestApplication>(proxyd_);
    session_ = application_->open();
    ASSERT_TRUE(eventually(
        [&] {
          const CK_RV rv = application_->log_in(session_, compare::kUserPin);
          return rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN;
        },
        kLongPatience));
    for (const CK_OBJECT_CLASS object_class : {CKO_DATA, CKO_SECRET_KEY})
      for (const auto handle : search(object_class)) {
        char label[64];
        CK_ATTRIBUTE query{CKA_LABEL, label, sizeof label};
        if ((*application_)->C_GetAttributeValue(session_, handle, &query, 1) != CKR_OK) continue;
        const auto found = objects_.find(std::string(label, query.ulValueLen));
        if (found == objects_.end()) continue;
        EXPECT_NE(found->second.fate, Fate::destroyed) << found->first;
        found->second.handle = handle;
      }
  }

  // Searches fail too while all members are in trouble.
  std::vector<CK_OBJECT_HANDLE> search(CK_OBJECT_CLASS object_class) {
    std::vector<CK_OBJECT_HANDLE> found(1000);
    CK_ULONG count = 0;
    CK_ATTRIBUTE wanted{CKA_CLASS, &object_class, sizeof object_class};
    EXPECT_TRUE(eventually(
        [&] {
          if ((*application_)->C_FindObjectsInit(session_, &wanted, 1) != CKR_OK) return false;
          const CK_RV rv = (*application_)->C_FindObjects(session_, found.data(), found.size(), &count);
          return (*application_)->C_FindObjectsFinal(session_) == CKR_OK && rv == CKR_OK;
        },
        kLongPatience));
    found.resize(count);
    return found;
  }

  void kill_proxyd(std::uint64_t after_us) {
    std::this_thread::sleep_for(std::chrono::microseconds(after_us));  // anywhere in the operation
    tell("proxyd is killed");
    proxyd_.signal(SIGKILL);
    proxyd_.wait();
    ++kills_;
    proxyd_.start();
  }

  void disturb() {
    const std::size_t member = random_() % kMembers;
    const std::string name = "hsm" + std::to_string(member);
    if (chance(30)) away_.erase(member), members_.rules(member).set(""), tell(name + " is well");
    if (!chance(40)) return;
    ++faults_;
    const std::uint64_t kind = random_() % 3;
    tell(name + (kind == 0 ? " fails" : kind == 1 ? " is killed" : " goes away"));
    switch (kind) {
      case 0:
        members_.rules(member).set(
            "C_CreateObject|C_GenerateKey|C_DestroyObject|C_UnwrapKey|C_WrapKey|C_Encrypt rv=CKR_DEVICE_ERROR "
            "probability=0.3");
        return;
      case 1: break;
      case 2:
        if (away_.size() + 1 >= kMembers) return;
        away_.insert(member);
        members_.rules(member).set("C_Initialize rv=CKR_DEVICE_ERROR");
    }
    for (const char* domain : {"user", "public"})
      if (const pid_t worker = member_worker(proxyd_, name, domain); worker > 0) ::kill(worker, SIGUSR1);
  }

  void operate(std::uint64_t number) {
    std::vector<std::string> alive;
    for (const auto& [label, object] : objects_)
      if (object.fate == Fate::alive) alive.push_back(label);
    const unsigned kind = static_cast<unsigned>(random_() % 10);
    if (alive.empty() || (kind < 3 && alive.size() < kMostObjects)) return make(number);
    const std::string label = alive[random_() % alive.size()];
    if (kind < 5 || alive.size() >= kMostObjects) return destroy(label);
    if (objects_[label].is_key) use(objects_[label], label);
  }

  void make(std::uint64_t number) {
    const bool is_key = random_() % 2 == 0;
    std::string label = (is_key ? "k" : "d") + std::to_string(number);
    Object& object = objects_[label];
    object.is_key = is_key;
    CK_ULONG size = 16;
    CK_OBJECT_CLASS data = CKO_DATA;
    CK_MECHANISM mechanism{CKM_AES_KEY_GEN, nullptr, 0};
    CK_ATTRIBUTE key_template[] = {flag(CKA_TOKEN, kYes),
                                   flag(CKA_PRIVATE, kYes),
                                   flag(CKA_ENCRYPT, kYes),
                                   flag(CKA_EXTRACTABLE, kYes),
                                   {CKA_VALUE_LEN, &size, sizeof size},
                                   {CKA_LABEL, label.data(), label.size()}};
    CK_ATTRIBUTE data_template[] = {{CKA_CLASS, &data, sizeof data},
                                    flag(CKA_TOKEN, kYes),
                                    flag(CKA_PRIVATE, kNo),
                                    {CKA_LABEL, label.data(), label.size()},
                                    {CKA_VALUE, label.data(), label.size()}};
    const CK_RV rv =
        is_key ? (*application_)
                     ->C_GenerateKey(session_, &mechanism, key_template, std::size(key_template), &object.handle)
               : (*application_)->C_CreateObject(session_, data_template, std::size(data_template), &object.handle);
    object.fate = rv == CKR_OK ? Fate::alive : Fate::unknown;
    ++(rv == CKR_OK ? made_ : failed_);
    tell("make " + label, rv);
  }

  void use(Object& object, const std::string& label) {
    CK_MECHANISM mechanism{CKM_AES_ECB, nullptr, 0};
    CK_BYTE block[16] = {5}, result[16];
    CK_ULONG size = sizeof result;
    CK_RV rv = (*application_)->C_EncryptInit(session_, &mechanism, object.handle);
    if (rv == CKR_OK) rv = (*application_)->C_Encrypt(session_, block, sizeof block, result, &size);
    if (rv != CKR_OK) return void(++failed_);
    ++used_;
    const Bytes now(result, result + size);
    if (object.result.empty()) object.result = now;
    EXPECT_EQ(object.result, now) << label << " is another key";
  }

  void destroy(const std::string& label) {
    Object& object = objects_[label];
    const CK_RV rv = (*application_)->C_DestroyObject(session_, object.handle);
    object.fate = rv == CKR_OK ? Fate::destroyed : Fate::unknown;
    ++(rv == CKR_OK ? destroyed_ : failed_);
    tell("destroy " + label, rv);
  }

  // What was done when, for the reader of proxyd's log.
  void tell(const std::string& what, CK_RV rv = CKR_OK) {
    const auto now = std::chrono::system_clock::now().time_since_epoch() / std::chrono::milliseconds(1);
    const std::time_t seconds = now / 1000;
    std::tm parts{};
    std::ostringstream line;
    line << std::put_time(::gmtime_r(&seconds, &parts), "%FT%T.") << std::setw(3) << std::setfill('0') << now % 1000
         << " " << what << " 0x" << std::hex << rv << "\n";
    const std::lock_guard lock(telling_);
    told_ += line.str();
  }

  nlohmann::json report() const {
    const auto answer = proxyd_.ask(R"({"command":"pool-sync","arguments":{"dry_run":true}})");
    return answer.contains("result") ? answer["result"] : nlohmann::json();
  }
  bool settled() const {
    const auto now = report();
    if (now.is_null()) return false;
    for (const auto& member : now["members"])
      if (member["private_objects_known"] != true || !member["owes"].empty() || member["copies"] != 0) return false;
    return true;
  }

  std::multiset<std::string> labels_on(std::size_t member) {
    PrivateProxyd alone(members_.config_of(member));
    alone.start();
    TestApplication application(alone);
    const auto session = application.open();
    EXPECT_EQ(application.log_in(session, compare::kUserPin), CKR_OK);
    std::multiset<std::string> labels;
    for (const CK_OBJECT_CLASS object_class : {CKO_DATA, CKO_SECRET_KEY})
      for (const auto object : application.find(session, object_class)) {
        char label[64];
        CK_ATTRIBUTE query{CKA_LABEL, label, sizeof label};
        EXPECT_EQ(application->C_GetAttributeValue(session, object, &query, 1), CKR_OK);
        labels.emplace(label, query.ulValueLen);
      }
    return labels;
  }

  std::mt19937_64 random_;
  PoolMembers members_{kMembers};
  PrivateProxyd proxyd_;
  std::unique_ptr<TestApplication> application_;
  CK_SESSION_HANDLE session_ = 0;
  std::map<std::string, Object> objects_;
  std::set<std::size_t> away_;
  std::mutex telling_;  // whoever kills proxyd tells, too
  std::string told_;
  std::uint64_t made_ = 0, used_ = 0, destroyed_ = 0, failed_ = 0, kills_ = 0, faults_ = 0;
};

TEST(PoolChaos, MembersAgreeNothingIsLostNothingComesBack) {
  if (!PoolMembers::installed()) GTEST_SKIP() << "softhsm2 is not installed";
  Chaos chaos(setting("P11_CHAOS_SEED", 3));
  chaos.run(setting("P11_CHAOS_OPERATIONS", 150));
  chaos.check();
}

}  // namespace
}  // namespace p11shim
