// The table of kinds in docs/protocol.md against the messages themselves: their numbers, their names and how many elements
// each has.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "tests/places.h"
#include "wire/message.h"

namespace p11shim {
namespace {

struct Row {
  int number = 0;
  std::string name;
  int elements = 0;
  bool operator==(const Row&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Row& row) {
  return out << row.number << " " << row.name << ", an array of " << row.elements;
}

// What the page calls a kind, and a frame of it. The compiler tells of a kind that is missing here.
std::string describe(MessageKind kind, Buffer& frame) {
  switch (kind) {
    case MessageKind::request: return write_request_head(frame, {}), "request";
    case MessageKind::reply: return write_reply_head(frame, {}), "reply";
    case MessageKind::hello: return write_hello(frame, {}), "hello";
    case MessageKind::welcome: return write_welcome(frame, {}), "welcome";
    case MessageKind::goodbye: return write_goodbye(frame), "goodbye";
    case MessageKind::refusal: return write_refusal(frame), "refusal";
    case MessageKind::area_request: return write_area_request(frame), "area request";
    case MessageKind::area_answer: return write_area_answer(frame, 0), "area answer";
    case MessageKind::generations_request: return write_generations_request(frame), "generations request";
    case MessageKind::generations_answer: return write_generations_answer(frame), "generations answer";
    case MessageKind::rings_request: return write_rings_request(frame), "rings request";
    case MessageKind::rings_answer: return write_rings_answer(frame, 0), "rings answer";
    case MessageKind::bell_request: return write_bell_request(frame), "bell request";
    case MessageKind::bell_answer: return write_bell_answer(frame), "bell answer";
  }
  return {};
}

std::vector<Row> rows_of_the_code() {
  std::vector<Row> rows;
  for (int number = 0; number <= UINT8_MAX; ++number) {
    Buffer frame;
    const std::string name = describe(static_cast<MessageKind>(number), frame);
    if (name.empty()) continue;
    EXPECT_EQ(frame.data()[kLengthPrefix] & 0xf0, 0x90) << name;
    EXPECT_EQ(frame.data()[kLengthPrefix + 1], number) << name;
    rows.push_back({number, name, frame.data()[kLengthPrefix] & 0x0f});
  }
  return rows;
}

// Of `[7, size, [handle, …]]`: 3.
int elements_of(const std::string& array) {
  int depth = 0;
  int commas = 0;
  for (const char c : array) {
    depth += c == '[' ? 1 : c == ']' ? -1 : 0;
    commas += c == ',' && depth == 1 ? 1 : 0;
  }
  return commas + 1;
}

std::vector<Row> rows_of_the_page() {
  std::ifstream page(source_dir() + "/docs/protocol.md");
  std::vector<Row> rows;
  bool inside = false;
  for (std::string line; std::getline(page, line);) {
    if (line == "| kind | message | direction | array |") inside = true;
    else if (inside && !line.starts_with("|")) break;
    else if (inside && !line.starts_with("|-")) {
      const std::size_t name = line.find('|', 1) + 2;
      const std::size_t array = line.find('`');
      rows.push_back({std::stoi(line.substr(2)), line.substr(name, line.find(" |", name) - name),
                      elements_of(line.substr(array))});
      EXPECT_EQ(std::stoi(line.substr(array + 2)), rows.back().number) << line;
    }
  }
  return rows;
}

TEST(MessageKinds, AreThoseOfTheProtocolDocument) { EXPECT_EQ(rows_of_the_page(), rows_of_the_code()); }

}  // namespace
}  // namespace p11shim
