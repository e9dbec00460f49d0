#include "tools/shimctl/automate/journal.h"

#include <fcntl.h>
#include <openssl/rand.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <filesystem>

#include "config/problem.h"
#include "tools/shimctl/failure.h"

namespace p11shim {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr int kPatienceMs = 10'000;
constexpr char kSchema[] = R"(
CREATE TABLE IF NOT EXISTS jobs (id TEXT PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, plan TEXT NOT NULL,
  token_label TEXT NOT NULL, token_serial TEXT NOT NULL, state TEXT NOT NULL, error TEXT NOT NULL DEFAULT '',
  created TEXT NOT NULL, cancel INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS steps (job TEXT NOT NULL, number INTEGER NOT NULL, state TEXT NOT NULL, intent TEXT NOT NULL,
  undo TEXT NOT NULL DEFAULT 'null', PRIMARY KEY (job, number)) WITHOUT ROWID;
)";
constexpr char kJobColumns[] =
    "SELECT id, kind, name, plan, token_label, token_serial, state, error, created, cancel, "
    "(SELECT count(*) FROM steps WHERE job = id), "
    "(SELECT count(*) FROM steps WHERE job = id AND state = 'done') FROM jobs ";

std::string new_id() {
  unsigned char bytes[4];
  if (RAND_bytes(bytes, sizeof bytes) != 1) throw Failure(ExitCode::kNegative, "no random numbers for a job", "");
  char text[16];
  std::snprintf(text, sizeof text, "%02x%02x%02x%02x", bytes[0], bytes[1], bytes[2], bytes[3]);
  return text;
}

std::string now_text() {
  char text[32];
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

}  // namespace

class Journal::Statement {
 public:
  Statement(Journal& journal, const std::string& sql) : journal_(journal) {
    if (sqlite3_prepare_v2(journal.database_, sql.c_str(), -1, &statement_, nullptr) != SQLITE_OK) journal.fail();
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement& text(const std::string& value) {
    sqlite3_bind_text(statement_, ++bound_, value.data(), static_cast<int>(value.size()), SQLITE_TRANSIENT);
    return *this;
  }
  Statement& number(std::size_t value) {
    sqlite3_bind_int64(statement_, ++bound_, static_cast<sqlite3_int64>(value));
    return *this;
  }
  bool next() {
    const int result = sqlite3_step(statement_);
    if (result != SQLITE_ROW && result != SQLITE_DONE) journal_.fail();
    return result == SQLITE_ROW;
  }
  void run() { next(); }
  std::string text_at(int column) const {
    const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    return text == nullptr ? "" : std::string(text, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)));
  }
  std::size_t number_at(int column) const { return static_cast<std::size_t>(sqlite3_column_int64(statement_, column)); }
  JobRecord job() const {
    return {.id = text_at(0),
            .kind = text_at(1),
            .name = text_at(2),
            .plan_sha256 = text_at(3),
            .token_label = text_at(4),
            .token_serial = text_at(5),
            .state = text_at(6),
            .error = text_at(7),
            .created = text_at(8),
            .cancel_wanted = number_at(9) != 0,
            .steps = number_at(10),
            .steps_done = number_at(11)};
  }

 private:
  Journal& journal_;
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
};

std::string Journal::default_path() {
  if (const char* chosen = std::getenv("SHIMCTL_JOURNAL"); chosen != nullptr && *chosen != '\0') return chosen;
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  const fs::path base = state != nullptr && *state != '\0' ? fs::path(state)
                        : home != nullptr                  ? fs::path(home) / ".local/state"
                                                           : fs::path(".");
  return (base / "shimctl" / "jobs.db").string();
}

Journal::Journal(const std::string& path) : path_(path) {
  std::error_code error;
  const fs::path folder = fs::path(path).parent_path();
  if (!folder.empty()) fs::create_directories(folder, error);
  const mode_t before = ::umask(077);
  const int result = sqlite3_open(path.c_str(), &database_);
  ::umask(before);
  if (result != SQLITE_OK) {
    sqlite3_close(database_);
    throw Failure(ExitCode::kConfiguration, "cannot use the journal " + in_quotes(path),
                  "--journal FILE names another");
  }
  sqlite3_busy_timeout(database_, kPatienceMs);
  execute("PRAGMA journal_mode = WAL");
  execute("PRAGMA synchronous = FULL");
  execute(kSchema);
}

Journal::~Journal() {
  sqlite3_close(database_);
  if (lock_ >= 0) ::close(lock_);
}

void Journal::fail() const {
  throw Failure(ExitCode::kConfiguration, {.what = "the journal " + in_quotes(path_) + " cannot be used",
                                           .why = sqlite3_errmsg(database_),
                                           .fix = "nothing is changed on a token without it"});
}

void Journal::execute(const char* sql) {
  if (sqlite3_exec(database_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) fail();
}

bool Journal::try_lock() {
  const std::string path = path_ + ".lock";
  lock_ = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  return lock_ >= 0 && ::flock(lock_, LOCK_EX | LOCK_NB) == 0;
}

void Journal::lock() {
  if (try_lock()) return;
  throw Failure(ExitCode::kPartial, "another shimctl is at work with the journal " + in_quotes(path_),
                "shimctl job list shows what it does");
}

std::string Journal::create(const JobRecord& job, const std::vector<json>& steps) {
  const std::string id = new_id();
  execute("BEGIN IMMEDIATE");
  try {
    Statement(*this,
              "INSERT INTO jobs (id, kind, name, plan, token_label, token_serial, state, created) "
              "VALUES (?, ?, ?, ?, ?, ?, 'running', ?)")
        .text(id)
        .text(job.kind)
        .text(job.name)
        .text(job.plan_sha256)
        .text(job.token_label)
        .text(job.token_serial)
        .text(now_text())
        .run();
    for (std::size_t i = 0; i < steps.size(); ++i) {
      Statement(*this, "INSERT INTO steps (job, number, state, intent) VALUES (?, ?, 'pending', ?)")
          .text(id)
          .number(i)
          .text(steps[i].dump(-1, ' ', false, json::error_handler_t::replace))
          .run();
    }
    execute("COMMIT");
  } catch (...) {
    sqlite3_exec(database_, "ROLLBACK", nullptr, nullptr, nullptr);
    throw;
  }
  return id;
}

std::vector<JobRecord> Journal::jobs() {
  std::vector<JobRecord> all;
  Statement statement(*this, std::string(kJobColumns) + "ORDER BY rowid");
  while (statement.next()) all.push_back(statement.job());
  return all;
}

std::optional<JobRecord> Journal::job(const std::string& id) {
  Statement statement(*this, std::string(kJobColumns) + "WHERE id = ?");
  if (!statement.text(id).next()) return std::nullopt;
  return statement.job();
}

std::vector<StepRecord> Journal::steps(const std::string& job) {
  std::vector<StepRecord> all;
  Statement statement(*this, "SELECT number, state, intent, undo FROM steps WHERE job = ? ORDER BY number");
  statement.text(job);
  while (statement.next()) {
    all.push_back({.number = statement.number_at(0),
                   .state = statement.text_at(1),
                   .intent = json::parse(statement.text_at(2), nullptr, false),
                   .undo = json::parse(statement.text_at(3), nullptr, false)});
  }
  return all;
}

std::map<std::string, std::int64_t> Journal::made_keys() {
  std::map<std::string, std::int64_t> made;
  Statement statement(*this,
                      "SELECT json_extract(intent, '$.id'), strftime('%s', created) FROM steps JOIN jobs ON job = id "
                      "WHERE json_extract(intent, '$.action') = 'generate' AND jobs.state = 'done'");
  while (statement.next()) made[statement.text_at(0)] = static_cast<std::int64_t>(statement.number_at(1));
  return made;
}

void Journal::set_state(const std::string& job, const std::string& state, const std::string& error) {
  Statement(*this, "UPDATE jobs SET state = ?, error = ? WHERE id = ?").text(state).text(error).text(job).run();
}

void Journal::want_cancel(const std::string& job, bool wanted) {
  Statement(*this, "UPDATE jobs SET cancel = ? WHERE id = ?").number(wanted ? 1 : 0).text(job).run();
}

void Journal::set_step(const std::string& job, std::size_t step, const std::string& state, const json& undo) {
  Statement(*this, "UPDATE steps SET state = ?, undo = ? WHERE job = ? AND number = ?")
      .text(state)
      .text(undo.dump())
      .text(job)
      .number(step)
      .run();
}

}  // namespace p11shim
