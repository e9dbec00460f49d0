#include "proxyd/audit/audit_line.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>

#include "pkcs11/names.h"
#include "proxyd/audit/json_text.h"
#include "proxyd/stats/function_name.h"

namespace p11shim {

namespace {

// Writes `value`, which has at most so many digits, with leading zeros.
template <std::size_t kDigits>
void put_digits(char* to, unsigned value) {
  for (std::size_t i = kDigits; i-- > 0; value /= 10) to[i] = static_cast<char>('0' + value % 10);
}

// Writes the members of one JSON object, in the order in which they are added.
class JsonObject {
 public:
  explicit JsonObject(std::string& out) : out_(out) { out_ += '{'; }

  void number(std::string_view key, std::uint64_t value) {
    begin(key);
    char digits[20];
    out_.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
  }

  template <class Number>
  void number(std::string_view key, const std::optional<Number>& value) {
    if (value) number(key, std::uint64_t{*value});
  }

  void literal(std::string_view key, std::string_view value) {
    begin(key);
    out_ += value;
  }

  // For our own names: nothing in them needs an escape.
  void name(std::string_view key, std::string_view value) {
    begin(key);
    out_ += '"';
    out_ += value;
    out_ += '"';
  }

  // RFC 3339, UTC, microseconds; for the years 0 to 9999.
  void time(std::string_view key, std::chrono::system_clock::time_point value) {
    using namespace std::chrono;
    const auto day = floor<days>(value);
    const year_month_day date(day);
    const hh_mm_ss clock(floor<microseconds>(value - day));
    name(key, "0000-00-00T00:00:00.000000Z");
    char* text = &out_[out_.size() - sizeof "0000-00-00T00:00:00.000000Z"];
    put_digits<4>(text, static_cast<unsigned>(int{date.year()}));
    put_digits<2>(text + 5, unsigned{date.month()});
    put_digits<2>(text + 8, unsigned{date.day()});
    put_digits<2>(text + 11, static_cast<unsigned>(clock.hours().count()));
    put_digits<2>(text + 14, static_cast<unsigned>(clock.minutes().count()));
    put_digits<2>(text + 17, static_cast<unsigned>(clock.seconds().count()));
    put_digits<6>(text + 20, static_cast<unsigned>(clock.subseconds().count()));
  }

  void number_name(std::string_view key, NameKind kind, CK_ULONG value) {
    const auto known = name_of(kind, value);
    name(key, known ? *known : display(kind, value));
  }

  void text(std::string_view key, std::string_view value) {
    begin(key);
    append_json_text(out_, value.substr(0, kAuditTextLimit));
    if (value.size() > kAuditTextLimit) mark_cut();
  }

  void hex(std::string_view key, std::span<const std::uint8_t> bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    begin(key);
    out_ += '"';
    for (const auto byte : bytes.first(std::min(bytes.size(), kAuditIdLimit))) {
      out_ += kDigits[byte >> 4];
      out_ += kDigits[byte & 0xF];
    }
    out_ += '"';
    if (bytes.size() > kAuditIdLimit) mark_cut();
  }

  JsonObject object(std::string_view key) {
    begin(key);
    return JsonObject(out_);
  }

  void end() { out_ += '}'; }

 private:
  void begin(std::string_view key) {
    if (!first_) out_ += ',';
    first_ = false;
    out_ += '"';
    out_ += key;
    out_ += "\":";
  }

  // Puts "…" before the closing quote of what was just written.
  void mark_cut() {
    out_.pop_back();
    out_ += "\\u2026\"";
  }

  std::string& out_;
  bool first_ = true;
};

std::string_view class_name(AuditClass audit_class) {
  switch (audit_class) {
    case AuditClass::none: return "none";
    case AuditClass::admin: return "admin";
    case AuditClass::auth: return "auth";
    case AuditClass::use: return "use";
    case AuditClass::read: return "read";
  }
  return "none";
}

bool is_zero(std::span<const std::uint8_t> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == 0; });
}

void append_key(JsonObject& line, const AuditKey& key) {
  auto json = line.object("key");
  if (key.object_class) json.number_name("class", NameKind::cko, *key.object_class);
  if (key.type) json.number_name("type", NameKind::ckk, *key.type);
  if (!key.id.empty()) json.hex("id", key.id);
  if (!key.label.empty()) json.text("label", key.label);
  json.end();
}

void append_times(JsonObject& line, const AuditTimes& times) {
  auto json = line.object("us");
  json.number("queue", times.queue);
  json.number("hsm", times.hsm);
  json.number("total", times.total);
  json.end();
}

}  // namespace

void append_audit_line(std::string& out, const AuditRecord& record) {
  JsonObject line(out);
  line.number("v", std::uint64_t{kAuditVersion});
  line.time("time", record.time);
  line.name("class", class_name(record.audit_class));
  line.hex("application", record.caller.application);
  line.number("uid", record.caller.uid);
  line.number("gid", record.caller.gid);
  line.number("pid", record.caller.pid);
  line.text("program", record.caller.program);
  line.text("pool", record.pool);
  line.text("member", record.member);
  line.name("function", function_name(record.function));
  if (record.mechanism) line.number_name("mechanism", NameKind::ckm, *record.mechanism);
  if (record.key) append_key(line, *record.key);
  // Elsewhere a size could be that of a PIN or of a key's value.
  if (record.audit_class == AuditClass::use) {
    line.number("in", record.bytes_in);
    line.number("out", record.bytes_out);
  }
  line.number_name("rv", NameKind::ckr, record.rv);
  line.number("rv_number", std::uint64_t{record.rv});
  if (record.unfinished) line.literal("unfinished", "true");
  line.number("attempts", std::uint64_t{record.attempts});
  append_times(line, record.times);
  if (!is_zero(record.trace_id)) line.hex("trace", record.trace_id);
  line.end();
  out += '\n';
}

void append_loss_line(std::string& out, std::chrono::system_clock::time_point time, std::uint64_t lost) {
  JsonObject line(out);
  line.number("v", std::uint64_t{kAuditVersion});
  line.time("time", time);
  line.name("class", "loss");
  line.number("lost", lost);
  line.end();
  out += '\n';
}

}  // namespace p11shim
