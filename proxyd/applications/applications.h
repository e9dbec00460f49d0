// All applications, and the rules by which they come and go: how a connection joins one, what a forked child inherits, and
// what is cleaned up when one leaves, loses its login, or a worker is lost under it.
#pragma once

#include <map>

#include "proxyd/applications/application.h"
#include "proxyd/tokens/token_catalog.h"

namespace p11shim {

class Applications {
 public:
  // Of those that linger without a connection too; of all, and of one user (0: half of all).
  Applications(Runtime& runtime, Registry& registry, std::uint32_t limit, std::uint32_t limit_per_user)
      : runtime_(runtime), registry_(registry), limit_(limit), limit_per_user_(limit_per_user) {}

  // Joins the application that `hello` names, or makes it. Null: `reason` says why not, `rv` what to answer.
  Application* join(const Hello& hello, const std::optional<Peer>& peer, bool& resumed, CK_RV& rv, std::string& reason);
  // One connection of it is gone; with the last one it ends and its sessions, logins and objects with it: at once if it left
  // for good or its process is gone, else unless it comes back within a moment.
  void leave(Application& application, bool for_good);

  // Told of each session before it ends.
  using SessionEnds = std::function<void(const Application&, const VirtualSession&)>;
  void set_session_ends(SessionEnds ends) { session_ends_ = std::move(ends); }

  // Ends one virtual session: holds, session objects, and the login with the token's last one. `pool` stays valid.
  void close_session(Application& application, VirtualSession& session);
  // Gives a hold's real session back, ending what is active in it.
  void release_hold(VirtualSession& session, Hold& hold);
  void log_out(Application& application, Pool& pool, std::function<void()> done);
  // The application is no longer logged in; the domain knows already.
  void forget_login(Application& application, Pool& pool);
  // The login ended while a call was under way in this session: private objects that it made go too.
  void login_ended_meanwhile(Application& application, VirtualSession& session);
  void register_object(Application& application, VirtualSession& session, std::uint64_t handle,
                       std::shared_ptr<SessionObject> object);
  // Lets go of a session object; the last one to do so destroys it in the module.
  void drop_object(Application& application, std::uint64_t handle, bool destroy_in_module);

  // Nobody has it any more. `destroy`: it may exist in the module still.
  static void end_object(SessionObject& object, bool destroy);

  void worker_lost(Place& place);
  void login_lost(Member& member, CK_USER_TYPE user);
  // Takes a real session from the virtual session that has pinned it for this reason (doubt or search) the longest. A search
  // goes on from what proxyd knows. False: nobody.
  bool reclaim(RealSessions& sessions, Bound pin);
  // An operation or a session object of some application is on this member.
  [[nodiscard]] bool needs(Member& member) const;
  // Applications that have a session on this token.
  [[nodiscard]] bool in_use(const Pool& pool) const;

  [[nodiscard]] const std::map<Id128, std::unique_ptr<Application>>& all() const { return applications_; }
  void set_limits(std::uint32_t limit, std::uint32_t limit_per_user) {
    limit_ = limit;
    limit_per_user_ = limit_per_user;
  }

 private:
  void pool_login_lost(Pool& pool, Member& member);
  bool make_room(const std::optional<Peer>& peer, std::string& reason);
  bool end_longest_gone(uid_t user);
  Application* make(const Hello& hello, const std::optional<Peer>& peer);
  void end(Application& application);
  static void adopt(Application& application, std::uint64_t handle, std::shared_ptr<SessionObject> object);
  void inherit(Application& child, const Application& parent);
  static void end_search(RealSession& session);
  static void destroy_in_module(const SessionObject& object);

  Runtime& runtime_;
  Registry& registry_;
  std::uint32_t limit_;
  std::uint32_t limit_per_user_;
  std::uint64_t losses_ = 0;
  std::map<uid_t, std::uint32_t> of_user_;  // applications; those over TCP are of one user
  SessionEnds session_ends_;
  std::map<Id128, std::unique_ptr<Application>> applications_;
};

}  // namespace p11shim
