// Lines are read back with another JSON implementation, and compared byte for byte where the bytes matter.
#include "proxyd/audit/audit_line.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "proxyd/audit/json_text.h"

namespace p11shim {
namespace {

using namespace std::chrono_literals;

std::string line_of(const AuditRecord& record) {
  std::string line;
  append_audit_line(line, record);
  return line;
}

std::string text_of(std::string_view text) {
  std::string literal;
  append_json_text(literal, text);
  return literal;
}

AuditRecord full_record() {
  static constexpr std::uint8_t kId[] = {0xa1, 0x00, 0x0f};
  AuditRecord record;
  record.time = std::chrono::sys_days(std::chrono::year(2026) / 11 / 20) + 23h + 57min + 32s + 123456us;
  record.audit_class = AuditClass::use;
  record.caller.application.fill(0xab);
  record.caller.uid = 33;
  record.caller.gid = 34;
  record.caller.pid = 4711;
  record.caller.program = "/usr/sbin/nginx";
  record.pool = "signing";
  record.member = "hsm1";
  record.function = 44;
  record.mechanism = CKM_ECDSA;
  record.key = AuditKey{.object_class = CKO_PRIVATE_KEY, .type = CKK_EC, .id = kId, .label = "tls-2026"};
  record.bytes_in = 32;
  record.bytes_out = 64;
  record.attempts = 2;
  record.times = {.queue = 3, .hsm = 812, .total = 841};
  record.trace_id[15] = 1;
  return record;
}

TEST(AuditLine, HasExactlyTheseBytes) {
  EXPECT_EQ(
      line_of(full_record()),
      R"({"v":1,"time":"2026-11-20T23:57:32.123456Z","class":"use",)"
      R"("application":"abababababababababababababababab","uid":33,"gid":34,"pid":4711,)"
      R"("program":"/usr/sbin/nginx","pool":"signing","member":"hsm1","function":"C_Sign",)"
      R"("mechanism":"CKM_ECDSA","key":{"class":"CKO_PRIVATE_KEY","type":"CKK_EC","id":"a1000f","label":"tls-2026"},)"
      R"("in":32,"out":64,"rv":"CKR_OK","rv_number":0,"attempts":2,"us":{"queue":3,"hsm":812,"total":841},)"
      R"("trace":"00000000000000000000000000000001"})"
      "\n");
}

TEST(AuditLine, LeavesOutWhatIsNotKnown) {
  AuditRecord record;
  record.audit_class = AuditClass::auth;
  record.function = 19;
  record.rv = CKR_PIN_INCORRECT;
  EXPECT_EQ(
      line_of(record),
      R"({"v":1,"time":"1970-01-01T00:00:00.000000Z","class":"auth","application":"00000000000000000000000000000000",)"
      R"("program":"","pool":"","member":"","function":"C_Login","rv":"CKR_PIN_INCORRECT","rv_number":160,)"
      R"("attempts":1,"us":{}})"
      "\n");
}

TEST(AuditLine, KeepsSizesToItselfWhereTheyCouldBeAPins) {
  for (const auto audit_class : {AuditClass::admin, AuditClass::auth, AuditClass::read}) {
    auto record = full_record();
    record.audit_class = audit_class;
    const auto json = nlohmann::json::parse(line_of(record));
    EXPECT_FALSE(json.contains("in") || json.contains("out"));
  }
}

TEST(AuditLine, NamesVendorNumbersByNumber) {
  auto record = full_record();
  record.mechanism = CKM_VENDOR_DEFINED | 0x99;
  record.rv = CKR_VENDOR_DEFINED | 0x77;
  const auto json = nlohmann::json::parse(line_of(record));
  EXPECT_NE(json["mechanism"].get<std::string>().find("0x80000099"), std::string::npos);
  EXPECT_NE(json["rv"].get<std::string>().find("0x80000077"), std::string::npos);
  EXPECT_EQ(json["rv_number"], CKR_VENDOR_DEFINED | 0x77);
}

TEST(AuditLine, CutsOverlongTextAndSaysSo) {
  auto record = full_record();
  const std::string label(5000, 'x');
  const std::vector<std::uint8_t> id(5000, 0x11);
  record.key->label = label;
  record.key->id = id;
  record.caller.program = label;
  const auto line = line_of(record);
  EXPECT_LT(line.size(), 4096u);
  const auto json = nlohmann::json::parse(line);
  EXPECT_EQ(json["key"]["label"], std::string(kAuditTextLimit, 'x') + "…");
  EXPECT_EQ(json["key"]["id"].get<std::string>().size(), 2 * kAuditIdLimit + std::string("…").size());
}

TEST(AuditLine, StaysBelow4KiBWhateverTheTextIs) {
  auto record = full_record();
  const std::string hostile(5000, '\x01');
  record.key->label = hostile;
  record.caller.program = hostile;
  EXPECT_LT(line_of(record).size(), 4096u);
}

TEST(AuditLine, IsOneLineOfPrintableAsciiWhateverTheTextIs) {
  std::mt19937 random(11);
  std::uniform_int_distribution<int> byte(0, 255);
  std::uniform_int_distribution<std::size_t> length(0, 300);
  for (int i = 0; i < 3000; ++i) {
    std::string label(length(random), '\0');
    for (auto& character : label) character = static_cast<char>(byte(random));
    auto record = full_record();
    record.key->label = label;
    record.caller.program = label;
    const auto line = line_of(record);
    ASSERT_EQ(line.find('\n'), line.size() - 1);
    for (const char character : line.substr(0, line.size() - 1)) ASSERT_TRUE(character >= 0x20 && character < 0x7F);
    ASSERT_TRUE(nlohmann::json::accept(line));
  }
}

TEST(AuditLine, TellsLosses) {
  std::string line;
  append_loss_line(line, std::chrono::system_clock::time_point{}, 17);
  EXPECT_EQ(line, "{\"v\":1,\"time\":\"1970-01-01T00:00:00.000000Z\",\"class\":\"loss\",\"lost\":17}\n");
}

TEST(JsonText, EscapesWhatCouldEndOrBreakIt) {
  EXPECT_EQ(text_of("a\"b\\c\nd\x1b[31m\x7f"), R"("a\"b\\c\u000ad\u001b[31m\u007f")");
  EXPECT_EQ(text_of(std::string_view("\0", 1)), R"("\u0000")");
}

TEST(JsonText, KeepsEveryCharacterOfValidUtf8) {
  for (const char* text : {"schlüssel", "ключ", "鍵", "🔑", "\u2028\u202e", "\U0010FFFF"}) {
    EXPECT_EQ(nlohmann::json::parse(text_of(text)).get<std::string>(), text);
  }
}

TEST(JsonText, ReplacesEachInvalidByte) {
  const struct {
    std::string_view text;
    std::string_view shown;
  } kCases[] = {
      {"\xff", "\ufffd"},                      // never valid
      {"\xc3", "\ufffd"},                      // cut off
      {"\xc3(", "\ufffd("},                    // not continued
      {"\x80", "\ufffd"},                      // a continuation of nothing
      {"\xc0\x80", "\ufffd\ufffd"},            // overlong NUL
      {"\xe0\x80\x80", "\ufffd\ufffd\ufffd"},  // overlong
      {"\xf0\x80\x80\x80", "\ufffd\ufffd\ufffd\ufffd"},
      {"\xed\xa0\x80", "\ufffd\ufffd\ufffd"},            // surrogate
      {"\xf4\x90\x80\x80", "\ufffd\ufffd\ufffd\ufffd"},  // above U+10FFFF
      {"\xf8\x88\x80\x80\x80", "\ufffd\ufffd\ufffd\ufffd\ufffd"},
      {"ok\xe2\x82", "ok\ufffd\ufffd"},
  };
  for (const auto& test : kCases) {
    EXPECT_EQ(nlohmann::json::parse(text_of(test.text)).get<std::string>(), test.shown);
  }
}

}  // namespace
}  // namespace p11shim
