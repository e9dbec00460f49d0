#include "proxyd/audit/audit_log.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "proxyd/audit/audit_line.h"

namespace p11shim {

nlohmann::json to_json(const AuditHealth& health) {
  return {{"ok", health.ok()},   {"written", health.written},   {"incomplete", health.incomplete},
          {"lost", health.lost}, {"failures", health.failures}, {"last_error", health.last_error}};
}

void AuditLog::Batch::append(const Batch& other) {
  lines += other.lines;
  records += other.records;
  told_losses += other.told_losses;
}

void AuditLog::Batch::clear() {
  lines.clear();  // keeps its memory: the next turn needs as much
  records = 0;
  told_losses = 0;
}

AuditLog::AuditLog(AuditClasses classes, std::vector<std::unique_ptr<AuditSink>> sinks, Report report,
                   std::size_t buffer_limit)
    : classes_(classes), no_sinks_(sinks.empty()), buffer_limit_(buffer_limit), report_(std::move(report)) {
  for (auto& sink : sinks) outlets_.push_back({std::move(sink)});
  if (!no_sinks_) writer_ = std::thread([this] { run(); });
}

AuditLog::~AuditLog() {
  if (no_sinks_) return;
  flush();
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  writer_.join();
}

void AuditLog::write(const AuditRecord& record) {
  if (!wants(record.audit_class)) return;
  if (buffer_.lines.size() >= buffer_limit_) {
    ++untold_losses_;
    const std::lock_guard lock(mutex_);
    ++health_.lost;
    return;
  }
  if (untold_losses_ != 0) {
    append_loss_line(buffer_.lines, record.time, untold_losses_);
    buffer_.told_losses += std::exchange(untold_losses_, 0);
  }
  append_audit_line(buffer_.lines, record);
  ++buffer_.records;
}

void AuditLog::flush() {
  if (buffer_.lines.empty()) return;
  bool failing = false;
  std::string error;
  {
    const std::lock_guard lock(mutex_);
    if (handed_.lines.empty()) {
      std::swap(handed_, buffer_);
    } else if (handed_.lines.size() + buffer_.lines.size() <= buffer_limit_) {
      handed_.append(buffer_);
    } else {
      untold_losses_ += buffer_.records + buffer_.told_losses;
      health_.lost += buffer_.records;
    }
    failing = !health_.ok();
    if (failing) error = health_.last_error;
  }
  wake_.notify_one();
  buffer_.clear();
  if (failing == std::exchange(reported_failure_, failing)) return;
  report_(failing ? "the audit log cannot be written: " + error : "the audit log is being written again", !failing);
}

void AuditLog::reopen() {
  {
    const std::lock_guard lock(mutex_);
    reopen_ = true;
  }
  wake_.notify_one();
}

AuditHealth AuditLog::health() const {
  const std::lock_guard lock(mutex_);
  return health_;
}

void AuditLog::run() {
  Batch batch;
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stop_ || reopen_ || !handed_.lines.empty(); });
    if (handed_.lines.empty() && !reopen_) return;
    std::swap(batch, handed_);
    const bool reopen = std::exchange(reopen_, false);

    lock.unlock();
    if (reopen) {
      for (const Outlet& each : outlets_) each.sink->reopen();
    }
    if (!batch.lines.empty()) write_out(batch);
    batch.clear();
    lock.lock();
  }
}

void AuditLog::write_out(const Batch& batch) {
  bool stored = false, refused = false;
  std::string error;
  for (Outlet& to : outlets_) {
    bool lost = false;
    try {
      std::string lines;
      if (to.untold != 0) append_loss_line(lines, std::chrono::system_clock::now(), to.untold);
      to.sink->write(lines.empty() ? batch.lines : lines += batch.lines);
    } catch (const AuditSinkError& failure) {
      lost = failure.lost;
      error = failure.what();
    }
    to.untold = lost ? to.untold + batch.records + batch.told_losses : 0;
    (lost ? refused : stored) = true;
  }
  const std::lock_guard lock(mutex_);
  (stored ? health_.written : health_.lost) += batch.records;
  if (stored && refused) health_.incomplete += batch.records;
  if (!error.empty()) ++health_.failures;
  health_.last_error = std::move(error);
}

}  // namespace p11shim
