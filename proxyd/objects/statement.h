// One prepared statement of a SQLite database of the state directory. Throws std::runtime_error with SQLite's words.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "proxyd/objects/state_directory.h"

namespace p11shim {

[[noreturn]] inline void fail_database(sqlite3* database) {
  const char* path = sqlite3_db_filename(database, "main");
  const std::string_view name = path != nullptr ? path : "";
  throw std::runtime_error(std::string(name.substr(name.rfind('/') + 1)) + ": " + sqlite3_errmsg(database));
}

inline void execute_sql(sqlite3* database, const char* sql) {
  if (sqlite3_exec(database, sql, nullptr, nullptr, nullptr) != SQLITE_OK) fail_database(database);
}

class Statement {
 public:
  Statement(sqlite3* database, const char* sql) {
    if (sqlite3_prepare_v2(database, sql, -1, &statement_, nullptr) != SQLITE_OK) fail_database(database);
  }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement() { sqlite3_finalize(statement_); }

  void bind(int index, std::span<const std::uint8_t> value) {
    sqlite3_bind_blob(statement_, index, value.empty() ? reinterpret_cast<const void*>("") : value.data(),
                      static_cast<int>(value.size()), SQLITE_TRANSIENT);
  }
  void bind(int index, const std::string& value) {
    sqlite3_bind_text(statement_, index, value.data(), static_cast<int>(value.size()), SQLITE_TRANSIENT);
  }
  void bind(int index, std::uint64_t value) {
    sqlite3_bind_int64(statement_, index, static_cast<sqlite3_int64>(value));
  }
  // False: there is no (further) row.
  bool step() {
    const int result = sqlite3_step(statement_);
    if (result == SQLITE_ROW) return true;
    if (result != SQLITE_DONE) fail_database(sqlite3_db_handle(statement_));
    return false;
  }
  [[nodiscard]] std::uint64_t number(int index) const {
    return static_cast<std::uint64_t>(sqlite3_column_int64(statement_, index));
  }
  [[nodiscard]] std::span<const std::uint8_t> bytes(int index) const {
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, index));
    return {static_cast<const std::uint8_t*>(sqlite3_column_blob(statement_, index)), size};
  }
  [[nodiscard]] std::string text(int index) const {
    const auto value = bytes(index);
    return {reinterpret_cast<const char*>(value.data()), value.size()};
  }
  bool column(int index, Identity& value) const {
    const auto stored = bytes(index);
    if (stored.size() != value.size()) return false;
    std::memcpy(value.data(), stored.data(), value.size());
    return true;
  }

 private:
  sqlite3_stmt* statement_ = nullptr;
};

}  // namespace p11shim
