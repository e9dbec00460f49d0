// Where calls of one login domain run: a worker, the objects known in it, and its real sessions on one token.
#pragma once

#include "proxyd/objects/worker_objects.h"
#include "proxyd/workers/real_sessions.h"

namespace p11shim {

class Member;

struct Place {
  Place(Worker& in, WorkerObjects& known, const MemberOptions& options, const std::function<CK_SLOT_ID()>& slot)
      : worker(in), objects(known), read_only(in, false, options.sessions_ro, options.max_sessions, slot), read_write(in, true, options.sessions_rw, options.max_sessions, slot) {}

  RealSessions& sessions(bool want_read_write) { return want_read_write || only_read_write ? read_write : read_only; }
  void worker_lost() {
    read_only.forget_all();
    read_write.forget_all();
  }

  void trim(std::uint64_t now_ms) {
    read_only.trim(now_ms);
    read_write.trim(now_ms);
  }
  void token_changed() {
    read_only.token_changed();
    read_write.token_changed();
  }

  Member* member = nullptr;  // whose it is; set when that is complete
  Worker& worker;
  WorkerObjects& objects;
  RealSessions read_only;
  RealSessions read_write;
  bool only_read_write = false;  // an SO cannot log in, or stay, beside a session that is read-only
};

}  // namespace p11shim
