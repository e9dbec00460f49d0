#include "proxyd/daemon/daemon.h"
#include "wire/spin.h"

#include <spdlog/spdlog.h>

#include <csignal>

#include "proxyd/audit/file_sink.h"
#include "proxyd/audit/journal_sink.h"
#include "proxyd/calls/auditing.h"
#include "proxyd/config/check.h"
#include "proxyd/config/load.h"
#include "proxyd/config/reload.h"
#include "proxyd/control/listening_socket.h"
#include "proxyd/daemon/logging.h"
#include "proxyd/daemon/own_pin.h"
#include "proxyd/daemon/systemd.h"
#include "proxyd/loop/courtesy.h"

namespace p11shim {
namespace {

constexpr std::chrono::milliseconds kHousekeeping{1000};
constexpr std::chrono::milliseconds kPoolCare{100};
constexpr std::chrono::milliseconds kHedgeTick{1};
constexpr unsigned kLooksPerTurn = 32;
constexpr unsigned kTakesPerTurn = 16;                   // of messages from rings, before the streams have their turn
constexpr std::chrono::milliseconds kDrainTime{60'000};  // systemd's own limit is longer

AuditClasses audit_classes(const AuditConfig& config) { return AuditClasses(std::span(config.classes)); }

std::vector<std::unique_ptr<AuditSink>> audit_sinks(const AuditConfig& config) {
  std::vector<std::unique_ptr<AuditSink>> sinks;
  if (!config.enabled) return sinks;
  if (!config.file.empty())
    sinks.push_back(
        std::make_unique<FileSink>(FileSinkOptions{config.file, config.mode, config.max_size, config.keep}));
  if (config.journal) sinks.push_back(std::make_unique<JournalSink>());
  return sinks;
}

}  // namespace

Daemon::Daemon(uv_loop_t& loop, spdlog::logger& log, Config config, const std::string& worker_path)
    : loop_(loop),
      log_(log),
      config_(std::move(config)),
      runtime_{loop, log, worker_path},
      state_(config_.state.directory,
             [&log](const std::string& problem) {
               log.error("object handles may change at the next start: {}", problem);
             }),
      audit_(audit_classes(config_.audit), audit_sinks(config_.audit),
             [&log](const std::string& message, bool ok) {
               ok ? log.info("audit: {}", message) : log.error("audit: {}", message);
             }),
      deadlines_(loop),
      hedges_(loop, kHedgeTick),
      applications_(runtime_, registry_, config_.limits.max_applications, config_.limits.max_applications_per_user),
      catalog_(
          runtime_, config_, state_,
          [this](Member&, Place& place) { applications_.worker_lost(place), generations_.all_moved(); },
          [this](Member& member, CK_USER_TYPE user) {
            applications_.login_lost(member, user), generations_.all_moved();
          },
          [this](RealSessions& sessions, Bound pin) { return applications_.reclaim(sessions, pin); }),
      slices_(loop, 1),
      services_{runtime_,   catalog_, applications_, registry_, audit_,
                deadlines_, hedges_,  generations_,  slices_,   config_.limits},
      quota_(log),
      listener_(services_, config_, quota_),
      watchdog_(loop, [] { notify_watchdog(); }),
      housekeeping_(loop, [this] { housekeeping(); }),
      pool_care_(loop,
                 [this] {
                   for (const auto& pool : catalog_.pools()) pool->tend(runtime_.now_ms());
                   let_members_go();
                 }),
      stop_timer_(loop, [this] { stop_now(); }),
      after_turn_(new uv_check_t),
      before_sleep_(new uv_prepare_t),
      no_sleep_(new uv_idle_t),
      started_ms_(uv_now(&loop)) {
  if (has_two_processors()) runtime_.spin_us = config_.limits.spin;
  runtime_.courteous = config_.limits.courteous;
  runtime_.lane_rings = config_.limits.rings;
  runtime_.state_lock = state_.lock();
  uv_check_init(&loop, after_turn_.get());
  uv_prepare_init(&loop, before_sleep_.get());
  uv_idle_init(&loop, no_sleep_.get());
  after_turn_->data = before_sleep_->data = this;
  applications_.set_session_ends([this](const Application& application, const VirtualSession& session) {
    write_unfinished(audit_, application, session);
  });
  load_own_pins();
}

Daemon::~Daemon() = default;

int Daemon::run(std::function<void(const Daemon&)> ready) {
  watch_signal(SIGTERM, [this] { stopping_ ? stop_now() : stop(); });
  watch_signal(SIGINT, [this] { stopping_ ? stop_now() : stop(); });
  watch_signal(SIGHUP, [this] { reload(); });
  uv_check_start(after_turn_.get(), [](uv_check_t* check) {
    if (check->data != nullptr) static_cast<Daemon*>(check->data)->audit_.flush();
  });
  uv_prepare_start(before_sleep_.get(), [](uv_prepare_t* prepare) {
    auto* daemon = static_cast<Daemon*>(prepare->data);
    if (daemon == nullptr || daemon->stays_awake_) return;
    daemon->audit_.flush();  // of messages that were taken since the turn
    if (daemon->runtime_.rings.sleep()) return;
    uv_idle_start(daemon->no_sleep_.get(), [](uv_idle_t*) {});
  });
  uv_unref(reinterpret_cast<uv_handle_t*>(after_turn_.get()));
  uv_unref(reinterpret_cast<uv_handle_t*>(before_sleep_.get()));
  uv_unref(reinterpret_cast<uv_handle_t*>(no_sleep_.get()));
  std::string failure;
  catalog_.start([this, ready = std::move(ready), &failure] {
    try {
      opened(ready);
    } catch (const std::exception& error) {
      failure = error.what();
      stop_now();
    }
  });
  run_loop();
  if (!failure.empty()) throw std::runtime_error(failure);
  return 0;
}

// Between two calls of somebody who calls all the time, and while such a call runs, it may be worth not to sleep. With several calls
// at a time there is always something to do, and the processors belong to those who do it.
void Daemon::run_loop() {
  Courtesy courtesy;
  if (runtime_.courteous) courtesy.begin();
  const std::chrono::microseconds longest(runtime_.spin_us);
  Spin between_calls(longest), in_a_call(longest);
  unsigned looks = 0;
  const auto something_comes = [&] {
    if (runtime_.rings.has_message())
      return true;  // it is taken when the look is over, which is to last no longer than looking does
    // The streams need the kernel; they are looked at less often while there is something that does not.
    if (!runtime_.rings.is_empty() && ++looks % kLooksPerTurn != 0) return false;
    const std::uint64_t before = runtime_.events;
    turn_without_sleep();
    return ended_ || runtime_.events != before;
  };
  const auto look = [&](Spin& spin) {
    looks = 0;
    return spin.look(something_comes);
  };
  while (!ended_ && uv_run(&loop_, UV_RUN_ONCE) != 0) {
    uv_idle_stop(no_sleep_.get());
    runtime_.rings.wake();
    courtesy.look(runtime_.now_ms());
    for (unsigned taken = 1;
         !ended_ && (runtime_.rings.take() || (may_look() && look(runtime_.calls == 0 ? between_calls : in_a_call)));
         ++taken)
      if (taken % kTakesPerTurn == 0) turn_without_sleep();
  }
}

void Daemon::turn_without_sleep() {
  stays_awake_ = true;
  uv_run(&loop_, UV_RUN_NOWAIT);
  stays_awake_ = false;
}

// Not for one who could not run meanwhile, since it is on this core.
bool Daemon::may_look() const {
  if (runtime_.spin_us == 0 || runtime_.calls > 1) return false;
  return !share_core(this_core(), runtime_.calls == 0 ? runtime_.rings.client_core : runtime_.rings.lane_core);
}

void Daemon::opened(const std::function<void(const Daemon&)>& ready) {
  if (stopping_) return;
  catalog_.set_pool_added([this](Pool& pool) {
    pool.statistics = registry_.member(pool.config.name, pool.member.name());
    for (const auto& each : pool.members) each->statistics = registry_.member(pool.config.name, each->member.name());
  });
  for (const auto& pool : catalog_.pools())
    if (pool->balanced()) pool_care_.start(kPoolCare, kPoolCare);
  keep_descriptors();
  listener_.listen(passed_sockets());
  if (!config_.control.unix_path.empty())
    control_ = std::make_unique<Control>(
        loop_, quota_, ControlOptions{config_.control.unix_path, config_.control.mode, group_id(config_.control.group)},
        control_handlers());
  housekeeping_.start(kHousekeeping, kHousekeeping);
  if (const auto interval = watchdog_interval()) watchdog_.start(*interval, *interval);
  for (const std::string& endpoint : listener_.endpoints()) log_.info("applications connect to {}", endpoint);
  notify_ready("serving");
  if (ready) ready(*this);
}

// Those that proxyd logs in with by itself.
void Daemon::load_own_pins() {
  for (const auto& member : catalog_.members()) load_own_pin(*member);
}

void Daemon::load_own_pin(Member& member) {
  if (member.config().login != LoginMode::daemon) return;
  Buffer pin = read_own_pin(member.config());
  if (!member.user().own_pin().keep(pin.bytes(), runtime_.now_ms()))
    throw std::runtime_error("no memory can be locked for the PIN of member " + member.name() +
                             "; raise the limit (LimitMEMLOCK)");
}

void Daemon::watch_signal(int number, std::function<void()> received) {
  signal_actions_.push_back(std::make_unique<std::function<void()>>(std::move(received)));
  HandlePtr<uv_signal_t> handle(new uv_signal_t);
  uv_signal_init(&loop_, handle.get());
  handle->data = signal_actions_.back().get();
  uv_signal_start(
      handle.get(),
      [](uv_signal_t* signal, int) {
        if (signal->data != nullptr) (*static_cast<std::function<void()>*>(signal->data))();
      },
      number);
  signals_.push_back(std::move(handle));
}

void Daemon::stop() {
  stopping_ = true;
  notify_stopping();
  log_.info("stopping: {} connections, calls under way are answered", listener_.connections());
  stop_timer_.start(kDrainTime);
  listener_.drain([this] { stop_now(); });
}

void Daemon::stop_now() {
  stopping_ = true;
  catalog_.stop();
  control_.reset();
  ended_ = true;
  uv_stop(&loop_);
}

void Daemon::reload() {
  notify_reloading();
  audit_.reopen();
  reopen_log(log_);
  auto read = load_config_file(config_.file);
  log_problems(log_, read.problems);
  if (read) {
    log_problems(log_, resolve_accounts(*read));
    ReloadPlan plan = compare(config_, *read);
    for (const std::string& line : plan.live) log_.info("reload: {}", line);
    for (const std::string& line : plan.restart) log_.warn("reload: {}", line);
    if (plan.is_empty()) log_.info("reload: nothing has changed");
    apply(plan.config);
    follow_members(*read);
  } else {
    log_.error("reload: the configuration stays as it was");
  }
  notify_ready("serving");
}

void Daemon::apply(const Config& config) {
  config_ = config;
  services_.limits = config.limits;
  generations_.all_moved();
  applications_.set_limits(config.limits.max_applications, config.limits.max_applications_per_user);
  audit_.set_classes(audit_classes(config.audit));
  log_.set_level(spdlog_level(config.log.level));
  catalog_.apply_access(config);
}

// Whatever applications take, a worker that dies can be started again. A worker's lanes are two pipes each; while it is started their
// other ends are here, too.
void Daemon::keep_descriptors() {
  constexpr std::size_t kFiles = 64;     // state, audit, control, modules being checked
  constexpr std::size_t kDomains = 4;    // and one more that is being started
  constexpr std::size_t kPerWorker = 8;  // socket for areas, bell, memory, and what uv_spawn takes for a moment
  std::size_t most = kFiles;
  for (const auto& member : catalog_.members()) {
    const MemberOptions& options = member->config().options;
    most += (kDomains + 1) * (2 * (options.lanes + options.max_stuck_lanes) + kPerWorker);
  }
  runtime_.descriptors.keep(most);
}

// Once a second: workers that hang are killed, those that nobody has used for long leave.
void Daemon::housekeeping() {
  const std::uint64_t now = runtime_.now_ms();
  keep_descriptors();  // members come and go
  listener_.trim_idle(now);
  quota_.tell(now);
  for (const auto& pool : catalog_.pools()) pool->tell_problems();
  for (const auto& member : catalog_.members()) {
    for (Place* place : member->places()) place->trim(now);
    member->backend().worker().lose_if_hung(config_.limits.deadline, config_.limits.keygen_deadline);
    for (LoginDomain* domain : {&member->user(), &member->so()}) {
      domain->lose_hung_workers(config_.limits.deadline, config_.limits.keygen_deadline);
      domain->leave_if_idle(now);
    }
  }
}

}  // namespace p11shim
