#include "proxyd/audit/audit_log.h"

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>
#include <vector>

#include "proxyd/audit/audit_line.h"

namespace p11shim {
namespace {

constexpr auto kPatience = std::chrono::seconds(60);
constexpr std::size_t kSmallLimit = 128 << 10;

template <class Condition>
bool eventually(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

// Shared by the test and the sink that it gave away: what arrived, and what shall happen to it.
struct Store {
  std::mutex mutex;
  std::condition_variable changed;
  std::string text;
  int writes = 0;
  int reopened = 0;
  bool failing = false;
  bool stuck = false;

  template <class Condition>
  bool wait_for(Condition condition) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, kPatience, condition);
  }
  void set(bool& flag, bool value) {
    const std::lock_guard lock(mutex);
    flag = value;
    changed.notify_all();
  }
};

class StoreSink final : public AuditSink {
 public:
  explicit StoreSink(Store& store) : store_(store) {}
  void write(std::string_view lines) override {
    std::unique_lock lock(store_.mutex);
    ++store_.writes;
    store_.changed.notify_all();
    store_.changed.wait(lock, [this] { return !store_.stuck; });
    if (store_.failing) throw AuditSinkError("the disk is full");
    store_.text += lines;
    store_.changed.notify_all();
  }
  void reopen() override {
    const std::lock_guard lock(store_.mutex);
    ++store_.reopened;
    store_.changed.notify_all();
  }

 private:
  Store& store_;
};

class AuditLogTest : public testing::Test {
 protected:
  Store store;
  std::vector<std::pair<std::string, bool>> reports;
  std::unique_ptr<AuditLog> log = make_log({AuditClass::admin, AuditClass::auth, AuditClass::use, AuditClass::read});

  std::unique_ptr<AuditLog> make_log(AuditClasses classes) {
    std::vector<std::unique_ptr<AuditSink>> sinks;
    sinks.push_back(std::make_unique<StoreSink>(store));
    return std::make_unique<AuditLog>(
        classes, std::move(sinks), [this](const std::string& message, bool ok) { reports.emplace_back(message, ok); },
        kSmallLimit);
  }
  void write(std::uint32_t attempts, AuditClass audit_class = AuditClass::use) {
    AuditRecord record;
    record.audit_class = audit_class;
    record.function = 44;
    record.attempts = attempts;
    log->write(record);
  }
  void close() { log.reset(); }

  // The "attempts" of all stored records in order; a loss line shows as minus the number lost.
  std::vector<int> stored() const { return stored(store); }
  static std::vector<int> stored(const Store& store) {
    std::vector<int> attempts;
    std::istringstream lines(store.text);
    for (std::string line; std::getline(lines, line);) {
      const auto json = nlohmann::json::parse(line);
      attempts.push_back(json.contains("lost") ? -json["lost"].get<int>() : json["attempts"].get<int>());
    }
    return attempts;
  }
};

TEST_F(AuditLogTest, StoresLinesInTheirOrder) {
  std::vector<int> expected;
  for (int i = 1; i <= 500; ++i) {
    write(static_cast<std::uint32_t>(i));
    if (i % 7 == 0) log->flush();
    expected.push_back(i);
  }
  close();
  EXPECT_EQ(stored(), expected);
}

TEST_F(AuditLogTest, WritesATurnsLinesAtOnce) {
  for (std::uint32_t i = 0; i < 100; ++i) write(i);
  log->flush();
  ASSERT_TRUE(store.wait_for([this] { return !store.text.empty(); }));
  EXPECT_EQ(store.writes, 1);
  EXPECT_EQ(stored().size(), 100u);
}

TEST_F(AuditLogTest, StoresWhatIsBufferedWhenItEnds) {
  write(1);
  close();
  EXPECT_EQ(stored(), std::vector<int>{1});
}

TEST_F(AuditLogTest, IgnoresClassesThatAreSwitchedOff) {
  log = make_log({AuditClass::auth});
  EXPECT_FALSE(log->wants(AuditClass::admin));
  EXPECT_TRUE(log->wants(AuditClass::auth));
  EXPECT_FALSE(log->wants(AuditClass::none));
  write(1, AuditClass::admin);
  write(2, AuditClass::auth);
  write(3, AuditClass::use);
  write(4, AuditClass::read);
  log->set_classes({AuditClass::read});
  write(5, AuditClass::auth);
  write(6, AuditClass::read);
  close();
  EXPECT_EQ(stored(), (std::vector<int>{2, 6}));
}

TEST_F(AuditLogTest, WantsNothingWithoutSinks) {
  AuditLog silent({AuditClass::admin}, {}, [](const std::string&, bool) { FAIL(); });
  EXPECT_FALSE(silent.wants(AuditClass::admin));
  silent.write({});
  silent.flush();
  EXPECT_TRUE(silent.health().ok());
}

TEST_F(AuditLogTest, ReopensItsSinks) {
  log->reopen();
  EXPECT_TRUE(store.wait_for([this] { return store.reopened == 1; }));
}

TEST_F(AuditLogTest, ReportsFailureOnceAndRecoveryOnce) {
  store.set(store.failing, true);
  for (std::uint64_t failures = 1; failures <= 3; ++failures) {
    write(1);
    log->flush();
    ASSERT_TRUE(eventually([&] { return log->health().failures == failures; }));
  }
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_NE(reports[0].first.find("the disk is full"), std::string::npos);
  EXPECT_FALSE(reports[0].second);
  EXPECT_EQ(log->health().lost, 3u);
  EXPECT_EQ(log->health().last_error, "the disk is full");

  store.set(store.failing, false);
  for (std::uint64_t written = 1; written <= 3; ++written) {
    write(1);
    log->flush();
    ASSERT_TRUE(eventually([&] { return log->health().written == written; }));
  }
  ASSERT_EQ(reports.size(), 2u);
  EXPECT_TRUE(reports[1].second);
  EXPECT_TRUE(log->health().ok());
}

TEST_F(AuditLogTest, TellsInTheLogWhatASinkRefused) {
  store.set(store.failing, true);
  write(1);
  write(2);
  log->flush();
  ASSERT_TRUE(eventually([&] { return log->health().lost == 2; }));
  write(3);
  log->flush();  // with their loss line, which is lost with it
  ASSERT_TRUE(eventually([&] { return log->health().lost == 3; }));
  write(4);
  log->flush();
  ASSERT_TRUE(eventually([&] { return log->health().lost == 4; }));
  store.set(store.failing, false);
  for (std::uint64_t written = 1; written <= 2; ++written) {
    write(5);
    log->flush();
    ASSERT_TRUE(eventually([&] { return log->health().written == written; }));
  }
  close();
  int lost = 0;
  for (const int entry : stored()) lost += entry < 0 ? -entry : 0;
  EXPECT_EQ(lost, 4) << "every lost record is told of exactly once";
}

TEST_F(AuditLogTest, TellsOfALossOnlyWhereItWas) {
  Store other;
  std::vector<std::unique_ptr<AuditSink>> sinks;
  sinks.push_back(std::make_unique<StoreSink>(store));
  sinks.push_back(std::make_unique<StoreSink>(other));
  log = std::make_unique<AuditLog>(AuditClasses{AuditClass::use}, std::move(sinks), [](const std::string&, bool) {});
  other.set(other.failing, true);
  write(1);
  write(2);
  log->flush();
  ASSERT_TRUE(eventually([&] { return log->health().written == 2; }));
  EXPECT_FALSE(log->health().ok());
  other.set(other.failing, false);
  write(3);
  log->flush();
  ASSERT_TRUE(eventually([&] { return log->health().written == 3; }));
  EXPECT_EQ(log->health().incomplete, 2u);
  EXPECT_EQ(log->health().lost, 0u);
  close();
  EXPECT_EQ(stored(), (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(stored(other), (std::vector<int>{-2, 3}));
}

TEST_F(AuditLogTest, NeverWaitsForAStuckSinkAndKeepsItsMemoryBounded) {
  store.set(store.stuck, true);
  write(0);
  log->flush();
  ASSERT_TRUE(store.wait_for([this] { return store.writes == 1; }));

  // More than both buffers hold. Every call returns although nothing is stored.
  std::string line;
  append_audit_line(line, {});
  const std::size_t many = 4 * kSmallLimit / line.size();
  for (std::size_t i = 0; i < many; ++i) {
    write(1);
    if (i % 1000 == 999) log->flush();
  }
  log->flush();
  const std::uint64_t lost = log->health().lost;
  EXPECT_GT(lost, 0u);

  store.set(store.stuck, false);
  ASSERT_TRUE(eventually([&] { return log->health().written + lost == many + 1; }));
  write(2);
  close();
  EXPECT_LE(store.text.size(), 3 * kSmallLimit);
  const auto entries = stored();
  EXPECT_EQ(entries[entries.size() - 2], -static_cast<int>(lost));
  EXPECT_EQ(entries.back(), 2);
}

}  // namespace
}  // namespace p11shim
