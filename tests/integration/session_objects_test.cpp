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

// What the others remember of the slot stays good, and an operation of theirs one message.
TEST(SessionObjectsOfOneApplication, ComeAndGoUnnoticedByTheOthers) {
  if (!SofthsmTokens::installed()) GTEST_SKIP() << "softhsm2 is not installed";
  const SofthsmTokens tokens;
  PrivateProxyd proxyd(tokens.config());
  proxyd.start();
  TestApplication busy(proxyd), other(proxyd);
  const auto session = busy.open(), bystander = other.open();
  // Each has a time; an Init that came along has none of its own.
  const auto messages = [&] {
    std::size_t all = 0;
    const auto stats = proxyd.ask("{\"command\":\"stats\"}");
    for (const auto& member : stats["result"]["members"])
      for (const char* function : {"C_DigestInit", "C_Digest"})
        if (member["functions"].contains(function) && member["functions"][function].contains("total"))
          all += member["functions"][function]["total"]["count"].get<std::size_t>();
    return all;
  };
  const auto digest = [&] {
    const std::size_t before = messages();
    CK_MECHANISM mechanism{CKM_SHA256, nullptr, 0};
    CK_BYTE data[4] = {}, digested[32];
    CK_ULONG size = sizeof digested;
    EXPECT_EQ(other->C_DigestInit(bystander, &mechanism), CKR_OK);
    EXPECT_EQ(other->C_Digest(bystander, data, sizeof data, digested, &size), CKR_OK);
    return messages() - before;
  };
  EXPECT_EQ(digest(), 2u);
  EXPECT_EQ(digest(), 1u);
  for (int i = 0; i < 3; ++i) {
    const auto object = busy.create_data(session, false, "own", "value");
    EXPECT_EQ(busy.set_label(session, object, "changed"), CKR_OK);
    EXPECT_EQ(digest(), 1u);
    EXPECT_EQ(busy->C_DestroyObject(session, object), CKR_OK);
    EXPECT_EQ(digest(), 1u);
  }
  EXPECT_EQ(busy->C_DestroyObject(session, busy.create_data(session, true, "everybody's", "value")), CKR_OK);
  EXPECT_EQ(digest(), 2u);

  // A forked child has what its parent has.
  const auto shared = busy.create_data(session, false, "shared", "value");
  EXPECT_EQ(digest(), 1u);
  int ready[2], done[2];
  ASSERT_EQ(::pipe(ready), 0);
  ASSERT_EQ(::pipe(done), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(done[1]);
    CK_SESSION_INFO info{};
    char byte = busy->C_GetSessionInfo(session, &info) == CKR_OK ? 'y' : 'n';
    if (::write(ready[1], &byte, 1) != 1 || ::read(done[0], &byte, 1) != 0) ::_exit(1);
    ::_exit(0);
  }
  char byte = 0;
  EXPECT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_EQ(byte, 'y');
  EXPECT_EQ(busy.set_label(session, shared, "changed"), CKR_OK);
  EXPECT_EQ(digest(), 2u);
  EXPECT_EQ(busy->C_DestroyObject(session, shared), CKR_OK);
  EXPECT_EQ(digest(), 2u);
  for (const int end : {ready[0], ready[1], done[0], done[1]}) ::close(end);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

// A key from before the login wraps one from after it: the copy that this takes is gone afterwards.
TEST(SessionObjectsOfTwoDomains, MeetInACopyThatNobodySees) {
  if (!SofthsmTokens::installed()) GTEST_SKIP() << "softhsm2 is not installed";
  const SofthsmTokens tokens;
  PrivateProxyd softhsm(tokens.config());
  softhsm.start();
  TestApplication application(softhsm), other(softhsm);
  const auto session = application.open(), foreign = other.open();
  const auto generate = [&](CK_BBOOL is_private, std::string label) {
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_ULONG length = 16;
    CK_ATTRIBUTE tmpl[] = {{CKA_TOKEN, &no, 1},
                           {CKA_PRIVATE, &is_private, 1},
                           {CKA_SENSITIVE, &no, 1},
                           {CKA_EXTRACTABLE, &yes, 1},
                           {CKA_WRAP, &yes, 1},
                           {CKA_VALUE_LEN, &length, sizeof length},
                           {CKA_LABEL, label.data(), label.size()}};
    CK_MECHANISM mechanism{CKM_AES_KEY_GEN, nullptr, 0};
    CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
    EXPECT_EQ(application->C_GenerateKey(session, &mechanism, tmpl, std::size(tmpl), &key), CKR_OK);
    return key;
  };
  const auto before = generate(CK_FALSE, "copied");
  ASSERT_EQ(application.log_in(session, compare::kUserPin), CKR_OK);
  ASSERT_EQ(other.log_in(foreign, compare::kUserPin), CKR_OK);
  const auto after = generate(CK_TRUE, "private");
  CK_MECHANISM wrap{CKM_AES_KEY_WRAP, nullptr, 0};
  for (int i = 0; i < 100; ++i) {
    CK_BYTE wrapped[64];
    CK_ULONG length = sizeof wrapped;
    EXPECT_EQ(application->C_WrapKey(session, &wrap, before, after, wrapped, &length), CKR_OK);
    EXPECT_EQ(length, 24u);
  }
  EXPECT_EQ(found(application, session, "copied"), 1u);
  EXPECT_EQ(found(other, foreign, "copied"), 0u);
}

}  // namespace
}  // namespace p11shim
