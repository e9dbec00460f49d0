// What automated changes intended, did and must undo, in an SQLite database: durable before anything happens
// on the token, so that whoever comes after a crash can finish the work or take it back.
//
// A job's state: "running", "failed", "cancelled" and "committing" can be resumed; all but "committing" can be
// rolled back; "done", "rolled-back" and "abandoned" are over; "rolling-back" wants to be rolled back again.
// A step's: "pending", "doing" (it may have happened, wholly or partly), "done", "undone", "gone" (its key was not there
// any more when it was to be undone).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

struct sqlite3;

namespace p11shim {

struct JobRecord {
  std::string id;
  std::string kind;  // "batch", "rotate"
  std::string name;
  std::string plan_sha256;
  std::string token_label;
  std::string token_serial;
  std::string state;
  std::string error;  // why it stopped
  std::string created;
  bool cancel_wanted = false;
  std::size_t steps = 0;
  std::size_t steps_done = 0;

  bool is_open() const { return state != "done" && state != "rolled-back" && state != "abandoned"; }
};

struct StepRecord {
  std::size_t number = 0;
  std::string state;
  nlohmann::json intent;  // what to do
  nlohmann::json undo;    // what was there before; null until it begins
};

class Journal {
 public:
  // $SHIMCTL_JOURNAL, or jobs.db in $XDG_STATE_HOME/shimctl or ~/.local/state/shimctl.
  static std::string default_path();
  // Throws Failure (kConfiguration) if it cannot be used.
  explicit Journal(const std::string& path);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // One process at a time changes tokens by this journal. Throws Failure.
  void lock();
  bool try_lock();  // false: another has it

  // All at once, or not at all. Returns its id.
  std::string create(const JobRecord& job, const std::vector<nlohmann::json>& steps);
  std::vector<JobRecord> jobs();
  std::optional<JobRecord> job(const std::string& id);
  std::vector<StepRecord> steps(const std::string& job);
  // When keys were made by jobs that are done: by id in hexadecimal, in seconds since 1970.
  std::map<std::string, std::int64_t> made_keys();

  void set_state(const std::string& job, const std::string& state, const std::string& error = "");
  void want_cancel(const std::string& job, bool wanted);
  void set_step(const std::string& job, std::size_t step, const std::string& state, const nlohmann::json& undo);

 private:
  class Statement;
  void execute(const char* sql);
  [[noreturn]] void fail() const;

  std::string path_;
  sqlite3* database_ = nullptr;
  int lock_ = -1;
};

}  // namespace p11shim
