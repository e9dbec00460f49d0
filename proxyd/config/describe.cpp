#include "proxyd/config/describe.h"

#include "proxyd/config/schema.h"

namespace p11shim {
namespace {

// "key = value" pairs of the fields that differ from the defaults.
template <class Struct, class Fields>
std::string settings(const Struct& from, const Fields& fields) {
  const Struct defaults{};
  std::string text;
  for_each_field(fields, [&](const auto& field) {
    if (from.*field.member == defaults.*field.member) return;
    text += (text.empty() ? "" : ", ") + std::string(field.name) + " = " + show_field(field, from);
  });
  return text;
}

std::string line(std::string_view heading, const std::string& text) {
  constexpr std::size_t kWidth = 9;
  std::string result(heading);
  result.resize(std::max(kWidth, result.size()), ' ');
  return text.empty() ? std::string() : result + text + '\n';
}

std::string socket(const std::string& path, mode_t mode, const std::string& group) {
  if (path.empty()) return "no unix socket";
  return path + " (mode " + format_mode(mode) + (group.empty() ? "" : ", group " + group) + ')';
}

std::string options(const MemberOptions& options) {
  return "lanes = " + std::to_string(options.lanes) + ", sessions_ro = " + std::to_string(options.sessions_ro) +
         ", sessions_rw = " + std::to_string(options.sessions_rw) +
         (options.isolation == Isolation::shared ? ", isolation = \"shared\"" : "");
}

std::string access(const PoolAccess& access) {
  return "allow " + (access.allow.is_everybody() ? "everybody" : AllowKind::show(access.allow)) + ", admin " +
         (access.admin.is_everybody()        ? "everybody"
          : access.admin.selectors().empty() ? "nobody"
                                             : AdminKind::show(access.admin)) +
         (access.set_pin ? "" : ", set_pin = false");
}

std::string token(const MemberConfig& member) {
  if (!member.token_label.empty()) return "label " + in_quotes(member.token_label);
  if (!member.token_serial.empty()) return "serial " + in_quotes(member.token_serial);
  return "slot " + std::to_string(member.slot.value_or(0));
}

std::string audit(const AuditConfig& audit) {
  if (!audit.enabled) return "off";
  std::string text = audit.file;
  if (audit.journal) text += text.empty() ? "journal" : " and journal";
  return text + ", classes = " + ListKind<ChoiceKind<AuditClass, 4>>{schema::kAuditClass, {}}.show(audit.classes);
}

}  // namespace

std::string describe(const Config& config) {
  std::string text;
  text += line("listen", socket(config.listen.unix_path, config.listen.mode, config.listen.group) +
                             (config.listen.tcp ? ", tcp " + to_string(*config.listen.tcp) : ""));
  text += line("control", socket(config.control.unix_path, config.control.mode, config.control.group));
  text += line("state", config.state.directory);
  text += line("limits", settings(config.limits, schema::kLimits));
  text += line("log", settings(config.log, schema::kLog));
  text += line("audit", audit(config.audit));
  for (const ModuleConfig& module : config.modules) {
    text += line("module", module.name + ": " + module.path);
    if (!module.every_token) continue;
    text += line("", "every token, " + options(module.token_options));
    text += line("", access(module.token_access));
  }
  for (const MemberConfig& member : config.members) {
    text += line("member", member.name + ": " + token(member) + " of module " + member.module +
                               ", login = " + schema::kLogin.show(member.login));
    text += line("", options(member.options));
  }
  for (const PoolConfig& pool : config.pools) {
    const std::string token = pool.label.empty() ? "that looks like member " + pool.looks_like : in_quotes(pool.label);
    text +=
        line("pool", pool.name + ": token " + token + ", members = " + ListKind<IdentifierKind>{}.show(pool.members));
    text += line("", access(pool.access));
    if (pool.members.size() > 1)
      text += line("", "strategy = " + schema::kStrategy.show(pool.balance.strategy) +
                           ", mechanisms = " + schema::kMechanisms.show(pool.balance.mechanisms) +
                           (pool.balance.clones ? ", clones = true" : ""));
  }
  return text;
}

}  // namespace p11shim
