#include "proxyd/objects/journal.h"

#include <sqlite3.h>

#include "tests/unit/proxyd/config/private_directory.h"

namespace p11shim {
namespace {

Identity identity(std::uint8_t fill) {
  Identity value;
  value.fill(fill);
  return value;
}

Debt debt(const std::string& member, DebtKind kind, std::uint8_t object) {
  Debt made;
  made.pool = "pool";
  made.member = member;
  made.kind = kind;
  made.identity = identity(object);
  made.label = "label";
  made.id = {1, 2};
  return made;
}

class JournalTest : public PrivateDirectory {
 protected:
  std::string file() const { return path("journal.db"); }
};

TEST_F(JournalTest, KeepsDebtsInTheirOrderUntilTheyArePaid) {
  {
    Journal journal(file());
    JournalChange change;
    change.add = {debt("a", DebtKind::destroy, 1), debt("b", DebtKind::destroy, 1)};
    change.limits = {{identity(1), 0}};
    change.add[0].keep_limit(7, Debt::kAnonymous);
    change.add[0].count = 3;
    EXPECT_EQ(journal.apply(std::move(change)), 1u);
    JournalChange second;
    second.add = {debt("b", DebtKind::copy, 2)};
    EXPECT_EQ(journal.apply(std::move(second)), 3u);
  }
  Journal journal(file());
  ASSERT_EQ(journal.debts().size(), 3u);
  const Debt& first = journal.debts().begin()->second;
  EXPECT_EQ(first.number, 1u);
  EXPECT_EQ(first.member, "a");
  EXPECT_EQ(first.count, 3u);
  EXPECT_EQ(first.label, "label");
  EXPECT_EQ(first.id, (std::vector<std::uint8_t>{1, 2}));
  EXPECT_EQ(first.limit_before(), 7u);
  EXPECT_TRUE(first.anonymous());
  EXPECT_FALSE(first.decided);
  EXPECT_EQ(journal.limit(identity(1)), 0u);
  EXPECT_EQ(journal.limit(identity(2)), std::nullopt);
  EXPECT_TRUE(journal.withholds("pool", "b", identity(1)));
  EXPECT_FALSE(journal.withholds("pool", "b", identity(2)));  // it has none yet
  EXPECT_FALSE(journal.withholds("other pool", "b", identity(1)));
}

TEST_F(JournalTest, ForgetsWhatIsPaidAndNeverGivesANumberTwice) {
  {
    Journal journal(file());
    JournalChange change;
    change.add = {debt("a", DebtKind::destroy, 1), debt("b", DebtKind::destroy, 1)};
    journal.apply(std::move(change));
    JournalChange paid;
    paid.remove = {1};
    paid.decide = 1;
    ASSERT_TRUE(journal.apply(std::move(paid)));
    EXPECT_TRUE(journal.find(2)->decided);
    JournalChange last;
    last.remove = {2};
    journal.apply(std::move(last));
  }
  Journal journal(file());
  EXPECT_TRUE(journal.debts().empty());
  JournalChange change;
  change.add = {debt("a", DebtKind::destroy, 1)};
  EXPECT_EQ(journal.apply(std::move(change)), 3u);
}

TEST_F(JournalTest, ADebtThatIsAmendedKeepsItsNumberAndWhoWaitsForIt) {
  {
    Journal journal(file());
    JournalChange change;
    change.add = {debt("a", DebtKind::destroy, 1)};
    journal.apply(std::move(change));
    journal.find(1)->under_way = true;
    JournalChange more;
    Debt amended = *journal.find(1);
    amended.count = 4;
    amended.details = {7};
    amended.under_way = false;
    more.amend = {amended, debt("nobody", DebtKind::destroy, 2)};
    ASSERT_TRUE(journal.apply(std::move(more)));
    EXPECT_TRUE(journal.find(1)->under_way);
    EXPECT_EQ(journal.find(1)->count, 4u);
  }
  Journal journal(file());
  ASSERT_EQ(journal.debts().size(), 1u);
  EXPECT_EQ(journal.find(1)->count, 4u);
  EXPECT_EQ(journal.find(1)->details, std::vector<std::uint8_t>{7});
}

TEST_F(JournalTest, KeepsLimitsAndOrigins) {
  {
    Journal journal(file());
    JournalChange change;
    change.limits = {{identity(1), 2}, {identity(2), 0}};
    change.origins = {{identity(3), identity(4)}};
    ASSERT_TRUE(journal.apply(std::move(change)));
    JournalChange later;
    later.limits = {{identity(2), std::nullopt}};
    ASSERT_TRUE(journal.apply(std::move(later)));
  }
  Journal journal(file());
  EXPECT_EQ(journal.limit(identity(1)), 2u);
  EXPECT_EQ(journal.limit(identity(2)), std::nullopt);
  ASSERT_NE(journal.origin(identity(3)), nullptr);
  EXPECT_EQ(*journal.origin(identity(3)), identity(4));
  EXPECT_EQ(journal.origin(identity(4)), nullptr);
}

// Somebody holds the database: nothing may be begun that is not written down.
TEST_F(JournalTest, ChangesNothingThatItCannotWrite) {
  Journal journal(file());
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(file().c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "BEGIN EXCLUSIVE", nullptr, nullptr, nullptr), SQLITE_OK);
  JournalChange change;
  change.add = {debt("a", DebtKind::destroy, 1)};
  change.limits = {{identity(1), 0}};
  EXPECT_EQ(journal.apply(std::move(change)), std::nullopt);
  EXPECT_NE(journal.problem().find("journal.db"), std::string::npos);
  EXPECT_TRUE(journal.debts().empty());
  EXPECT_EQ(journal.limit(identity(1)), std::nullopt);
  sqlite3_close(other);
}

TEST_F(JournalTest, RefusesAFileThatIsNoDatabase) {
  write("journal.db", "this is not a database, and long enough to be seen as none by whoever opens it");
  EXPECT_THROW(Journal journal(file()), std::runtime_error);
}

}  // namespace
}  // namespace p11shim
