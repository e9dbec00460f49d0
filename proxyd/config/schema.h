// Every key of proxyd's configuration file: its name, the struct member it sets, what it accepts. One line
// adds a key to reading, reloading, `proxyd --check` and the test that compares docs/configuration.md with
// this file. There is no key for a PIN itself, and there must never be one.
#pragma once

#include <limits>
#include <tuple>

#include "config/section.h"
#include "proxyd/config/config.h"

namespace p11shim {

// flags = ["CKF_OS_LOCKING_OK"]
struct InitializeFlagsKind {
  static std::string expected();
  static void read(const ConfigValue& value, const std::string& path, CK_FLAGS& flags, ConfigReport& report);
  static std::string show(CK_FLAGS flags);
};

// pin_command = ["/usr/bin/program", "argument"]. Arguments are never shown.
struct CommandKind {
  static std::string expected() { return "a list: the absolute path of a program and its arguments"; }
  static void read(const ConfigValue& value, const std::string& path, std::vector<std::string>& command,
                   ConfigReport& report);
  static std::string show(const std::vector<std::string>& command);
};

struct Sha256Kind {
  using From = std::string;
  static std::string expected() { return "64 hexadecimal digits, or \"\""; }
  static std::optional<std::string> parse(const std::string& text);
  static std::string show(const std::string& text) { return in_quotes(text); }
};

// "CKA_KEYS_REMAINING", or a vendor's "0x80000200".
struct AttributeTypeKind {
  using From = std::string;
  static std::string expected() { return "the name or hexadecimal number of an attribute"; }
  static std::optional<CK_ATTRIBUTE_TYPE> parse(const std::string& text);
  static std::string show(CK_ATTRIBUTE_TYPE type);
};

namespace schema {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

inline constexpr PathKind kOptionalPath{.may_be_empty = true};
inline constexpr PathKind kSocketPath{.may_be_empty = true, .longest = kLongestSocketPath};
inline constexpr TextKind kGroupName{256, "a group's name"};
inline constexpr DurationKind kUpToADay{milliseconds(0), hours(24)};

inline constexpr auto kListen = std::tuple{
    config_field("unix", &ListenConfig::unix_path, kSocketPath),
    config_field("mode", &ListenConfig::mode, ModeKind{}),
    config_field("group", &ListenConfig::group, kGroupName),
    config_field("tcp", &ListenConfig::tcp, LoopbackKind{}),
    config_field("backlog", &ListenConfig::backlog, WholeNumberKind{1, 65'535}),
    config_field("max_connections", &ListenConfig::max_connections, WholeNumberKind{1, 1'000'000}),
    config_field("max_connections_per_user", &ListenConfig::max_connections_per_user, WholeNumberKind{1, 1'000'000}),
    config_field("shared_memory", &ListenConfig::shared_memory, FlagKind{}),
};

inline constexpr auto kControl = std::tuple{
    config_field("unix", &ControlConfig::unix_path, kSocketPath),
    config_field("mode", &ControlConfig::mode, ModeKind{}),
    config_field("group", &ControlConfig::group, kGroupName),
};

inline constexpr auto kState = std::tuple{
    config_field("directory", &StateConfig::directory, PathKind{}),
};

inline constexpr auto kLimits = std::tuple{
    config_field("max_frame", &LimitsConfig::max_frame, SizeKind{128 << 10, limits::kMaxFrame}).live(),
    config_field("max_sessions_per_application", &LimitsConfig::max_sessions_per_application,
                 WholeNumberKind{1, 10'000'000})
        .live(),
    config_field("max_applications", &LimitsConfig::max_applications, WholeNumberKind{1, 1'000'000}).live(),
    config_field("max_applications_per_user", &LimitsConfig::max_applications_per_user, WholeNumberKind{0, 1'000'000})
        .live(),
    config_field("max_buffered_per_user", &LimitsConfig::max_buffered_per_user,
                 SizeKind{256 << 10, std::uint64_t{1} << 40})
        .live(),
    config_field("spin", &LimitsConfig::spin, WholeNumberKind{0, 1000}),
    config_field("courteous", &LimitsConfig::courteous, FlagKind{}),
    config_field("rings", &LimitsConfig::rings, FlagKind{}),
    config_field("deadline", &LimitsConfig::deadline, DurationKind{milliseconds(100), hours(24)}).live(),
    config_field("keygen_deadline", &LimitsConfig::keygen_deadline, DurationKind{milliseconds(100), hours(24)}).live(),
};

inline constexpr ChoiceKind<LogFormat, 2> kLogFormat{{{{"text", LogFormat::text}, {"json", LogFormat::json}}}};

inline constexpr auto kLog = std::tuple{
    config_field("level", &LogConfig::level, ChoiceKind<LogLevel, kLogLevels.size()>{kLogLevels}).live(),
    config_field("format", &LogConfig::format, kLogFormat),
    config_field("file", &LogConfig::file, kOptionalPath),
};

inline constexpr ChoiceKind<AuditClass, 4> kAuditClass{
    {{{"admin", AuditClass::admin}, {"auth", AuditClass::auth}, {"use", AuditClass::use}, {"read", AuditClass::read}}}};

inline constexpr auto kAudit = std::tuple{
    config_field("enabled", &AuditConfig::enabled, FlagKind{}),
    config_field("file", &AuditConfig::file, kOptionalPath),
    config_field("mode", &AuditConfig::mode, ModeKind{}),
    config_field("max_size", &AuditConfig::max_size, SizeKind{64 << 10, std::uint64_t{1} << 40}),
    config_field("keep", &AuditConfig::keep, WholeNumberKind{0, 10'000}),
    config_field("journal", &AuditConfig::journal, FlagKind{}),
    config_field("classes", &AuditConfig::classes, ListKind<ChoiceKind<AuditClass, 4>>{kAuditClass, "audit classes"})
        .live(),
};

inline constexpr ChoiceKind<Isolation, 2> kIsolation{
    {{{"process", Isolation::process}, {"shared", Isolation::shared}}}};

inline constexpr auto kRestartBackoff = std::tuple{
    config_field("min", &RestartBackoff::min, DurationKind{milliseconds(1), hours(24)}),
    config_field("max", &RestartBackoff::max, DurationKind{milliseconds(1), hours(24)}),
};
using RestartBackoffFields = decltype(kRestartBackoff);

inline constexpr auto kMemberOptions = std::tuple{
    config_field("lanes", &MemberOptions::lanes, WholeNumberKind{1, 256}),
    config_field("max_stuck_lanes", &MemberOptions::max_stuck_lanes, WholeNumberKind{0, 256}),
    config_field("sessions_ro", &MemberOptions::sessions_ro, WholeNumberKind{1, 65'535}),
    config_field("sessions_rw", &MemberOptions::sessions_rw, WholeNumberKind{1, 65'535}),
    config_field("max_sessions", &MemberOptions::max_sessions, WholeNumberKind{1, 65'535}),
    config_field("isolation", &MemberOptions::isolation, kIsolation),
    config_field("pin_recheck", &MemberOptions::pin_recheck, kUpToADay).live(),
    config_field("max_call", &MemberOptions::max_call, DurationKind{milliseconds(1), hours(24)}),
    config_field("restart_backoff", &MemberOptions::restart_backoff,
                 TableKind<RestartBackoffFields>{kRestartBackoff, "{ min = \"100ms\", max = \"30s\" }"}),
    config_field("idle_worker_timeout", &MemberOptions::idle_worker_timeout, kUpToADay),
};

inline constexpr auto kPoolAccess = std::tuple{
    config_field("admin", &PoolAccess::admin, AdminKind{}).live(),
    config_field("allow", &PoolAccess::allow, AllowKind{}).live(),
    config_field("set_pin", &PoolAccess::set_pin, FlagKind{}).live(),
};

inline constexpr ChoiceKind<bool, 2> kTokens{{{{"*", true}, {"", false}}}};

inline constexpr auto kModule = std::tuple{
    config_field("name", &ModuleConfig::name, IdentifierKind{}).required(),
    config_field("path", &ModuleConfig::path, PathKind{}).required(),
    config_field("library_parameters", &ModuleConfig::library_parameters, TextKind{4096}),
    config_field("environment", &ModuleConfig::environment, EnvironmentKind{}),
    config_field("sha256", &ModuleConfig::sha256, Sha256Kind{}),
    config_field("thread_safe", &ModuleConfig::thread_safe, FlagKind{}),
    config_field("flags", &ModuleConfig::flags, InitializeFlagsKind{}),
    config_field("counters", &ModuleConfig::counters, ListKind<AttributeTypeKind>{{}, "attributes"}),
    config_field("check_owner", &ModuleConfig::check_owner, FlagKind{}),
    config_field("allow_owner", &ModuleConfig::allow_owner,
                 ListKind<WholeNumberKind>{{0, std::numeric_limits<uid_t>::max() - 1}, "numeric user ids"}),
    config_field("tokens", &ModuleConfig::every_token, kTokens),
};

inline constexpr ChoiceKind<LoginMode, 2> kLogin{{{{"client", LoginMode::client}, {"daemon", LoginMode::daemon}}}};

inline constexpr ChoiceKind<CK_MECHANISM_TYPE, 3> kWrapMechanism{{{{"CKM_AES_KEY_WRAP_PAD", CKM_AES_KEY_WRAP_PAD},
                                                                   {"CKM_AES_KEY_WRAP_KWP", CKM_AES_KEY_WRAP_KWP},
                                                                   {"CKM_AES_KEY_WRAP", CKM_AES_KEY_WRAP}}}};

inline constexpr auto kMember = std::tuple{
    config_field("name", &MemberConfig::name, IdentifierKind{}).required(),
    config_field("module", &MemberConfig::module, IdentifierKind{}).required(),
    config_field("token_label", &MemberConfig::token_label, TextKind{32, "a token's label"}),
    config_field("token_serial", &MemberConfig::token_serial, TextKind{16, "a token's serial number"}),
    config_field("slot", &MemberConfig::slot, WholeNumberKind{0, std::numeric_limits<std::int64_t>::max()}),
    config_field("login", &MemberConfig::login, kLogin),
    config_field("pin_file", &MemberConfig::pin_file, PathKind{}),
    config_field("pin_credential", &MemberConfig::pin_credential, IdentifierKind{}),
    config_field("pin_command", &MemberConfig::pin_command, CommandKind{}),
    config_field("weight", &MemberConfig::weight, WholeNumberKind{1, 10'000}),
    config_field("priority", &MemberConfig::priority, WholeNumberKind{0, 100}),
    config_field("max_concurrency", &MemberConfig::max_concurrency, WholeNumberKind{0, 65'535}),
    config_field("wrap_mechanism", &MemberConfig::wrap_mechanism, kWrapMechanism),
    config_field("environment", &MemberConfig::environment, EnvironmentKind{}),
};

inline constexpr ChoiceKind<Strategy, 4> kStrategy{{{{"least-latency", Strategy::least_latency},
                                                     {"least-outstanding", Strategy::least_outstanding},
                                                     {"round-robin", Strategy::round_robin},
                                                     {"failover", Strategy::failover}}}};
inline constexpr ChoiceKind<Mechanisms, 2> kMechanisms{
    {{{"intersection", Mechanisms::intersection}, {"union", Mechanisms::union_of_all}}}};
inline constexpr ChoiceKind<ProbeCall, 4> kProbeCall{{{{"none", ProbeCall::none},
                                                       {"C_GetTokenInfo", ProbeCall::token_info},
                                                       {"C_GenerateRandom", ProbeCall::random},
                                                       {"C_Sign", ProbeCall::sign}}}};
inline constexpr ChoiceKind<Replication, 3> kReplication{
    {{{"none", Replication::none}, {"public", Replication::public_objects}, {"wrap", Replication::wrap}}}};
inline constexpr ChoiceKind<Hedge, 2> kHedge{{{{"off", Hedge::off}, {"p95", Hedge::p95}}}};
inline constexpr ChoiceKind<Destroy, 2> kDestroy{{{{"journaled", Destroy::journaled}, {"all", Destroy::all}}}};
inline constexpr DurationKind kPause{milliseconds(10), hours(24)};

inline constexpr auto kBreaker = std::tuple{
    config_field("failures", &BreakerConfig::failures, WholeNumberKind{1, 10'000}),
    config_field("percent", &BreakerConfig::percent, WholeNumberKind{1, 100}),
    config_field("least_calls", &BreakerConfig::least_calls, WholeNumberKind{1, 1'000'000}),
    config_field("window", &BreakerConfig::window, DurationKind{milliseconds(100), hours(1)}),
    config_field("slow_call", &BreakerConfig::slow_call, kUpToADay),
    config_field("open_min", &BreakerConfig::open_min, kPause),
    config_field("open_max", &BreakerConfig::open_max, kPause),
};
using BreakerFields = decltype(kBreaker);

inline constexpr auto kRetryBudget = std::tuple{
    config_field("percent", &RetryBudgetConfig::percent, WholeNumberKind{0, 100}),
    config_field("per_second", &RetryBudgetConfig::per_second, WholeNumberKind{0, 1'000'000}),
};
using RetryBudgetFields = decltype(kRetryBudget);

inline constexpr auto kProbe = std::tuple{
    config_field("call", &ProbeConfig::call, kProbeCall),
    config_field("key", &ProbeConfig::key, TextKind{256, "a key's label"}),
    config_field("interval", &ProbeConfig::interval, DurationKind{milliseconds(100), hours(1)}),
    config_field("timeout", &ProbeConfig::timeout, DurationKind{milliseconds(100), hours(1)}),
    config_field("hung", &ProbeConfig::hung, DurationKind{milliseconds(100), hours(1)}),
};
using ProbeFields = decltype(kProbe);

inline constexpr auto kBalance = std::tuple{
    config_field("strategy", &BalanceConfig::strategy, kStrategy),
    config_field("mechanisms", &BalanceConfig::mechanisms, kMechanisms),
    config_field("removable", &BalanceConfig::removable, FlagKind{}),
    config_field("clones", &BalanceConfig::clones, FlagKind{}),
    config_field("attempt_timeout", &BalanceConfig::attempt_timeout, DurationKind{milliseconds(10), hours(1)}),
    config_field("max_attempts", &BalanceConfig::max_attempts, WholeNumberKind{1, 100}),
    config_field("replay_limit", &BalanceConfig::replay_limit, SizeKind{0, std::uint64_t{1} << 30}),
    config_field("breaker", &BalanceConfig::breaker, TableKind<BreakerFields>{kBreaker, "{ failures = 5 }"}),
    config_field("retry_budget", &BalanceConfig::retry_budget,
                 TableKind<RetryBudgetFields>{kRetryBudget, "{ percent = 20, per_second = 10 }"}),
    config_field("hedge", &BalanceConfig::hedge, kHedge),
    config_field("probe", &BalanceConfig::probe, TableKind<ProbeFields>{kProbe, "{ interval = \"2s\" }"}),
    config_field("replication", &BalanceConfig::replication, kReplication),
    config_field("wrapping_key", &BalanceConfig::wrapping_key, TextKind{255, "a key's label"}),
    config_field("replicate_nonextractable", &BalanceConfig::replicate_nonextractable, FlagKind{}),
    config_field("min_copies", &BalanceConfig::min_copies, WholeNumberKind{1, kMostMembers}),
    config_field("destroy", &BalanceConfig::destroy, kDestroy),
};

inline constexpr auto kPool = std::tuple{
    config_field("name", &PoolConfig::name, IdentifierKind{}).required(),
    config_field("label", &PoolConfig::label, TextKind{32, "a token's label"}),
    config_field("members", &PoolConfig::members, ListKind<IdentifierKind>{{}, "names of members"}).required(),
    config_field("slot", &PoolConfig::slot, WholeNumberKind{0, 0x7fff'ffff}),
    config_field("serial", &PoolConfig::serial, TextKind{16, "a token's serial number"}),
    config_field("manufacturer", &PoolConfig::manufacturer, TextKind{32, "a manufacturer"}),
    config_field("model", &PoolConfig::model, TextKind{16, "a model"}),
    config_field("looks_like", &PoolConfig::looks_like, IdentifierKind{}),
};

}  // namespace schema
}  // namespace p11shim
