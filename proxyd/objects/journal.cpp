#include "proxyd/objects/journal.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "proxyd/objects/statement.h"

namespace p11shim {
namespace {

constexpr const char* kTables[] = {
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "CREATE TABLE IF NOT EXISTS debt (number INTEGER PRIMARY KEY, write INTEGER NOT NULL, kind INTEGER NOT NULL, "
    "decided INTEGER NOT NULL, "
    "pool TEXT NOT NULL, member TEXT NOT NULL, identity BLOB NOT NULL, handle INTEGER NOT NULL, count INTEGER NOT "
    "NULL, "
    "class INTEGER NOT NULL, private INTEGER NOT NULL, id BLOB NOT NULL, label BLOB NOT NULL, details BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS last (number INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS most (identity BLOB PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS origin (first_seen BLOB PRIMARY KEY, identity BLOB NOT NULL) WITHOUT ROWID",
};

}  // namespace

std::optional<std::uint64_t> Debt::limit_before() const {
  std::uint64_t limit = 0;
  if (details.size() < sizeof limit) return std::nullopt;
  std::memcpy(&limit, details.data(), sizeof limit);
  return limit;
}

// The limit, if there was one; then one byte more if there are flags.
void Debt::keep_limit(std::optional<std::uint64_t> limit, std::uint8_t flags) {
  details.resize(limit ? sizeof *limit : 0);
  if (limit) std::memcpy(details.data(), &*limit, sizeof *limit);
  if (flags != 0) details.push_back(flags);
}

std::uint8_t Debt::flags() const {
  const bool has_flags = details.size() == 1 || details.size() == sizeof(std::uint64_t) + 1;
  return kind == DebtKind::destroy && has_flags ? details.back() : std::uint8_t{0};
}

bool Debt::names(CK_OBJECT_CLASS its_class, std::span<const std::uint8_t> its_id, std::string_view its_label) const {
  return object_class == its_class && label == its_label && std::ranges::equal(id, its_id);
}

std::size_t Journal::IdentityHash::operator()(const Identity& identity) const {
  std::size_t hash;
  std::memcpy(&hash, identity.data(), sizeof hash);
  return hash;
}

Journal::Journal(const std::string& file) {
  const mode_t before = ::umask(0077);
  const int result = sqlite3_open_v2(file.c_str(), &database_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
  ::umask(before);
  try {
    if (result != SQLITE_OK) fail_database(database_);
    sqlite3_busy_timeout(database_, 2000);
    for (const char* sql : kTables) execute_sql(database_, sql);
    load();
  } catch (const std::runtime_error& error) {
    const std::string problem = "cannot use " + file + ": " + error.what();
    sqlite3_close(database_);
    throw std::runtime_error(problem);
  }
}

Journal::~Journal() { sqlite3_close(database_); }

void Journal::load() {
  Statement debts(database_,
                  "SELECT number, write, kind, decided, pool, member, identity, handle, count, class, private, id, "
                  "label, details FROM debt");
  while (debts.step()) {
    Debt debt;
    debt.number = debts.number(0);
    debt.write = debts.number(1);
    debt.kind = static_cast<DebtKind>(debts.number(2));
    debt.decided = debts.number(3) != 0;
    debt.pool = debts.text(4);
    debt.member = debts.text(5);
    if (!debts.column(6, debt.identity)) continue;
    debt.handle = debts.number(7);
    debt.count = debts.number(8);
    debt.object_class = debts.number(9);
    debt.is_private = debts.number(10) != 0;
    const auto id = debts.bytes(11);
    debt.id.assign(id.begin(), id.end());
    debt.label = debts.text(12);
    const auto details = debts.bytes(13);
    debt.details.assign(details.begin(), details.end());
    debt.noticed_ms = 1;  // before any worker of this process was started
    last_number_ = std::max(last_number_, debt.number);
    put(std::move(debt));
  }
  Statement last(database_, "SELECT max(number) FROM last");
  if (last.step()) last_number_ = std::max(last_number_, last.number(0));
  Statement limits(database_, "SELECT identity, count FROM most");
  Identity identity;
  while (limits.step())
    if (limits.column(0, identity)) limits_[identity] = limits.number(1);
  Statement origins(database_, "SELECT first_seen, identity FROM origin");
  Identity first_seen;
  while (origins.step())
    if (origins.column(0, first_seen) && origins.column(1, identity)) origins_[first_seen] = identity;
}

std::optional<std::uint64_t> Journal::apply(JournalChange change) {
  std::uint64_t number = last_number_;
  const std::uint64_t write_number = number + 1;
  for (Debt& debt : change.add) {
    debt.number = ++number;
    debt.write = write_number;
  }
  try {
    execute_sql(database_, "BEGIN IMMEDIATE");
    write(change);
    execute_sql(database_, "COMMIT");
  } catch (const std::runtime_error& error) {
    sqlite3_exec(database_, "ROLLBACK", nullptr, nullptr, nullptr);
    problem_ = error.what();
    return std::nullopt;
  }
  last_number_ = number;
  for (const std::uint64_t paid : change.remove) {
    if (const Debt* debt = find(paid)) index_.remove(*debt);
    debts_.erase(paid);
  }
  for (Debt& amended : change.amend)
    if (Debt* debt = find(amended.number); debt != nullptr) {
      debt->count = amended.count;
      debt->details = std::move(amended.details);
    }
  if (change.decide)
    for (Debt* debt : of_write(*change.decide)) {
      debt->decided = true;
      debt->hopeless = false;  // what stood in its way did so while it could be given up
      debt->obstacle.clear();
    }
  for (Debt& debt : change.add) put(std::move(debt));
  for (const auto& [identity, count] : change.limits) {
    if (count) limits_[identity] = *count;
    else limits_.erase(identity);
  }
  for (const auto& [first_seen, identity] : change.origins) origins_[first_seen] = identity;
  return write_number;
}

void Journal::write(JournalChange& change) {
  for (const std::uint64_t paid : change.remove) {
    Statement remove(database_, "DELETE FROM debt WHERE number = ?1");
    remove.bind(1, paid);
    remove.step();
  }
  for (const Debt& amended : change.amend) {
    Statement amend(database_, "UPDATE debt SET count = ?2, details = ?3 WHERE number = ?1");
    amend.bind(1, amended.number);
    amend.bind(2, amended.count);
    amend.bind(3, std::span<const std::uint8_t>(amended.details));
    amend.step();
  }
  if (change.decide) {
    Statement decide(database_, "UPDATE debt SET decided = 1 WHERE write = ?1");
    decide.bind(1, *change.decide);
    decide.step();
  }
  for (Debt& debt : change.add) insert(debt);
  if (!change.add.empty()) {  // numbers are never given twice, also when their debts are paid
    execute_sql(database_, "DELETE FROM last");
    Statement last(database_, "INSERT INTO last (number) VALUES (?1)");
    last.bind(1, change.add.back().number);
    last.step();
  }
  for (const auto& [identity, count] : change.limits) {
    Statement limit(database_, count ? "INSERT OR REPLACE INTO most (identity, count) VALUES (?1, ?2)"
                                     : "DELETE FROM most WHERE identity = ?1");
    limit.bind(1, identity);
    if (count) limit.bind(2, *count);
    limit.step();
  }
  for (const auto& [first_seen, identity] : change.origins) {
    Statement origin(database_, "INSERT OR REPLACE INTO origin (first_seen, identity) VALUES (?1, ?2)");
    origin.bind(1, first_seen);
    origin.bind(2, identity);
    origin.step();
  }
}

void Journal::insert(Debt& debt) {
  Statement insert(database_,
                   "INSERT INTO debt (number, write, kind, decided, pool, member, identity, handle, count, class, "
                   "private, id, label, details) "
                   "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)");
  insert.bind(1, debt.number);
  insert.bind(2, debt.write);
  insert.bind(3, static_cast<std::uint64_t>(debt.kind));
  insert.bind(4, std::uint64_t{debt.decided});
  insert.bind(5, debt.pool);
  insert.bind(6, debt.member);
  insert.bind(7, debt.identity);
  insert.bind(8, debt.handle);
  insert.bind(9, debt.count);
  insert.bind(10, std::uint64_t{debt.object_class});
  insert.bind(11, std::uint64_t{debt.is_private});
  insert.bind(12, std::span<const std::uint8_t>(debt.id));
  insert.bind(13, debt.label);
  insert.bind(14, std::span<const std::uint8_t>(debt.details));
  insert.step();
}

Debt* Journal::find(std::uint64_t number) {
  const auto found = debts_.find(number);
  return found == debts_.end() ? nullptr : &found->second;
}

void Journal::put(Debt debt) {
  index_.add(debt);
  const std::uint64_t number = debt.number;
  debts_.emplace(number, std::move(debt));
}

std::vector<Debt*> Journal::all(const DebtIndex::Numbers& numbers) {
  std::vector<Debt*> found;
  for (const std::uint64_t number : numbers) found.push_back(find(number));
  return found;
}

// Their numbers follow each other.
std::vector<Debt*> Journal::of_write(std::uint64_t write) {
  std::vector<Debt*> found;
  for (auto at = debts_.lower_bound(write); at != debts_.end() && at->second.write == write; ++at)
    found.push_back(&at->second);
  return found;
}

Debt* Journal::next_of(const std::string& pool, const std::string& member, std::uint64_t after) {
  const DebtIndex::Numbers& numbers = index_.of_member(pool, member);
  const auto next = numbers.upper_bound(after);
  return next == numbers.end() ? nullptr : find(*next);
}

bool Journal::withholds(const std::string& pool, const std::string& member, const Identity& identity) const {
  return std::ranges::any_of(index_.about(identity), [&](std::uint64_t number) {
    const Debt& debt = debts_.at(number);
    const bool changes = debt.kind == DebtKind::refresh || debt.kind == DebtKind::destroy;
    return changes && debt.member == member && debt.pool == pool;
  });
}

std::optional<std::uint64_t> Journal::limit(const Identity& identity) const {
  const auto found = limits_.find(identity);
  return found == limits_.end() ? std::nullopt : std::optional(found->second);
}

const Identity* Journal::origin(const Identity& first_seen) const {
  const auto found = origins_.find(first_seen);
  return found == origins_.end() ? nullptr : &found->second;
}

}  // namespace p11shim
