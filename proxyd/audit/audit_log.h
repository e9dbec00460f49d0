// The audit log: encodes one line per logical operation and hands the lines of a loop turn to its sinks.
//
// write() only appends to a buffer; flush(), called once per loop turn, passes the buffer to the writer
// thread, so that neither a full disk nor a stuck journal slows the loop. The order of lines is the order of
// write() calls. Lines that find no room (the buffer's limit waiting for a stuck sink), and lines that a sink
// refused, are lost and counted; the log then says so itself, by a loss line before the next record that
// fits: in every sink, or in the one that refused.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "proxyd/audit/audit_record.h"
#include "proxyd/audit/audit_sink.h"

namespace p11shim {

// The classes that are switched on.
class AuditClasses {
 public:
  AuditClasses(std::initializer_list<AuditClass> classes) : AuditClasses(std::span(classes)) {}
  explicit AuditClasses(std::span<const AuditClass> classes) {
    for (const auto audit_class : classes) bits_ |= bit(audit_class);
  }
  // Never AuditClass::none.
  bool contains(AuditClass audit_class) const noexcept { return (bits_ & bit(audit_class)) != 0; }

 private:
  static constexpr unsigned bit(AuditClass audit_class) {
    return audit_class == AuditClass::none ? 0 : 1u << static_cast<unsigned>(audit_class);
  }
  unsigned bits_ = 0;
};

// For `status` and the metrics.
struct AuditHealth {
  std::uint64_t written = 0;     // records that some sink took, or all
  std::uint64_t incomplete = 0;  // those among them that another sink did not get
  std::uint64_t lost = 0;        // records that no sink has
  std::uint64_t failures = 0;    // batches that some sink failed to store or rotate
  std::string last_error;        // of the latest batch; empty if every sink stored it

  bool ok() const noexcept { return last_error.empty(); }
};
nlohmann::json to_json(const AuditHealth& health);

class AuditLog {
 public:
  static constexpr std::size_t kBufferLimit = 8 << 20;

  // Called in flush(), on the caller's thread, when writing begins to fail and when it works again.
  using Report = std::function<void(const std::string& message, bool ok)>;

  AuditLog(AuditClasses classes, std::vector<std::unique_ptr<AuditSink>> sinks, Report report,
           std::size_t buffer_limit = kBufferLimit);
  ~AuditLog();  // writes what is buffered, then stops the thread
  AuditLog(const AuditLog&) = delete;
  AuditLog& operator=(const AuditLog&) = delete;

  // False: write() would ignore such a record, so do not bother to fill one.
  bool wants(AuditClass audit_class) const noexcept { return !no_sinks_ && classes_.contains(audit_class); }
  void write(const AuditRecord& record);
  void flush();

  void set_classes(AuditClasses classes) noexcept { classes_ = classes; }
  void reopen();  // SIGHUP
  AuditHealth health() const;

 private:
  // Lines on their way. A loss line tells of records that earlier batches lost; should it get lost too, they
  // are told of again.
  struct Batch {
    std::string lines;
    std::uint64_t records = 0;
    std::uint64_t told_losses = 0;

    void append(const Batch& other);
    void clear();
  };

  struct Outlet {
    std::unique_ptr<AuditSink> sink;
    std::uint64_t untold = 0;  // records that it refused, and has not told of
  };

  void run();
  void write_out(const Batch& batch);

  // Of the caller's thread.
  AuditClasses classes_;
  const bool no_sinks_;
  const std::size_t buffer_limit_;
  Report report_;
  Batch buffer_;
  std::uint64_t untold_losses_ = 0;
  bool reported_failure_ = false;

  // Of the writer thread.
  std::vector<Outlet> outlets_;

  // Guarded by mutex_.
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  Batch handed_;
  bool reopen_ = false;
  bool stop_ = false;
  AuditHealth health_;

  std::thread writer_;  // last: it starts when all the rest exists
};

}  // namespace p11shim
