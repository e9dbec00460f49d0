#include "proxyd/objects/debt_index.h"

#include <gtest/gtest.h>

#include "proxyd/objects/journal.h"

namespace p11shim {
namespace {

using Numbers = DebtIndex::Numbers;

Identity identity(std::uint8_t fill) {
  Identity value;
  value.fill(fill);
  return value;
}

Debt debt(std::uint64_t number, DebtKind kind, const std::string& member, std::uint8_t object = 0) {
  Debt made;
  made.number = number;
  made.kind = kind;
  made.pool = "pool";
  made.member = member;
  made.identity = identity(object);
  made.object_class = CKO_DATA;
  made.id = {1};
  made.label = "label";
  return made;
}

TEST(DebtIndex, FindsDebtsByTheirObject) {
  DebtIndex index;
  for (const Debt& each : {debt(3, DebtKind::destroy, "b", 1), debt(1, DebtKind::copy, "a", 1),
                           debt(2, DebtKind::refresh, "a", 2), debt(4, DebtKind::create, "a", 1)})
    index.add(each);
  EXPECT_EQ(index.about(identity(1)), (Numbers{1, 3}));
  EXPECT_EQ(index.about(identity(2)), Numbers{2});
  EXPECT_TRUE(index.about(identity(3)).empty());
  index.remove(debt(1, DebtKind::copy, "a", 1));
  EXPECT_EQ(index.about(identity(1)), Numbers{3});
}

TEST(DebtIndex, FindsDebtsByTheirMember) {
  DebtIndex index;
  for (const Debt& each :
       {debt(1, DebtKind::destroy, "a", 1), debt(2, DebtKind::create, "a"), debt(3, DebtKind::destroy, "b", 1)})
    index.add(each);
  EXPECT_EQ(index.of_member("pool", "a"), (Numbers{1, 2}));
  EXPECT_TRUE(index.of_member("other pool", "a").empty());
  index.remove(debt(2, DebtKind::create, "a"));
  index.remove(debt(1, DebtKind::destroy, "a", 1));
  EXPECT_TRUE(index.of_member("pool", "a").empty());
}

TEST(DebtIndex, FindsCreationsByWhatTheyWereToMake) {
  DebtIndex index;
  const Debt creation = debt(1, DebtKind::create, "a"), unfinished = debt(2, DebtKind::unfinished, "b");
  index.add(creation);
  index.add(unfinished);
  index.add(debt(3, DebtKind::destroy, "a", 1));
  EXPECT_EQ(index.creations(CKO_DATA, {1}, "label"), (Numbers{1, 2}));
  EXPECT_TRUE(index.creations(CKO_SECRET_KEY, {1}, "label").empty());
  EXPECT_TRUE(index.creations(CKO_DATA, {2}, "label").empty());
  EXPECT_TRUE(index.creations(CKO_DATA, {1}, "another").empty());
  EXPECT_EQ(index.unfinished(), Numbers{2});
  index.remove(unfinished);
  EXPECT_EQ(index.creations(CKO_DATA, {1}, "label"), Numbers{1});
  EXPECT_TRUE(index.unfinished().empty());
}

}  // namespace
}  // namespace p11shim
