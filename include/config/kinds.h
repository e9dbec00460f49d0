// The kinds of value that a key can have: what TOML type each is written in, what it accepts, how it is put
// into words. A kind has
//
//   using From = …                     the TOML type (std::string, std::int64_t or bool)
//   std::string expected() const       what should have been written, for messages
//   std::optional<…> parse(From) const the setting, or nothing if it is refused
//   std::string show(setting) const    the setting as it would be written
//
// or, where a value is not one scalar, read(value, path, setting, report) instead of From and parse().
// A secret must not be given a kind: a PIN has no key (see proxyd/config/schema.h), and messages repeat
// values.
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "config/nearest.h"
#include "config/problem.h"
#include "config/quantity.h"
#include "config/tcp_address.h"
#include "config/value.h"

namespace p11shim {

// What messages call the key at `path`: its last part, "members[2]".
std::string_view key_name(std::string_view path);

std::string wrong_type(std::string_view path, const ConfigValue& value, std::string_view expected);
std::string refused(std::string_view path, std::string_view shown, std::string_view expected);

// Any text without control characters, at most `longest` bytes.
struct TextKind {
  using From = std::string;
  std::size_t longest = 4096;
  std::string_view what = "text";

  std::string expected() const;
  std::optional<std::string> parse(const std::string& text) const;
  static std::string show(const std::string& text) { return in_quotes(text); }
};

// What things are called in the file, the log and on command lines.
struct IdentifierKind {
  using From = std::string;
  static std::string expected() { return "1 to 64 letters, digits, '-', '_' or '.'"; }
  static std::optional<std::string> parse(const std::string& text);
  static std::string show(const std::string& text) { return in_quotes(text); }
};

struct PathKind {
  using From = std::string;
  bool may_be_empty = false;
  std::size_t longest = 4095;

  std::string expected() const;
  std::optional<std::string> parse(const std::string& text) const;
  static std::string show(const std::string& text) { return in_quotes(text); }
};

inline constexpr std::size_t kLongestSocketPath = 107;  // sun_path without its NUL

struct WholeNumberKind {
  using From = std::int64_t;
  std::int64_t smallest = 0;
  std::int64_t largest = 0;

  std::string expected() const;
  std::optional<std::int64_t> parse(std::int64_t number) const;
  template <std::integral T>
  static std::string show(T number) {
    return std::to_string(number);
  }
};

struct FlagKind {
  using From = bool;
  static std::string expected() { return "true or false"; }
  static std::optional<bool> parse(bool flag) { return flag; }
  static std::string show(bool flag) { return flag ? "true" : "false"; }
};

struct DurationKind {
  using From = std::string;
  std::chrono::milliseconds shortest{0};
  std::chrono::milliseconds longest{0};

  std::string expected() const;
  std::optional<std::chrono::milliseconds> parse(const std::string& text) const;
  static std::string show(std::chrono::milliseconds duration) { return in_quotes(format_duration(duration)); }
};

struct SizeKind {
  using From = std::string;
  std::uint64_t smallest = 0;
  std::uint64_t largest = 0;

  std::string expected() const;
  std::optional<std::uint64_t> parse(const std::string& text) const;
  static std::string show(std::uint64_t bytes) { return in_quotes(format_size(bytes)); }
};

struct ModeKind {
  using From = std::string;
  static std::string expected() { return "an octal mode such as \"0660\""; }
  static std::optional<mode_t> parse(const std::string& text) { return parse_mode(text); }
  static std::string show(mode_t mode) { return in_quotes(format_mode(mode)); }
};

// Empty, or a numeric loopback address and a port.
struct LoopbackKind {
  using From = std::string;
  static std::string expected() { return "a loopback address and port such as \"127.0.0.1:0\", or \"\""; }
  static std::optional<std::optional<TcpAddress>> parse(const std::string& text);
  static std::string show(const std::optional<TcpAddress>& address);
};

// One word of a list.
template <class T, std::size_t N>
struct ChoiceKind {
  using From = std::string;
  std::array<std::pair<std::string_view, T>, N> choices;

  std::array<std::string_view, N> words() const {
    std::array<std::string_view, N> words;
    for (std::size_t i = 0; i < N; ++i) words[i] = choices[i].first;
    return words;
  }
  std::string expected() const {
    std::string text;
    for (std::size_t i = 0; i < N; ++i)
      text += (i == 0 ? "" : i + 1 == N ? " or " : ", ") + in_quotes(choices[i].first);
    return text;
  }
  std::string near(const std::string& text) const { return did_you_mean(text, words()); }
  std::optional<T> parse(const std::string& text) const {
    for (const auto& [word, choice] : choices) {
      if (word == text) return choice;
    }
    return std::nullopt;
  }
  std::string show(T wanted) const {
    for (const auto& [word, choice] : choices) {
      if (choice == wanted) return in_quotes(word);
    }
    return "?";
  }
};

// What an optional holds, or the type itself.
template <class T>
struct HeldBy {
  using Type = T;
};
template <class T>
struct HeldBy<std::optional<T>> {
  using Type = T;
};

// Sets `setting`, or reports why not and leaves it alone.
template <class Kind, class T>
void read_value(const ConfigValue& value, const std::string& path, const Kind& kind, T& setting, ConfigReport& report) {
  report.note_place(path, value.place);
  if constexpr (requires { kind.read(value, path, setting, report); }) {
    kind.read(value, path, setting, report);
  } else {
    using From = typename Kind::From;
    const From* written = value.get<From>();
    if (!written) return report.error(value.place, wrong_type(path, value, kind.expected()));
    auto parsed = kind.parse(*written);
    if (parsed) {
      using Held = typename HeldBy<T>::Type;
      if constexpr (std::is_integral_v<Held>) {
        setting = static_cast<Held>(*parsed);
      } else {
        setting = std::move(*parsed);
      }
      return;
    }
    std::string shown;
    if constexpr (std::is_same_v<From, std::string>) {
      shown = in_quotes(*written);
    } else {
      shown = std::to_string(*written);
    }
    std::string message = refused(path, shown, kind.expected());
    if constexpr (requires { kind.near(*written); }) message += kind.near(*written);
    report.error(value.place, std::move(message));
  }
}

// A list, each item of one kind and none twice. Wrong items are left out, and places count those that remain.
template <class Item>
struct ListKind {
  Item item;
  std::string_view what;  // "names of members"

  std::string expected() const { return "a list of " + std::string(what); }
  template <class T>
  void read(const ConfigValue& value, const std::string& path, std::vector<T>& list, ConfigReport& report) const {
    const auto* items = value.get<ConfigValue::List>();
    if (!items) return report.error(value.place, wrong_type(path, value, expected()));
    list.clear();
    for (std::size_t i = 0; i < items->size(); ++i) {
      std::optional<T> read;
      read_value((*items)[i], path + '[' + std::to_string(i) + ']', item, read, report);
      if (!read) continue;
      bool repeated = false;
      for (const T& earlier : list) repeated = repeated || earlier == *read;
      if (repeated) {
        report.error((*items)[i].place, item.show(*read) + " is in " + in_quotes(key_name(path)) + " twice");
        continue;
      }
      report.note_place(path + '[' + std::to_string(list.size()) + ']', (*items)[i].place);
      list.push_back(std::move(*read));
    }
  }
  template <class T>
  std::string show(const std::vector<T>& list) const {
    std::string text = "[";
    for (const T& each : list) text += (text.size() == 1 ? "" : ", ") + item.show(each);
    return text + "]";
  }
};

// Environment variables. Only their names are ever shown: some vendors take a secret there.
struct EnvironmentKind {
  static std::string expected() { return "a table such as { SOFTHSM2_CONF = \"/etc/softhsm2.conf\" }"; }
  void read(const ConfigValue& value, const std::string& path, std::map<std::string, std::string>& variables,
            ConfigReport& report) const;
  static std::string show(const std::map<std::string, std::string>& variables);
};

}  // namespace p11shim
