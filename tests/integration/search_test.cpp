// A search whose result is larger than one message carries: 100,000 keys, in pages, whatever the application asks for.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <set>

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
    application.emplace(proxyd);
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

  PrivateProxyd proxyd{"[[module]]\nname = \"crowd\"\ntokens = \"*\"\ncheck_owner = false\npath = \"" + build_dir() +
                       "/tests/crowded_module.so\"\n"};
  std::optional<TestApplication> application;
  CK_SESSION_HANDLE session = 0;
};

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

}  // namespace
}  // namespace p11shim
