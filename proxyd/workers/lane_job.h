// One message for a lane and what becomes of it: answered, or failed. A job is queued at a worker, runs on one lane, and
// is told exactly one of both, unless its owner withdraws it first. Where jobs wait, applications take turns.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "pkcs11/cryptoki.h"
#include "proxyd/loop/fair_line.h"
#include "wire/message.h"

namespace p11shim {

class LaneLink;
class Worker;

enum class JobFailure : std::uint8_t {
  worker_lost,  // the worker died while it may have been executing
  not_started,  // the worker died or stopped before a lane took it
  malformed,    // the lane could not read the message; nothing was called
};

class LaneJob : public FairLine::Item {
 public:
  virtual ~LaneJob() = default;

  // `reply`'s views are valid during this call only.
  virtual void on_reply(Reply& reply) = 0;
  virtual void on_failure(JobFailure failure) = 0;
  [[nodiscard]] virtual const void* application() const { return nullptr; }  // whose it is; null: proxyd's
  [[nodiscard]] virtual bool is_own() const { return false; }                // proxyd's own, without a deadline
  [[nodiscard]] virtual bool is_slow() const { return false; }               // it may take as long as making a key does

 protected:
  friend class LaneLink;
  friend class Worker;
  Buffer head_;                         // the encoded message without its body
  std::span<const std::uint8_t> body_;  // must stay valid until the job has ended or was withdrawn
  bool secret_ = true;                  // its reply is wiped after use
  std::uint64_t sent_ns_ = 0;
  LaneLink* lane_ = nullptr;  // where it runs
  Worker* worker_ = nullptr;  // where it is queued or runs
};

// A call that proxyd makes on its own account.
class OwnCall final : public LaneJob {
 public:
  // `reply` is null if the call failed on the way. The object deletes itself afterwards.
  using Done = std::function<void(Reply* reply)>;

  // `call` is a number of the call table or a LaneCall. What `body` holds is wiped with it if it was marked secret.
  static void start(Worker& worker, std::uint32_t call, std::span<const std::uint64_t> handles, Buffer body, Done done);

 private:
  OwnCall(bool is_slow, Buffer body, Done done)
      : slow_(is_slow), body_bytes_(std::move(body)), done_(std::move(done)) {}
  void on_reply(Reply& reply) override;
  void on_failure(JobFailure failure) override;
  [[nodiscard]] bool is_own() const override { return true; }
  [[nodiscard]] bool is_slow() const override { return slow_; }

  const bool slow_;
  Buffer body_bytes_;
  Done done_;
};

}  // namespace p11shim
