// Session objects belong to the application that made them and to its forked relatives, however many there are.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>

#include "application.h"
#include "configs.h"

namespace p11shim {
namespace {

class SessionObjects : public testing::Test {
 protected:
  void SetUp() override { proxyd.start(); }
  MockModule mock;
  PrivateProxyd proxyd{mock.config()};
};

std::set<CK_OBJECT_HANDLE> find_all(const TestApplication& application, CK_SESSION_HANDLE session, std::string label) {
  CK_ATTRIBUTE wanted{CKA_LABEL, label.data(), label.size()};
  EXPECT_EQ(application->C_FindObjectsInit(session, &wanted, 1), CKR_OK);
  std::set<CK_OBJECT_HANDLE> all;
  for (CK_ULONG count = 1; count != 0;) {
    CK_OBJECT_HANDLE some[100];
    EXPECT_EQ(application->C_FindObjects(session, some, 100, &count), CKR_OK);
    all.insert(some, some + count);
  }
  EXPECT_EQ(application->C_FindObjectsFinal(session), CKR_OK);
  return all;
}
std::size_t found(const TestApplication& application, CK_SESSION_HANDLE session, const std::string& label) {
  return find_all(application, session, label).size();
}

TEST_F(SessionObjects, TenThousandAreFoundAndGoWithTheirSession) {
  constexpr std::size_t kObjects = 10'000;
  TestApplication application(proxyd), other(proxyd);
  const auto session = application.open(), keeper = application.open(), foreign = other.open();
  std::set<CK_OBJECT_HANDLE> handles;
  for (std::size_t i = 0; i < kObjects; ++i) handles.insert(application.create_data(session, false, "many", "value"));
  EXPECT_EQ(handles.size(), kObjects);
  other.create_data(foreign, false, "many", "value");
  EXPECT_TRUE(find_all(application, keeper, "many") == handles);
  EXPECT_EQ(found(other, foreign, "many"), 1u);
  EXPECT_EQ(application->C_DestroyObject(keeper, *handles.begin()), CKR_OK);
  EXPECT_EQ(found(application, keeper, "many"), kObjects - 1);
  EXPECT_EQ(application->C_CloseSession(session), CKR_OK);
  EXPECT_EQ(found(application, keeper, "many"), 0u);
  EXPECT_EQ(found(other, foreign, "many"), 1u);
}

// Its handle is another object's in the module before long: nobody may reach that one by it.
TEST_F(SessionObjects, DestroyedByAForkedChildIsGoneForTheParent) {
  TestApplication application(proxyd);
  const auto session = application.open();
  const auto shared = application.create_data(session, false, "shared", "value");
  const auto kept = application.create_data(session, false, "kept", "value");
  const pid_t child = ::fork();
  if (child == 0) ::_exit(application->C_DestroyObject(session, shared) == CKR_OK ? 0 : 1);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  ASSERT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(found(application, session, "shared"), 0u);
  EXPECT_EQ(application->C_DestroyObject(session, shared), CKR_OBJECT_HANDLE_INVALID);
  EXPECT_TRUE(eventually([&] { return proxyd.status()["applications"].size() == 1; }));
  EXPECT_EQ(found(application, session, "kept"), 1u);
  EXPECT_EQ(application->C_DestroyObject(session, kept), CKR_OK);
}

}  // namespace
}  // namespace p11shim
