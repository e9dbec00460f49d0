// One lane: a thread with its own pipes that executes one call at a time, from the frame that arrived to the frame that
// answers it. Lanes share the module and the describer, nothing else.
#pragma once

#include <atomic>
#include <chrono>
#include <optional>

#include "calls/serve.h"
#include "proxyd/worker/areas.h"
#include "proxyd/worker/describe.h"
#include "proxyd/worker/locked_pages.h"
#include "proxyd/worker/module.h"
#include "wire/ring.h"
#include "wire/spin.h"

namespace p11shim {

// How lanes wait: one that is awake alone may look for its next request for a moment.
struct LaneWaiting {
  std::chrono::microseconds longest{0};
  std::atomic<int> awake{0};
  std::atomic<bool> is_over = false;  // proxyd is gone: what is left to read is the end of the pipe

  // For signal handlers, too.
  void leave(const Rings& rings) {
    is_over.store(true);
    for (std::size_t i = 0; i < rings.memory().size() / 2; ++i) rings.pair(i).requests.give_up();
  }
};

class Lane {
 public:
  // `rings`: what small messages may travel through instead of the pipes; of nothing: nothing.
  Lane(int in, int out, RingPair rings, Module& module, Describer& describer, Areas& areas, LaneWaiting& waiting)
      : in_(in),
        out_(out),
        rings_(rings),
        module_(module),
        describer_(describer),
        areas_(areas),
        waiting_(waiting),
        spin_(waiting.longest) {}
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  // Serves until proxyd closes its ends, or sends what no proxyd of this version would.
  void run();

 private:
  bool receive();
  bool look_for_request();
  bool send(const Reply& reply);
  bool refuse();
  bool send_frame();
  bool execute();  // false: the request is malformed and nothing was called
  [[nodiscard]] bool may_be_led() const;
  bool execute_function(const CallInfo& info);
  Served serve_one(std::uint32_t call, std::span<const std::uint8_t> body, Bulk* bulk);
  bool open_area(const Policy& policy);
  void load();
  void list_slots();
  void read_template();
  void find_all();
  bool search_in_one_step();
  void end_messages(Operation operation);
  void read_wanted(std::uint64_t session, std::span<const std::uint64_t> objects);
  std::span<const std::uint64_t> returned_objects() const { return {returned_.data(), returned_.size()}; }
  void describe_returned(CK_SESSION_HANDLE session, Describer::Which which);
  void mark_secrets();
  void lock_pin();
  void clear();

  const int in_;
  const int out_;
  RingPair rings_;
  Module& module_;
  Describer& describer_;
  Areas& areas_;
  LaneWaiting& waiting_;
  Spin spin_;
  Buffer frame_;  // the request as it arrived
  Buffer head_;   // of the reply
  Buffer body_;   // of the reply
  Buffer annex_;
  Buffer values_;  // that were wanted along
  Arena arena_;
  Arena along_;                              // for values that were wanted along: nothing secret, so it is not wiped
  std::optional<LockedPages> locked_frame_;  // while a call with a PIN runs
  std::shared_ptr<const Area> area_;         // of this call
  Bulk bulk_;
  Request request_;
  Reply reply_;
  std::vector<std::uint64_t> returned_;
};

}  // namespace p11shim
