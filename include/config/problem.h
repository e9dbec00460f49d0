// What is wrong (or merely unwise) in a configuration file, and where: "proxyd.toml:12:8: unknown key …".
// All problems of a file are collected before anybody is told: whoever repairs a file wants the whole list.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace p11shim {

// Both count from 1, columns in characters; 0 stands for the file as a whole.
struct ConfigPlace {
  std::uint32_t line = 0;
  std::uint32_t column = 0;

  friend auto operator<=>(const ConfigPlace&, const ConfigPlace&) = default;
};

// Where each key's value stands, by dotted path: "listen.unix", "module[0].path", "pool[1].members[2]".
// A section's own entry ("module[0]") is its header.
using ConfigPlaces = std::map<std::string, ConfigPlace, std::less<>>;

struct ConfigProblem {
  enum class Severity : std::uint8_t { error, warning };

  Severity severity = Severity::error;
  std::string file;
  ConfigPlace place;
  std::string message;
};
std::string to_string(const ConfigProblem& problem);

// Text from a file, made fit for a message: control characters escaped; and in quotes, cut after 80 bytes.
std::string printable(std::string_view text);
std::string in_quotes(std::string_view text);
bool has_control_characters(std::string_view text);

// What reading one file finds out.
class ConfigReport {
 public:
  explicit ConfigReport(std::string file, ConfigPlaces places = {})
      : file_(std::move(file)), places_(std::move(places)) {}

  void error(ConfigPlace place, std::string message);
  void warning(ConfigPlace place, std::string message);
  void note_place(std::string path, ConfigPlace place);

  bool has_errors() const noexcept { return has_errors_; }
  const std::string& file() const noexcept { return file_; }
  const ConfigPlaces& places() const noexcept { return places_; }
  ConfigPlace place_of(std::string_view path) const;  // of the nearest enclosing section if the key is not set
  bool is_set(std::string_view path) const { return places_.contains(path); }
  bool has_error_at(std::string_view path) const;  // the key is set, but to something that was refused

  std::vector<ConfigProblem> take_problems();  // in the file's order

 private:
  std::string file_;
  std::vector<ConfigProblem> problems_;
  ConfigPlaces places_;
  bool has_errors_ = false;
};

// A value, unless there was an error; the problems, which may be warnings alone.
template <class T>
struct ConfigResult {
  std::optional<T> value;
  std::vector<ConfigProblem> problems;

  explicit operator bool() const noexcept { return value.has_value(); }
  T& operator*() { return *value; }
  const T& operator*() const { return *value; }
  T* operator->() { return &*value; }
  const T* operator->() const { return &*value; }
};

}  // namespace p11shim
