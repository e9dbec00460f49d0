// Which objects a pool takes for one, and which not, whatever its members' modules show and how they fail meanwhile.
#include <sys/resource.h>

#include "mock_members.h"
#include "pool_writes.h"

namespace p11shim {
namespace {

// What processes that are started meanwhile have; more than any test may need by right.
class SmallStack {
 public:
  SmallStack() {
    ::getrlimit(RLIMIT_STACK, &before_);
    rlimit small = before_;
    small.rlim_cur = 1 << 20;
    ::setrlimit(RLIMIT_STACK, &small);
  }
  ~SmallStack() { ::setrlimit(RLIMIT_STACK, &before_); }
  SmallStack(const SmallStack&) = delete;
  SmallStack& operator=(const SmallStack&) = delete;

 private:
  rlimit before_{};
};

TEST(PoolIdentity, AnyNumberOfKeysThatNothingProves) {
  constexpr std::size_t kKeys = 8000;
  MockMembers members(2);
  for (const std::size_t i : {0, 1}) members.set(i, "module keys=" + std::to_string(kKeys) + "\n");
  PrivateProxyd proxyd(members.config("probe = { call = \"none\" }\n"));
  {
    const SmallStack small;
    proxyd.start();
  }
  TestApplication application(proxyd);
  const auto session = application.open();
  ASSERT_EQ(application.log_in(session, kMockPin), CKR_OK);
  ASSERT_TRUE(eventually([&] { return !proxyd.alive() || members_up(proxyd) == 2; }));
  ASSERT_TRUE(proxyd.alive());
  EXPECT_EQ(application.find(session, CKO_SECRET_KEY, "key 7999").size(), 2u);
}

}  // namespace
}  // namespace p11shim
