#include "proxyd/config/rules.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "config/nearest.h"

namespace p11shim {
namespace {

std::string element(std::string_view section, std::size_t index) {
  return std::string(section) + '[' + std::to_string(index) + ']';
}

template <class Named>
std::vector<std::string_view> names_of(const std::vector<Named>& list) {
  std::vector<std::string_view> names;
  for (const Named& each : list) {
    if (!each.name.empty()) names.push_back(each.name);
  }
  return names;
}

// Checks with the file's report at hand, so that each is one short function.
class Rules {
 public:
  Rules(Config& config, ConfigReport& report) : config_(config), report_(report) {}

  void apply() {
    check_listeners();
    check_limits();
    check_audit();
    check_unique_names("module", config_.modules);
    check_unique_names("member", config_.members);
    check_unique_names("pool", config_.pools);
    for (std::size_t i = 0; i < config_.modules.size(); ++i) check_module(element("module", i), config_.modules[i]);
    for (std::size_t i = 0; i < config_.members.size(); ++i) check_member(element("member", i), config_.members[i]);
    for (std::size_t i = 0; i < config_.pools.size(); ++i) check_pool(element("pool", i), config_.pools[i]);
    check_unique_slots();
    check_unique_labels();
    check_everything_is_used();
    for (std::size_t i = 0; i < config_.pools.size(); ++i) check_several(element("pool", i), config_.pools[i]);
  }

 private:
  void error(const std::string& path, std::string message) {
    report_.error(report_.place_of(path), std::move(message));
  }
  void warning(const std::string& path, std::string message) {
    report_.warning(report_.place_of(path), std::move(message));
  }

  void check_listeners() {
    warn_of_open_socket("listen", config_.listen.unix_path, config_.listen.mode);
    warn_of_open_socket("control", config_.control.unix_path, config_.control.mode);
    if (config_.listen.tcp) {
      warning("listen.tcp",
              "every user of this machine can connect over TCP, and nothing tells who it is: such "
              "applications are \"anonymous\"");
    }
    const std::string& path = config_.listen.unix_path;
    if (!path.empty() && path == config_.control.unix_path) {
      error("control.unix", in_quotes(path) + " is the socket of [listen] too");
    }
    if (path.empty() && !config_.listen.tcp) {
      warning("listen.unix", "neither a unix socket nor TCP: only a socket passed by systemd is listened on");
    }
  }

  void warn_of_open_socket(const std::string& section, const std::string& path, mode_t mode) {
    if (path.empty() || (mode & 0002) == 0) return;  // to connect is to write
    warning(section + ".mode", "every user of this machine can connect to " + in_quotes(path));
  }

  void check_limits() {
    if (config_.limits.max_applications_per_user >= config_.limits.max_applications)
      warning("limits.max_applications_per_user",
              "one user alone can have as many applications as \"max_applications\" allows: nobody else gets in then");
    if (config_.limits.max_buffered_per_user < 2 * config_.limits.max_frame)
      warning("limits.max_buffered_per_user",
              "it is less than two messages of \"max_frame\": who sends such ones may lose its connections");
    if (config_.limits.keygen_deadline >= config_.limits.deadline) return;
    error("limits.keygen_deadline", "\"keygen_deadline\" is shorter than \"deadline\"");
  }

  void check_audit() {
    const AuditConfig& audit = config_.audit;
    if (audit.enabled && audit.file.empty() && !audit.journal) {
      error("audit.enabled", "audit is enabled but goes nowhere (expected \"file\" or journal = true)");
    }
    if (audit.enabled && (audit.mode & 0007) != 0)
      warning("audit.mode", "every user of this machine has access to the audit log");
  }

  template <class Named>
  void check_unique_names(std::string_view section, const std::vector<Named>& list) {
    for (std::size_t i = 0; i < list.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        if (list[i].name.empty() || list[i].name != list[j].name) continue;
        const std::string path = element(section, i) + ".name";
        error(path, "there is already a " + std::string(section) + " named " + in_quotes(list[i].name) + " (line " +
                        std::to_string(report_.place_of(element(section, j) + ".name").line) + ')');
        break;
      }
    }
  }

  template <class Named>
  void unknown_reference(const std::string& path, std::string_view section, const std::string& name,
                         const std::vector<Named>& list) {
    const auto names = names_of(list);
    error(path, "no [[" + std::string(section) + "]] is named " + in_quotes(name) + did_you_mean(name, names));
  }

  void check_options(const std::string& path, const ModuleConfig* module, MemberOptions& options) {
    if (options.restart_backoff.min > options.restart_backoff.max) {
      error(path + ".restart_backoff", "\"min\" of \"restart_backoff\" is longer than \"max\"");
    }
    if (options.isolation == Isolation::shared) {
      warning(path + ".isolation",
              "isolation = \"shared\": applications share one logged-in worker, and only proxyd "
              "keeps them apart");
    }
    if (!module || module->thread_safe) return;
    if (report_.is_set(path + ".lanes") && options.lanes > 1) {
      error(path + ".lanes", "\"lanes\" is " + std::to_string(options.lanes) + " (expected 1: thread_safe = false)");
    }
    options.lanes = 1;
  }

  void check_module(const std::string& path, ModuleConfig& module) {
    if (module.every_token) check_options(path, &module, module.token_options);
    if (!module.check_owner) {
      warning(path + ".check_owner", "check_owner = false: whoever can change " + in_quotes(module.path) +
                                         " or a directory "
                                         "above it can see PINs");
      if (!module.sha256.empty())
        warning(path + ".sha256",
                "with check_owner = false \"sha256\" tells of a wrong file but keeps nobody out: the file can be "
                "exchanged between the check and the load");
    }
  }

  void check_member(const std::string& path, MemberConfig& member) {
    const ModuleConfig* module = config_.find_module(member.module);
    if (!module && !member.module.empty())
      unknown_reference(path + ".module", "module", member.module, config_.modules);
    if (module && module->every_token) {
      error(path + ".module",
            "module " + in_quotes(module->name) + " has tokens = \"*\": its members are made by proxyd");
    }
    check_options(path, module, member.options);
    check_one_token(path, member);
    check_pin_source(path, member);
  }

  void check_one_token(const std::string& path, const MemberConfig& member) {
    const int set = !member.token_label.empty() + !member.token_serial.empty() + member.slot.has_value();
    const bool refused = report_.has_error_at(path + ".token_label") || report_.has_error_at(path + ".token_serial") ||
                         report_.has_error_at(path + ".slot");
    if (set == 1 || refused) return;
    error(path, std::string(set == 0 ? "nothing tells" : "more than one key tells") +
                    " which token this is (expected one of token_label, token_serial, slot)");
  }

  void check_pin_source(const std::string& path, const MemberConfig& member) {
    constexpr std::string_view kSources[] = {"pin_file", "pin_credential", "pin_command"};
    std::size_t set = 0;
    for (const std::string_view source : kSources) {
      const std::string key = path + '.' + std::string(source);
      if (!report_.is_set(key)) continue;
      ++set;
      if (member.login == LoginMode::client) error(key, in_quotes(source) + " needs login = \"daemon\"");
    }
    if (member.login == LoginMode::client || set == 1) return;
    error(path + ".login", std::string(set == 0 ? "nothing tells" : "more than one key tells") +
                               " where the PIN comes from (expected one of pin_file, pin_credential, pin_command)");
  }

  void check_pool(const std::string& path, PoolConfig& pool) {
    if (pool.label.empty() && pool.looks_like.empty()) pool.label = pool.name;
    if (!pool.looks_like.empty() && std::ranges::find(pool.members, pool.looks_like) == pool.members.end())
      warning(path + ".looks_like", in_quotes(pool.looks_like) +
                                        " is no member of this pool: what it showed when it was one is shown; without "
                                        "that the token cannot be");
    if (pool.label.size() > 32) {
      error(path + ".name", "the name is longer than a token's label can be (expected \"label\", at most 32 bytes)");
    }
    const std::string members = path + ".members";
    if (report_.is_set(members) && !report_.is_set(members + "[0]") && !report_.has_error_at(members)) {
      error(members, "\"members\" is empty (expected names of members)");
    }
    bool daemon_login = false;
    for (std::size_t i = 0; i < pool.members.size(); ++i) {
      const MemberConfig* member = config_.find_member(pool.members[i]);
      if (!member) unknown_reference(element(members, i), "member", pool.members[i], config_.members);
      daemon_login = daemon_login || (member && member->login == LoginMode::daemon);
    }
    if (!daemon_login) return;
    const bool explicit_set_pin = report_.is_set(path + ".set_pin");
    if (explicit_set_pin && pool.access.set_pin) {
      error(path + ".set_pin", "applications cannot change a PIN that proxyd logs in with (login = \"daemon\")");
    }
    pool.access.set_pin = false;
  }

  void check_unique_slots() {
    std::set<std::uint32_t> slots;
    for (std::size_t i = 0; i < config_.pools.size(); ++i) {
      const auto& slot = config_.pools[i].slot;
      if (!slot || slots.insert(*slot).second) continue;
      error(element("pool", i) + ".slot", "slot " + std::to_string(*slot) + " belongs to another pool already");
    }
  }

  void check_unique_labels() {
    std::set<std::string_view> labels;
    for (std::size_t i = 0; i < config_.pools.size(); ++i) {
      const PoolConfig& pool = config_.pools[i];
      if (pool.label.empty() || labels.insert(pool.label).second) continue;
      warning(element("pool", i) + ".label",
              "two pools have the label " + in_quotes(pool.label) + ": applications that look for it find either");
    }
  }

  void check_everything_is_used() {
    for (std::size_t i = 0; i < config_.modules.size(); ++i) {
      const ModuleConfig& module = config_.modules[i];
      if (module.name.empty() || report_.has_error_at(element("module", i) + ".tokens")) continue;
      const bool used = module.every_token || std::any_of(config_.members.begin(), config_.members.end(),
                                                          [&](const auto& each) { return each.module == module.name; });
      if (!used) warning(element("module", i), "no member uses module " + in_quotes(module.name));
    }
    for (std::size_t i = 0; i < config_.members.size(); ++i) {
      const std::string& name = config_.members[i].name;
      if (name.empty()) continue;
      const bool used = std::any_of(config_.pools.begin(), config_.pools.end(), [&](const PoolConfig& pool) {
        return std::find(pool.members.begin(), pool.members.end(), name) != pool.members.end();
      });
      if (!used) warning(element("member", i), "member " + in_quotes(name) + " is in no pool: no application sees it");
    }
    const bool every_token = std::any_of(config_.modules.begin(), config_.modules.end(),
                                         [](const ModuleConfig& module) { return module.every_token; });
    if (config_.pools.empty() && !every_token) {
      error({}, "there is nothing to serve (expected a [[pool]], or a [[module]] with tokens = \"*\")");
    }
  }

  // What only pools of several members must heed.
  void check_several(const std::string& path, const PoolConfig& pool) {
    const BreakerConfig& breaker = pool.balance.breaker;
    if (breaker.open_min > breaker.open_max)
      error(path + ".breaker", "\"open_min\" of \"breaker\" is longer than \"open_max\"");
    const ProbeConfig& probe = pool.balance.probe;
    if ((probe.call == ProbeCall::sign) != !probe.key.empty())
      error(path + ".probe", probe.key.empty()
                                 ? "call = \"C_Sign\" of \"probe\" needs \"key\", the label of a private key"
                                 : "\"key\" of \"probe\" is for call = \"C_Sign\"");
    if (probe.hung < probe.timeout) error(path + ".probe", "\"hung\" of \"probe\" is shorter than \"timeout\"");
    check_copies(path, pool);
    if (pool.members.size() < 2) return;
    const std::string list = path + ".members";
    if (pool.members.size() > kMostMembers)
      error(list, "there are " + std::to_string(pool.members.size()) + " members (expected at most " +
                      std::to_string(kMostMembers) + ')');
    std::vector<const MemberConfig*> members;
    for (std::size_t i = 0; i < pool.members.size(); ++i) {
      const MemberConfig* member = config_.find_member(pool.members[i]);
      if (member == nullptr) return;  // was said already
      for (const MemberConfig* earlier : members)
        if (same_token(*earlier, *member))
          error(element(list, i), "member " + in_quotes(member->name) + " is the same token as member " +
                                      in_quotes(earlier->name) + " (of the same module and environment)");
      if (!members.empty() && members.front()->login != member->login)
        error(element(list, i), "member " + in_quotes(member->name) + " and member " +
                                    in_quotes(members.front()->name) +
                                    " log in differently (expected one \"login\" for all members of a pool)");
      if (member->options.isolation == Isolation::shared)
        error(element(list, i), "member " + in_quotes(member->name) +
                                    " has isolation = \"shared\" (expected \"process\" in a pool of several members)");
      members.push_back(member);
    }
  }

  void check_copies(const std::string& path, const PoolConfig& pool) {
    const BalanceConfig& balance = pool.balance;
    if (balance.replication == Replication::wrap && balance.wrapping_key.empty())
      error(path + ".replication",
            "no key is named that keys are to be copied under (expected \"wrapping_key\", the label of a key that all "
            "members have)");
    if (balance.replication != Replication::wrap && !balance.wrapping_key.empty())
      error(path + ".wrapping_key", "\"wrapping_key\" needs replication = \"wrap\"");
    if (balance.replication != Replication::wrap && balance.replicate_nonextractable)
      error(path + ".replicate_nonextractable", "\"replicate_nonextractable\" needs replication = \"wrap\"");
    if (balance.min_copies > 1 && balance.replication == Replication::none)
      error(path + ".min_copies", "\"min_copies\" is " + std::to_string(balance.min_copies) +
                                      " (expected 1: nothing is copied with replication = \"none\")");
    if (!pool.members.empty() && balance.min_copies > pool.members.size())
      error(path + ".min_copies", "\"min_copies\" is " + std::to_string(balance.min_copies) + " and there are " +
                                      std::to_string(pool.members.size()) + " members");
  }

  bool same_token(const MemberConfig& a, const MemberConfig& b) const {
    const ModuleConfig* module_of_a = config_.find_module(a.module);
    const ModuleConfig* module_of_b = config_.find_module(b.module);
    if (module_of_a == nullptr || module_of_b == nullptr || module_of_a->path != module_of_b->path) return false;
    if (module_of_a->library_parameters != module_of_b->library_parameters) return false;  // NSS: its configdir
    return worker_environment(*module_of_a, a) == worker_environment(*module_of_b, b) &&
           a.token_label == b.token_label && a.token_serial == b.token_serial && a.slot == b.slot;
  }

  Config& config_;
  ConfigReport& report_;
};

}  // namespace

void apply_rules(Config& config, ConfigReport& report) { Rules(config, report).apply(); }

}  // namespace p11shim
