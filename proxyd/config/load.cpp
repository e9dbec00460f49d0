#include "proxyd/config/load.h"

#include <unistd.h>

#include "config/section.h"
#include "config/text_file.h"
#include "proxyd/config/rules.h"
#include "proxyd/config/schema.h"

namespace p11shim {
namespace {

class Reader {
 public:
  Reader(const ConfigValue& document, ConfigReport& report) : root_(document, {}, {}, report), report_(report) {}

  Config read() {
    Config config;
    read_table("listen", config.listen, schema::kListen);
    read_table("control", config.control, schema::kControl);
    read_table("state", config.state, schema::kState);
    read_table("limits", config.limits, schema::kLimits);
    read_table("log", config.log, schema::kLog);
    read_table("audit", config.audit, schema::kAudit);
    read_tables("module", config.modules, read_module);
    read_tables("member", config.members, read_member);
    read_tables("pool", config.pools, read_pool);
    root_.finish();
    return config;
  }

 private:
  template <class Struct, class Fields>
  void read_table(const char* name, Struct& into, const Fields& fields) {
    const ConfigEntry* entry = root_.take(name);
    if (!entry) return;
    if (!entry->value.get<ConfigValue::Table>()) {
      return report_.error(entry->place, wrong_type(name, entry->value, "a section [" + std::string(name) + "]"));
    }
    ConfigSection section(entry->value, '[' + std::string(name) + ']', name, report_);
    section.read(into, fields);
    section.finish();
  }

  // Each table makes an element, also a wrong one: an element's index is the one in its noted places.
  template <class Struct>
  void read_tables(const char* name, std::vector<Struct>& into, void (*read_one)(ConfigSection&, Struct&)) {
    const ConfigEntry* entry = root_.take(name);
    if (!entry) return;
    const std::string title = "[[" + std::string(name) + "]]";
    const auto* items = entry->value.get<ConfigValue::List>();
    if (!items) return report_.error(entry->place, wrong_type(name, entry->value, "a section " + title));
    for (const ConfigValue& item : *items) {
      Struct& element = into.emplace_back();
      if (!item.get<ConfigValue::Table>()) {
        report_.error(item.place, wrong_type(name, item, "a section " + title));
        continue;
      }
      ConfigSection section(item, title, name + ("[" + std::to_string(into.size() - 1) + ']'), report_);
      read_one(section, element);
      section.finish();
    }
  }

  static void read_module(ConfigSection& section, ModuleConfig& module) {
    section.read(module, schema::kModule);
    if (module.every_token) {
      section.read(module.token_options, schema::kMemberOptions);
      section.read(module.token_access, schema::kPoolAccess);
      return;
    }
    section.refuse(schema::kMemberOptions, "is a key of [[member]] (or of a [[module]] with tokens = \"*\")");
    section.refuse(schema::kPoolAccess, "is a key of [[pool]] (or of a [[module]] with tokens = \"*\")");
  }

  static void read_member(ConfigSection& section, MemberConfig& member) {
    for (const std::string_view name : {"pin", "user_pin", "so_pin", "password"}) {
      section.refuse_key(name, "must not stand in a configuration file (use pin_file, pin_credential or pin_command)");
    }
    section.read(member, schema::kMember);
    section.read(member.options, schema::kMemberOptions);
  }

  static void read_pool(ConfigSection& section, PoolConfig& pool) {
    section.read(pool, schema::kPool);
    section.read(pool.access, schema::kPoolAccess);
    section.read(pool.balance, schema::kBalance);
  }

  ConfigSection root_;
  ConfigReport& report_;
};

ConfigResult<Config> failed(const std::string& path, std::string message) {
  ConfigReport report(path);
  report.error({}, std::move(message));
  return {std::nullopt, report.take_problems()};
}

}  // namespace

ConfigResult<Config> parse_config(std::string_view text, const std::string& file) {
  ConfigReport report(file);
  const ConfigValue document = parse_toml(text, report);
  if (report.has_errors()) return {std::nullopt, report.take_problems()};
  Config config = Reader(document, report).read();
  apply_rules(config, report);
  if (report.has_errors()) return {std::nullopt, report.take_problems()};
  config.file = file;
  config.places = report.places();
  return {std::move(config), report.take_problems()};
}

ConfigResult<Config> load_config_file(const std::string& path) {
  const TextFile file = read_text_file(path);
  if (file.error != 0) return failed(path, file.message);
  if (file.others_may_write) return failed(path, "others than its owner may write it (chmod go-w)");
  if (file.owner != 0 && file.owner != geteuid()) {
    return failed(path,
                  "belongs to user " + std::to_string(file.owner) + " (expected root or the user who runs proxyd)");
  }
  return parse_config(file.text, path);
}

}  // namespace p11shim
