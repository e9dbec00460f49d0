#include "proxyd/objects/state_directory.h"

#include <unistd.h>

#include <atomic>
#include <map>
#include <stdexcept>
#include <thread>

#include "proxyd/objects/statement.h"
#include "tests/unit/proxyd/config/private_directory.h"

namespace p11shim {
namespace {

using Alias = StateDirectory::Alias;

Identity identity(std::uint8_t fill) {
  Identity value;
  value.fill(fill);
  return value;
}

class StateDirectoryTest : public PrivateDirectory {
 protected:
  std::string state() const { return path("state"); }
  // features by handle
  static std::map<std::uint64_t, std::uint8_t> records(StateDirectory& in) {
    std::map<std::uint64_t, std::uint8_t> all;
    in.for_each([&](const Alias& alias) { all[alias.handle] = alias.features[0]; });
    return all;
  }
};

TEST_F(StateDirectoryTest, IsMadePrivateAndKeepsItsKey) {
  HandleKey key;
  {
    StateDirectory first(state());
    key = first.handle_key();
  }
  struct stat status {};
  ASSERT_EQ(::stat(state().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0700u);
  ASSERT_EQ(::stat((state() + "/handle_key").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0600u);
  EXPECT_EQ(status.st_size, 32);
  EXPECT_EQ(StateDirectory(state()).handle_key(), key);
  std::filesystem::remove_all(state());
  EXPECT_NE(StateDirectory(state()).handle_key(), key);
}

TEST_F(StateDirectoryTest, RecordsSurviveAndAHandleHasOne) {
  {
    StateDirectory directory(state());
    directory.remember({identity(1), identity(10), 100});
    directory.remember({identity(2), identity(20), 200});
    directory.remember({identity(3), identity(30), 300});
    directory.remember({identity(4), identity(11), 100});
    directory.forget(200);
    directory.forget(999);
  }
  StateDirectory again(state());
  EXPECT_EQ(records(again), (std::map<std::uint64_t, std::uint8_t>{{100, 11}, {300, 30}}));
}

TEST_F(StateDirectoryTest, WaitsForWorkersOfTheOneBefore) {
  auto first = std::make_unique<StateDirectory>(state());
  const int of_a_worker = ::dup(first->lock());
  ASSERT_GE(of_a_worker, 0);
  first.reset();
  std::atomic<bool> has_left = false;
  std::thread worker([&] {
    has_left = true;
    ::close(of_a_worker);
  });
  const StateDirectory second(state());
  EXPECT_TRUE(has_left);
  worker.join();
}

// Its owner can read the key, and put another one there.
TEST_F(StateDirectoryTest, WhatBelongsToAnotherUserIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  constexpr uid_t kStranger = 65534;
  { const StateDirectory ours(state()); }
  ASSERT_EQ(::chown((state() + "/handle_key").c_str(), kStranger, -1), 0);
  EXPECT_THROW(StateDirectory{state()}, std::runtime_error);
  ASSERT_EQ(::chown((state() + "/handle_key").c_str(), 0, -1), 0);
  EXPECT_NO_THROW(StateDirectory{state()});
  ASSERT_EQ(::chown(state().c_str(), kStranger, -1), 0);
  EXPECT_THROW(StateDirectory{state()}, std::runtime_error);
}

TEST_F(StateDirectoryTest, WhatIsNotOursIsRefused) {
  StateDirectory{state()};
  const std::string key = state() + "/handle_key";
  const std::string database = state() + "/objects.db";
  ASSERT_EQ(::chmod(state().c_str(), 0777), 0);
  EXPECT_THROW(StateDirectory{state()}, std::runtime_error);
  ASSERT_EQ(::chmod(state().c_str(), 0700), 0);
  std::filesystem::resize_file(key, 31);
  EXPECT_THROW(StateDirectory{state()}, std::runtime_error);
  std::filesystem::remove(key);
  std::ofstream(database) << std::string(4096, 'x');
  EXPECT_THROW(StateDirectory{state()}, std::runtime_error);
  std::filesystem::remove(database);
  EXPECT_NO_THROW(StateDirectory{state()});
  EXPECT_THROW(StateDirectory(write("file", "")), std::runtime_error);
}

TEST_F(StateDirectoryTest, RefusedPinsAreKnownByTheirMember) {
  {
    StateDirectory directory(state());
    directory.remember_refused(identity(1), "a", PinOf::user);
    directory.remember_refused(identity(2), "a", PinOf::so);
    directory.remember_refused(identity(3), "b", PinOf::user);
    directory.remember_refused(identity(4), "b", PinOf::user);
    directory.forget_refused(identity(4));
  }
  StateDirectory directory(state());
  for (const auto refused : std::initializer_list<std::uint8_t>{1, 2, 3})
    EXPECT_TRUE(directory.is_refused(identity(refused))) << int{refused};
  EXPECT_FALSE(directory.is_refused(identity(4)));
  directory.forget_refused("a", PinOf::user);
  EXPECT_FALSE(directory.has_refused("a", PinOf::user));
  EXPECT_TRUE(directory.has_refused("a", PinOf::so));
  EXPECT_TRUE(directory.has_refused("b", PinOf::user));
  EXPECT_FALSE(directory.is_refused(identity(1)));
}

// From before members were kept with what they refused.
TEST_F(StateDirectoryTest, RefusedPinsWithoutAMemberStayRefused) {
  { StateDirectory directory(state()); }
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open((state() + "/objects.db").c_str(), &database), SQLITE_OK);
  execute_sql(database, "DROP TABLE refused");
  execute_sql(database, "CREATE TABLE refused (hash BLOB PRIMARY KEY) WITHOUT ROWID");
  {
    Statement insert(database, "INSERT INTO refused (hash) VALUES (?1)");
    insert.bind(1, identity(1));
    insert.step();
  }
  sqlite3_close(database);
  StateDirectory directory(state());
  EXPECT_TRUE(directory.is_refused(identity(1)));
  directory.remember_refused(identity(2), "a", PinOf::user);
  EXPECT_TRUE(directory.has_refused("a", PinOf::user));
  directory.forget_refused(identity(1));
  EXPECT_FALSE(directory.is_refused(identity(1)));
}

TEST_F(StateDirectoryTest, WhoMakesNoncesSurvives) {
  {
    StateDirectory directory(state());
    directory.remember_nonce_maker(identity(1), "a");
    directory.remember_nonce_maker(identity(1), "b");
  }
  StateDirectory directory(state());
  std::map<Identity, std::string> makers;
  directory.for_each_nonce_maker([&](const Identity& key, const std::string& member) { makers[key] = member; });
  EXPECT_EQ(makers, (std::map<Identity, std::string>{{identity(1), "b"}}));
}

}  // namespace
}  // namespace p11shim
