#include "proxyd/config/check.h"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

#include "config/quantity.h"
#include "proxyd/config/module_file.h"

namespace p11shim {
namespace {

constexpr std::size_t kLargestAccountEntry = 1 << 20;  // a group may list thousands of users

// Calls one of getpwnam_r and getgrnam_r, with as much room as it asks for.
template <class Entry, class Lookup>
std::optional<Entry> account(const std::string& name, Lookup lookup, std::vector<char>& room) {
  for (room.resize(4096); room.size() <= kLargestAccountEntry; room.resize(room.size() * 4)) {
    Entry entry{};
    Entry* found = nullptr;
    const int error = lookup(name.c_str(), &entry, room.data(), room.size(), &found);
    if (error == ERANGE || error == EINTR) continue;
    return found ? std::optional(entry) : std::nullopt;
  }
  return std::nullopt;
}

std::optional<id_t> user_id(const std::string& name) {
  std::vector<char> room;
  const auto entry = account<passwd>(name, getpwnam_r, room);
  return entry ? std::optional<id_t>(entry->pw_uid) : std::nullopt;
}

std::optional<id_t> group_id(const std::string& name) {
  std::vector<char> room;
  const auto entry = account<group>(name, getgrnam_r, room);
  return entry ? std::optional<id_t>(entry->gr_gid) : std::nullopt;
}

void resolve(AccessList& list, const std::string& path, ConfigReport& report) {
  for (std::size_t i = 0; i < list.selectors().size(); ++i) {
    Selector& selector = list.selectors()[i];
    if (selector.name.empty()) continue;
    const bool is_user = selector.kind == Selector::Kind::user;
    selector.id = is_user ? user_id(selector.name) : group_id(selector.name);
    if (selector.id) continue;
    report.warning(report.place_of(path + '[' + std::to_string(i) + ']'),
                   std::string("there is no ") + (is_user ? "user " : "group ") + in_quotes(selector.name) +
                       ": it selects nobody");
  }
}

void resolve(PoolAccess& access, const std::string& path, ConfigReport& report) {
  resolve(access.admin, path + ".admin", report);
  resolve(access.allow, path + ".allow", report);
}

class MachineCheck {
 public:
  explicit MachineCheck(const Config& config) : config_(config), report_(config.file, config.places) {}

  std::vector<ConfigProblem> run() {
    check_socket("listen", config_.listen.unix_path, config_.listen.group);
    check_socket("control", config_.control.unix_path, config_.control.group);
    check_state_directory();
    if (!config_.log.file.empty()) check_parent("log.file", config_.log.file);
    if (config_.audit.enabled && !config_.audit.file.empty()) check_parent("audit.file", config_.audit.file);
    for (std::size_t i = 0; i < config_.modules.size(); ++i) {
      check_module("module[" + std::to_string(i) + ']', config_.modules[i]);
    }
    for (std::size_t i = 0; i < config_.members.size(); ++i) {
      check_pin_source("member[" + std::to_string(i) + ']', config_.members[i]);
    }
    for (std::size_t i = 0; i < config_.pools.size(); ++i)
      check_members("pool[" + std::to_string(i) + ']', config_.pools[i]);
    return report_.take_problems();
  }

 private:
  // One token that is a member twice gives no safety, and what is made on it would be there twice.
  void check_members(const std::string& path, const PoolConfig& pool) {
    for (std::size_t i = 0; i < pool.members.size(); ++i)
      for (std::size_t j = 0; j < i; ++j) {
        const MemberConfig* a = config_.find_member(pool.members[j]);
        const MemberConfig* b = config_.find_member(pool.members[i]);
        if (a == nullptr || b == nullptr || a->name == b->name || !same_token(*a, *b)) continue;
        error(path + ".members[" + std::to_string(i) + ']', "member " + in_quotes(b->name) +
                                                                " is the same token as member " + in_quotes(a->name) +
                                                                ", by another path");
      }
  }

  bool same_token(const MemberConfig& a, const MemberConfig& b) const {
    if (a.token_label != b.token_label || a.token_serial != b.token_serial || a.slot != b.slot) return false;
    const ModuleConfig* of_a = config_.find_module(a.module);
    const ModuleConfig* of_b = config_.find_module(b.module);
    if (of_a == nullptr || of_b == nullptr || !same_file(of_a->path, of_b->path)) return false;
    if (of_a->library_parameters != of_b->library_parameters) return false;
    const Environment its = worker_environment(*of_a, a), other = worker_environment(*of_b, b);
    return std::equal(its.begin(), its.end(), other.begin(), other.end(), [](const auto& x, const auto& y) {
      return x.first == y.first && (x.second == y.second || same_file(x.second, y.second));
    });
  }

  // One file by two paths, or a copy of it.
  static bool same_file(const std::string& a, const std::string& b) {
    struct stat facts_of_a {
    }, facts_of_b{};
    if (a == b) return true;
    if (stat(a.c_str(), &facts_of_a) != 0 || stat(b.c_str(), &facts_of_b) != 0) return false;
    if (facts_of_a.st_dev == facts_of_b.st_dev && facts_of_a.st_ino == facts_of_b.st_ino) return true;
    const bool files = S_ISREG(facts_of_a.st_mode) && S_ISREG(facts_of_b.st_mode);
    if (!files || facts_of_a.st_size != facts_of_b.st_size || facts_of_a.st_size > kLargestCompared) return false;
    std::ifstream first(a, std::ios::binary), second(b, std::ios::binary);
    return first && second &&
           std::equal(std::istreambuf_iterator<char>(first), {}, std::istreambuf_iterator<char>(second), {});
  }
  static constexpr off_t kLargestCompared = 64 << 20;  // modules and their configuration

  void error(const std::string& path, std::string message) {
    report_.error(report_.place_of(path), std::move(message));
  }
  void warning(const std::string& path, std::string message) {
    report_.warning(report_.place_of(path), std::move(message));
  }
  static std::string because(int error) { return ": " + std::generic_category().message(error); }

  void check_socket(const std::string& section, const std::string& path, const std::string& group) {
    if (path.empty()) return;
    check_parent(section + ".unix", path);
    if (!group.empty() && !group_id(group)) error(section + ".group", "there is no group " + in_quotes(group));
  }

  // A missing directory is a warning: under systemd it exists only while the service runs.
  void check_parent(const std::string& key, const std::string& path) {
    const std::string directory = std::filesystem::path(path).parent_path().string();
    struct stat facts {};
    if (stat(directory.c_str(), &facts) != 0) return warning(key, in_quotes(directory) + because(errno));
    if (!S_ISDIR(facts.st_mode)) return error(key, in_quotes(directory) + " is not a directory");
    const bool open_to_all = (facts.st_mode & S_IWOTH) && !(facts.st_mode & S_ISVTX);
    if (open_to_all) error(key, "every user of this machine may write in " + in_quotes(directory));
  }

  void check_state_directory() {
    const std::string key = "state.directory";
    const std::string& directory = config_.state.directory;
    struct stat facts {};
    const bool absent = stat(directory.c_str(), &facts) != 0;
    if (absent && errno == ENOENT) return check_parent(key, directory);  // proxyd makes it
    if (absent) return warning(key, in_quotes(directory) + because(errno));
    if (!S_ISDIR(facts.st_mode)) return error(key, in_quotes(directory) + " is not a directory");
    if ((facts.st_mode & 0027) != 0) {
      error(key, "others have access to " + in_quotes(directory) +
                     ", which holds the key of all object handles (mode " + format_mode(facts.st_mode & 0777) +
                     ", expected \"0700\")");
    }
  }

  void check_module(const std::string& path, const ModuleConfig& module) {
    const ModuleCheck check = check_module_file(module.path, rules_of(module));
    if (!check.ok()) error(path + ".path", check.problem());
  }

  void check_pin_source(const std::string& path, const MemberConfig& member) {
    if (!member.pin_file.empty()) check_private_file(path + ".pin_file", member.pin_file);
    if (!member.pin_command.empty()) check_program(path + ".pin_command", member.pin_command.front());
    const char* directory = std::getenv("CREDENTIALS_DIRECTORY");  // set by systemd for the service only
    if (!member.pin_credential.empty() && directory) {
      check_private_file(path + ".pin_credential", std::string(directory) + '/' + member.pin_credential);
    }
  }

  void check_private_file(const std::string& key, const std::string& path) {
    struct stat facts {};
    if (stat(path.c_str(), &facts) != 0) return error(key, in_quotes(path) + because(errno));
    if (!S_ISREG(facts.st_mode)) return error(key, in_quotes(path) + " is not a regular file");
    if ((facts.st_mode & 0037) != 0) {
      error(key, "others have access to " + in_quotes(path) + " (mode " + format_mode(facts.st_mode & 0777) +
                     ", expected \"0400\" or \"0440\")");
    }
  }

  void check_program(const std::string& key, const std::string& path) {
    struct stat facts {};
    if (stat(path.c_str(), &facts) != 0) return error(key, in_quotes(path) + because(errno));
    if (!S_ISREG(facts.st_mode) || (facts.st_mode & 0111) == 0)
      return error(key, in_quotes(path) + " is not a program");
    if ((facts.st_mode & (S_IWGRP | S_IWOTH)) != 0) error(key, "others than its owner may write " + in_quotes(path));
  }

  const Config& config_;
  ConfigReport report_;
};

}  // namespace

std::vector<ConfigProblem> resolve_accounts(Config& config) {
  ConfigReport report(config.file, config.places);
  for (std::size_t i = 0; i < config.modules.size(); ++i) {
    resolve(config.modules[i].token_access, "module[" + std::to_string(i) + ']', report);
  }
  for (std::size_t i = 0; i < config.pools.size(); ++i) {
    resolve(config.pools[i].access, "pool[" + std::to_string(i) + ']', report);
  }
  return report.take_problems();
}

std::vector<ConfigProblem> check_machine(const Config& config) { return MachineCheck(config).run(); }

}  // namespace p11shim
