// The one data model of what commands answer: nulls, booleans, numbers, texts, lists and records whose order
// is kept. Every output format is made from it.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace p11shim {

class Value {
 public:
  using List = std::vector<Value>;
  using Member = std::pair<std::string, Value>;
  using Record = std::vector<Member>;

  Value() = default;  // null
  Value(bool value) : data_(value) {}
  template <std::signed_integral T>
  Value(T value) : data_(static_cast<std::int64_t>(value)) {}
  template <std::unsigned_integral T>
  requires(!std::same_as<T, bool>) Value(T value) : data_(static_cast<std::uint64_t>(value)) {}
  Value(double value) : data_(value) {}
  Value(const char* text) : data_(std::string(text)) {}
  Value(std::string_view text) : data_(std::string(text)) {}
  Value(std::string text) : data_(std::move(text)) {}
  Value(List list) : data_(std::move(list)) {}
  Value(Record record) : data_(std::move(record)) {}

  template <class T>
  const T* get_if() const {
    return std::get_if<T>(&data_);
  }
  bool is_null() const { return std::holds_alternative<std::monostate>(data_); }
  const List* list() const { return get_if<List>(); }
  const Record* record() const { return get_if<Record>(); }
  const std::string* text() const { return get_if<std::string>(); }

  // Of a record; a null Value becomes an empty record first. Sets or adds.
  Value& set(std::string_view key, Value value);
  // Of a record, by a path of keys with dots between them; null if there is none.
  const Value* find(std::string_view path) const;
  // Of a list; a null Value becomes an empty list first.
  void push_back(Value value);

 private:
  std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string, List, Record> data_;
};

enum class CellStyle : std::uint8_t { kPeople, kPrograms };

// What stands in a table's cell ("yes", "a, b", "-" for null) or a CSV's ("true", "a b", nothing). Not
// escaped.
std::string cell_text(const Value& value, CellStyle style);

// JSON text; bytes that are not UTF-8 are replaced. `indent` < 0: one line.
std::string json_text(const Value& value, int indent = -1);
std::string yaml_text(const Value& value);

// Each leaf of a record with its dotted path, in order; lists are leaves.
std::vector<std::pair<std::string, const Value*>> leaves(const Value& value);

}  // namespace p11shim
