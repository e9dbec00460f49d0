// Where calls of one login domain run: a worker, the objects known in it, and its real sessions on one token.
#pragma once

#include "proxyd/objects/worker_objects.h"
#include "proxyd/workers/real_sessions.h"

namespace p11shim {

class Member;

struct Place {
  Place(Worker& in, WorkerObjects& known, const MemberOptions& options, const std::function<CK_SLOT_ID()>& slot)
      : worker(in),
        objects(known),
        read_only(in, false, options.sessions_ro, options.max_sessions, slot),
        read_write(in, true, options.sessions_rw, options.max_sessions, slot) {
    read_only.set_emptied([this] { emptied(); });
    read_write.set_emptied([this] { emptied(); });
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

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

  // With the last session SoftHSM forgets the handles of token objects: they are looked up anew.
  void emptied() {
    if (!has_service_session && read_only.open_count() + read_write.open_count() == 0) objects.forget_token_objects();
  }

  Member* member = nullptr;  // whose it is; set when that is complete
  Worker& worker;
  WorkerObjects& objects;
  RealSessions read_only;
  RealSessions read_write;
  bool has_service_session = false;  // one is open beside those that are lent
  bool only_read_write = false;      // an SO cannot log in, or stay, beside a session that is read-only
};

}  // namespace p11shim
