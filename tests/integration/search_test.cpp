// Searches with large results: 100,000 keys, in pages, whatever the application asks for; and none is ever missing, whatever
// becomes of the worker's descriptions.
#include <gtest/gtest.h>

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <optional>
#include <set>
#include <thread>

#include "application.h"
#include "tests/places.h"

namespace p11shim {
namespace {

using Objects = std::vector<CK_OBJECT_HANDLE>;

constexpr std::size_t kKeys = 100'000;

class LargeSearch : public testing::Test {
 protected:
  void SetUp() override {
    proxyd.start();
    application.emplace(proxyd, kItsPatience);
    ASSERT_FALSE(application->slots().empty()) << proxyd.log();
    session = application->open(true, application->slots()[0]);
  }
  CK_RV begin() const {
    CK_OBJECT_CLASS type = CKO_SECRET_KEY;
    CK_ATTRIBUTE wanted{CKA_CLASS, &type, sizeof type};
    return (*application)->C_FindObjectsInit(session, &wanted, 1);
  }
  Objects next(CK_ULONG most) const {
    Objects objects(most);
    CK_ULONG count = 0;
    EXPECT_EQ((*application)->C_FindObjects(session, objects.data(), most, &count), CKR_OK);
    objects.resize(std::min(count, most));
    return objects;
  }
  CK_RV end() const { return (*application)->C_FindObjectsFinal(session); }

  // Sanitizers on a busy machine take minutes for 100,000 objects.
  static constexpr char kItsPatience[] = "deadline = \"10m\"\n";
  static constexpr char kPatience[] = "limits = { deadline = \"10m\", keygen_deadline = \"10m\" }\n";
  const std::string crowd = "[[module]]\nname = \"crowd\"\ntokens = \"*\"\ncheck_owner = false\npath = \"" +
                            build_dir() + "/tests/crowded_module.so\"\n";
  PrivateProxyd proxyd{"log.level = \"debug\"\n" + (kPatience + crowd)};
  std::optional<TestApplication> application;
  // The worker has answered a search, whose result proxyd is taking in.
  [[nodiscard]] bool takes_in() const {
    const auto busy = [&] { return proxyd.worker("public")["busy_lanes"].get<int>(); };
    bool takes_in = false;
    for (int i = 0; i < 20 && !takes_in; ++i)
      takes_in = eventually([&] { return busy() == 1; }) && eventually([&] { return busy() == 0; });
    return takes_in;
  }
  CK_SESSION_HANDLE session = 0;
};

// The order of events is that of proxyd's log.
TEST_F(LargeSearch, OthersAreAnsweredWhileItsResultIsTakenIn) {
  std::atomic<bool> over = false;
  std::thread bystander([&] {
    TestApplication other(proxyd);
    const CK_SESSION_HANDLE its = other.open(true, other.slots()[0]);
    CK_BYTE random[8];
    while (!over) EXPECT_EQ(other->C_GenerateRandom(its, random, sizeof random), CKR_OK);
  });
  EXPECT_EQ(begin(), CKR_OK);
  EXPECT_EQ(next(kKeys + 1).size(), kKeys);
  over = true;
  bystander.join();
  proxyd.stop();
  const std::string log = proxyd.log();
  const std::size_t begins = log.find("taken in one by one");
  ASSERT_NE(begins, std::string::npos);
  const std::size_t ends = log.find("is described", begins);
  ASSERT_NE(ends, std::string::npos);
  int answered = 0;
  for (std::size_t at = begins; (at = log.find("C_GenerateRandom", at)) < ends; ++at) ++answered;
  EXPECT_GE(answered, 10) << "a thousand slices";
}

TEST_F(LargeSearch, SurvivesTheWorkerThatDiesWhileItsResultIsTakenIn) {
  CK_RV rv = CKR_OK;
  std::thread caller([&] { rv = begin(); });
  EXPECT_TRUE(takes_in());
  ::kill(proxyd.worker("public")["pid"].get<int>(), SIGKILL);
  caller.join();
  EXPECT_EQ(rv, CKR_DEVICE_ERROR) << "its handles mean nothing now";
  ASSERT_EQ(begin(), CKR_OK) << proxyd.log();
  const Objects objects = next(kKeys + 1);
  EXPECT_EQ(std::set<CK_OBJECT_HANDLE>(objects.begin(), objects.end()).size(), kKeys);
}

TEST_F(LargeSearch, MayLoseItsApplicationWhileItsResultIsTakenIn) {
  std::thread caller([&] { begin(); });
  EXPECT_TRUE(takes_in());
  (*application)->C_Finalize(nullptr);
  caller.join();
  application.emplace(proxyd, kItsPatience);
  session = application->open(true, application->slots()[0]);
  ASSERT_EQ(begin(), CKR_OK) << proxyd.log();
  const Objects objects = next(kKeys + 1);
  EXPECT_EQ(std::set<CK_OBJECT_HANDLE>(objects.begin(), objects.end()).size(), kKeys);
}

// Wherever its time is over.
TEST_F(LargeSearch, EndsAtItsDeadlineAndIsNotGoneOnWith) {
  const std::string fewer = crowd + "environment = { CROWDED_KEYS = \"40000\" }\n";  // described in one answer
  application.reset();
  proxyd.stop();
  proxyd.write_config("limits.deadline = \"300ms\"\n" + fewer);
  proxyd.start();
  application.emplace(proxyd, kItsPatience);
  session = application->open(true, application->slots()[0]);
  CK_RV rv = begin();
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(proxyd.status().is_object());  // each takes some turns of the loop
  proxyd.write_config(kPatience + fewer);
  proxyd.signal(SIGHUP);
  for (int i = 0; i < 100 && rv == CKR_DEVICE_ERROR; ++i) rv = begin();
  ASSERT_EQ(rv, CKR_OK) << proxyd.log();
  const Objects objects = next(kKeys);
  EXPECT_EQ(std::set<CK_OBJECT_HANDLE>(objects.begin(), objects.end()).size(), 40'000u);
}

TEST_F(LargeSearch, EveryObjectOnce) {
  for (const CK_ULONG most : {CK_ULONG{999}, CK_ULONG{70'000}, CK_ULONG{kKeys + 1}}) {
    ASSERT_EQ(begin(), CKR_OK) << proxyd.log();
    std::set<CK_OBJECT_HANDLE> all;
    for (std::size_t given = 0; given < kKeys;) {
      const Objects objects = next(most);
      ASSERT_EQ(objects.size(), std::min<std::size_t>(most, kKeys - given)) << "as many as there are";
      given += objects.size();
      all.insert(objects.begin(), objects.end());
    }
    EXPECT_EQ(all.size(), kKeys);
    EXPECT_TRUE(next(1).empty());
    EXPECT_EQ(end(), CKR_OK);
  }
}

TEST_F(LargeSearch, MayEndAtAnyTime) {
  ASSERT_EQ(begin(), CKR_OK);
  EXPECT_EQ(next(1).size(), 1u);
  EXPECT_EQ(next(9'000).size(), 9'000u);
  EXPECT_EQ(end(), CKR_OK);
  ASSERT_EQ(begin(), CKR_OK) << "and anew";
  EXPECT_EQ(next(5).size(), 5u);
  EXPECT_EQ(end(), CKR_OK);
}

class CrowdedToken : public testing::Test {
 protected:
  static constexpr CK_ULONG kCount = 10'000;
  compare::PrivateDirectory control;
  std::optional<PrivateProxyd> proxyd;

  void serve(const std::string& more = {}) {
    proxyd.emplace("[[module]]\nname = \"crowd\"\ntokens = \"*\"\ncheck_owner = false\npath = \"" + build_dir() +
                   "/tests/crowded_module.so\"\nenvironment = { CROWDED_KEYS = \"" + std::to_string(kCount) +
                   "\", CROWDED_CONTROL = \"" + control.path().string() + "\"" + more + " }\n");
    proxyd->start();
  }
  void TearDown() override { forbid("hang"); }
  void tell(const char* name) const { std::ofstream{control.path() / name}; }
  void forbid(const char* name) const { std::filesystem::remove(control.path() / name); }
  static CK_SESSION_HANDLE open(const TestApplication& application) {
    return application.open(true, application.slots().at(0));
  }
  // The result of C_FindObjectsInit, and how many there are.
  static std::pair<CK_RV, std::size_t> search(const TestApplication& application, CK_SESSION_HANDLE session) {
    CK_OBJECT_CLASS type = CKO_SECRET_KEY;
    CK_ATTRIBUTE wanted{CKA_CLASS, &type, sizeof type};
    if (const CK_RV rv = application->C_FindObjectsInit(session, &wanted, 1); rv != CKR_OK) return {rv, 0};
    Objects objects(kCount + 1);
    CK_ULONG count = 0;
    EXPECT_EQ(application->C_FindObjects(session, objects.data(), objects.size(), &count), CKR_OK);
    EXPECT_EQ(application->C_FindObjectsFinal(session), CKR_OK);
    return {CKR_OK, std::set<CK_OBJECT_HANDLE>(objects.begin(), objects.begin() + count).size()};
  }
  // The worker has described all objects to somebody who has gone meanwhile.
  void lose_descriptions() {
    TestApplication leaving(*proxyd);
    const CK_SESSION_HANDLE session = open(leaving);
    tell("hang");
    std::thread caller([&] { search(leaving, session); });
    EXPECT_TRUE(eventually([&] { return std::filesystem::exists(control.path() / "hangs"); }));
    leaving->C_Finalize(nullptr);
    caller.join();
    EXPECT_TRUE(eventually([&] { return proxyd->worker("public")["stuck_lanes"] == 1; }));
    forbid("hang");
    EXPECT_TRUE(eventually([&] { return proxyd->worker("public")["stuck_lanes"] == 0; }));
  }
};

TEST_F(CrowdedToken, ShowsAllObjectsThoughTheirDescriptionsWereLost) {
  serve();
  lose_descriptions();
  TestApplication application(*proxyd);
  EXPECT_EQ(search(application, open(application)), std::pair(CK_RV{CKR_OK}, std::size_t{kCount}));
}

TEST_F(CrowdedToken, FailsASearchWhoseObjectsCannotBeDescribed) {
  serve();
  lose_descriptions();
  TestApplication application(*proxyd);
  const CK_SESSION_HANDLE session = open(application);
  tell("crash");
  EXPECT_EQ(search(application, session).first, CKR_DEVICE_ERROR);
  forbid("crash");
  EXPECT_EQ(search(application, session), std::pair(CK_RV{CKR_OK}, std::size_t{kCount}));
}

// Their descriptions together are larger than a frame may be.
TEST_F(CrowdedToken, OfLargeObjectsIsDescribedInPieces) {
  serve(", CROWDED_LABEL = \"8192\"");
  TestApplication application(*proxyd);
  const CK_SESSION_HANDLE session = open(application);
  const pid_t worker = proxyd->worker_pid("public");
  EXPECT_EQ(search(application, session), std::pair(CK_RV{CKR_OK}, std::size_t{kCount}));
  EXPECT_EQ(proxyd->worker_pid("public"), worker);
}

}  // namespace
}  // namespace p11shim
