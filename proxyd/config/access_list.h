// Who: "user:alice", "group:hsm", "uid:1000", "gid:100", everybody or nobody. Names are resolved once, when
// the configuration is loaded: a decision at run time never waits for a directory service.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/problem.h"
#include "config/value.h"

namespace p11shim {

struct Selector {
  enum class Kind : std::uint8_t { user, group };

  Kind kind = Kind::user;
  std::string name;        // empty if it was written as a number
  std::optional<id_t> id;  // a name's is unknown until resolved; then it selects nobody

  friend bool operator==(const Selector&, const Selector&) = default;
};

std::optional<Selector> parse_selector(std::string_view text);
std::string to_string(const Selector& selector);

class AccessList {
 public:
  static AccessList nobody() { return AccessList(false, {}); }
  static AccessList everybody() { return AccessList(true, {}); }
  static AccessList only(std::vector<Selector> selectors) { return AccessList(false, std::move(selectors)); }

  // An unknown caller (over TCP: nobody attests who it is) has no uid.
  bool allows(std::optional<uid_t> uid, std::span<const gid_t> groups) const;

  bool is_everybody() const noexcept { return everybody_; }
  const std::vector<Selector>& selectors() const noexcept { return selectors_; }
  std::vector<Selector>& selectors() noexcept { return selectors_; }
  friend bool operator==(const AccessList&, const AccessList&) = default;

 private:
  AccessList(bool everybody, std::vector<Selector> selectors)
      : everybody_(everybody), selectors_(std::move(selectors)) {}

  bool everybody_;
  std::vector<Selector> selectors_;
};

// admin = true | false | ["user:root"]
struct AdminKind {
  static std::string expected() { return "true, false or a list of selectors such as \"user:root\""; }
  static void read(const ConfigValue& value, const std::string& path, AccessList& list, ConfigReport& report);
  static std::string show(const AccessList& list);
};

// allow = ["group:hsm"]; an empty list is everybody who may connect.
struct AllowKind {
  static std::string expected() { return "a list of selectors such as \"group:hsm\""; }
  static void read(const ConfigValue& value, const std::string& path, AccessList& list, ConfigReport& report);
  static std::string show(const AccessList& list);
};

}  // namespace p11shim
