// proxyd itself: builds all parts from a configuration, wires them, and runs until it is told to stop.
//
// SIGTERM and SIGINT drain: no new connections, calls under way are answered, then the workers finalise their modules.
// A second one stops at once. SIGHUP reads the configuration again, applies what can be applied and says what cannot.
#pragma once

#include <memory>
#include <string>

#include "proxyd/clients/listener.h"
#include "proxyd/control/control.h"
#include "proxyd/control/reports.h"

namespace p11shim {

// One member's state, in a pool of several by its health too.
MemberReport pool_member_report(const Pool& pool, Membership& membership);

class Daemon {
 public:
  // Throws std::runtime_error with words for the operator.
  Daemon(uv_loop_t& loop, spdlog::logger& log, Config config, const std::string& worker_path);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // Runs until it is stopped. `ready` is called once applications are served. Returns the exit status.
  int run(std::function<void(const Daemon&)> ready);
  [[nodiscard]] const std::vector<std::string>& endpoints() const { return listener_.endpoints(); }
  [[nodiscard]] const TokenCatalog& catalog() const { return catalog_; }

 private:
  void opened(const std::function<void(const Daemon&)>& ready);
  void load_own_pins();
  void load_own_pin(Member& member);
  void watch_signal(int number, std::function<void()> received);
  void run_loop();
  void turn_without_sleep();
  [[nodiscard]] bool may_look() const;
  void stop();
  void stop_now();
  void reload();
  void apply(const Config& config);
  void housekeeping();
  void keep_descriptors();
  ControlHandlers control_handlers();
  [[nodiscard]] StatusReport status() const;
  // pool_control.cpp
  [[nodiscard]] nlohmann::json pools_json();
  Pool* pool_named(const nlohmann::json& arguments, const ControlReply& reply);
  void diff_pool(const nlohmann::json& arguments, const ControlReply& reply);
  void change_member(const nlohmann::json& arguments, const ControlReply& reply);
  void add_member(const nlohmann::json& arguments, const ControlReply& reply);
  Membership* take_member(Pool& pool, const Config& described, const std::string& name);
  [[nodiscard]] bool may_go(const Membership& membership) const;
  void let_members_go();
  void follow_members(const Config& described);
  [[nodiscard]] std::string pool_of(const Member& member) const;
  void ping_member(const nlohmann::json& arguments, ControlReply reply);

  uv_loop_t& loop_;
  spdlog::logger& log_;
  Config config_;
  Runtime runtime_;
  StateDirectory state_;
  Registry registry_;
  AuditLog audit_;
  Deadlines deadlines_;
  Deadlines hedges_;
  Generations generations_;
  Applications applications_;
  TokenCatalog catalog_;
  Turns slices_;  // of long work of calls
  Services services_;
  LogQuota quota_;  // of what peers have logged
  Listener listener_;
  std::unique_ptr<Control> control_;
  Timer watchdog_;
  Timer housekeeping_;
  Timer pool_care_;  // runs while a pool of several members is configured
  Timer stop_timer_;
  HandlePtr<uv_check_t> after_turn_;  // hands the turn's audit records on
  HandlePtr<uv_prepare_t> before_sleep_;
  HandlePtr<uv_idle_t> no_sleep_;  // active: the loop does not wait in its next turn
  bool stays_awake_ = false;       // during this turn
  std::vector<HandlePtr<uv_signal_t>> signals_;
  std::vector<std::unique_ptr<std::function<void()>>> signal_actions_;
  bool stopping_ = false;
  bool ended_ = false;
  std::uint64_t started_ms_ = 0;
};

}  // namespace p11shim
