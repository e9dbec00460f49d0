#include "proxyd/applications/applications.h"

#include <openssl/crypto.h>
#include <spdlog/spdlog.h>
#include <sys/random.h>

#include <algorithm>

#include "calls/table.h"
#include "proxyd/tokens/pool_pins.h"

namespace p11shim {
namespace {

constexpr auto kDestroyObject = number_of<&CK_FUNCTION_LIST_3_0::C_DestroyObject>();
constexpr auto kFindObjectsFinal = number_of<&CK_FUNCTION_LIST_3_0::C_FindObjectsFinal>();
constexpr auto kSessionCancel = number_of<&CK_FUNCTION_LIST_3_0::C_SessionCancel>();

bool same(const Id128& a, const Id128& b) { return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0; }
bool is_zero(const Id128& id) { return same(id, Id128{}); }

constexpr uid_t kNobody = static_cast<uid_t>(-1);

uid_t user_of(const std::optional<Peer>& peer) { return peer ? peer->uid : kNobody; }

bool same_user(const std::optional<Peer>& a, const std::optional<Peer>& b) {
  if (!a || !b) return !a && !b;
  return a->uid == b->uid && a->gid == b->gid;
}

std::string client_name(const std::optional<Peer>& peer, std::string_view program) {
  return (peer ? "uid " + std::to_string(peer->uid) : std::string("anonymous")) + " " + std::string(program);
}

}  // namespace

bool Application::selected_by(const AccessList& list) const {
  if (!peer) return list.allows(std::nullopt, {});
  return list.allows(peer->uid, peer->groups) || list.allows(peer->uid, {&peer->gid, 1});
}

Place& Application::place(Pool& pool) {
  switch (token(pool).login) {
    case LoginState::user: return pool.member.user().place();
    case LoginState::so: return pool.member.so().place();
    case LoginState::none: break;
  }
  return pool.member.public_place();
}

Application* Applications::join(const Hello& hello, const std::optional<Peer>& peer, bool& resumed, CK_RV& rv,
                                std::string& reason) {
  rv = CKR_DEVICE_ERROR;
  if (is_zero(hello.instance)) return reason = "the hello names no application", nullptr;
  if (const auto found = applications_.find(hello.instance); found != applications_.end()) {
    Application& known = *found->second;
    // The instance id alone proves nothing.
    if (!same(known.secret, hello.secret) || !same_user(known.peer, peer))
      return reason = "this application belongs to somebody else", nullptr;
    resumed = true;
    known.linger.reset();
    return &known;
  }
  if (!make_room(peer, reason)) return nullptr;
  const auto parent = is_zero(hello.parent) ? applications_.end() : applications_.find(hello.parent);
  Application* application = make(hello, peer);
  if (application == nullptr) return reason = "no random bytes to be had", nullptr;
  // Descent is proved by what only the parent's memory held. The child's own identity decides what it may do.
  if (parent != applications_.end() && same(parent->second->secret, hello.secret)) {
    inherit(*application, *parent->second);
    resumed = true;
  }
  return application;
}

// Whoever has too many loses first those that have no connection any more.
bool Applications::make_room(const std::optional<Peer>& peer, std::string& reason) {
  const uid_t user = user_of(peer);
  const std::uint32_t most = limit_per_user_ != 0 ? limit_per_user_ : std::max(limit_ / 2, std::uint32_t{1});
  const auto own = [&] {
    const auto found = of_user_.find(user);
    return found == of_user_.end() ? 0 : found->second;
  };
  if ((own() >= most || applications_.size() >= limit_) && end_longest_gone(user))
    runtime_.log.warn("uid {} has as many applications as it may: one that has no connection is ended",
                      peer ? static_cast<long>(peer->uid) : -1L);
  if (own() >= most)
    return reason =
               "this user has " + std::to_string(own()) + " applications, as many as max_applications_per_user allows",
           false;
  if (applications_.size() >= limit_)
    return reason = "there are " + std::to_string(applications_.size()) +
                    " applications, as many as max_applications allows",
           false;
  return true;
}

bool Applications::end_longest_gone(uid_t user) {
  Application* first = nullptr;
  for (const auto& [id, application] : applications_)
    if (application->linger != nullptr && user_of(application->peer) == user &&
        (first == nullptr || application->left < first->left))
      first = application.get();
  if (first == nullptr) return false;
  end(*first);
  return true;
}

Application* Applications::make(const Hello& hello, const std::optional<Peer>& peer) {
  Id128 secret;
  if (::getrandom(secret.data(), secret.size(), 0) != static_cast<ssize_t>(secret.size())) return nullptr;
  auto application = std::make_unique<Application>(hello.instance, secret, peer, std::string(hello.program));
  application->client = registry_.client(client_name(peer, hello.program));
  application->connected_ms = application->last_call_ms = runtime_.now_ms();
  ++of_user_[user_of(peer)];
  return (applications_[hello.instance] = std::move(application)).get();
}

// Sessions with the same handles, logins and session objects; active operations stay the parent's.
void Applications::inherit(Application& child, const Application& parent) {
  for (const auto& [handle, session] : parent.sessions) {
    if (!child.selected_by(session->pool.config.access.allow)) continue;
    auto copy = std::make_unique<VirtualSession>(handle, session->pool, session->read_write);
    copy->objects = session->objects;
    for (const std::uint64_t object : session->objects)
      if (const auto found = parent.session_objects.find(object); found != parent.session_objects.end())
        adopt(child, object, found->second);
    ++session->pool.sessions;
    child.sessions.emplace(handle, std::move(copy));
  }
  child.tokens = parent.tokens;
  for (auto& [pool, state] : child.tokens) {
    // Its own identity decides what the child may do (a server may have dropped its privileges).
    const PoolAccess& access = pool->config.access;
    if (!child.selected_by(access.allow)) state = {};
    if (state.login == LoginState::so && !(child.peer && child.selected_by(access.admin)))
      state.login = LoginState::none;
    Member& member = const_cast<Pool*>(pool)->member;
    if (pool->balanced()) {
      if (state.login == LoginState::user) const_cast<Pool*>(pool)->login.share();
      if (state.login == LoginState::so)
        for (const auto& each : pool->members) each->member.so().share_login();
      continue;
    }
    if (state.login == LoginState::user) member.user().share_login();
    if (state.login == LoginState::so) member.so().share_login();
  }
  child.next_session = parent.next_session;
  child.next_session_object = parent.next_session_object;
}

void Applications::leave(Application& application, bool for_good) {
  application.ends_for_good |= for_good;
  if (--application.connections != 0) return;
  if (!application.ends_for_good && application.peer && application.has_state()) {
    application.linger = Linger::start(runtime_, application.peer->pid, [this, &application] { end(application); });
    application.left = ++losses_;
    if (application.linger != nullptr) return;
  }
  end(application);
}

void Applications::end(Application& application) {
  while (!application.sessions.empty()) close_session(application, *application.sessions.begin()->second);
  if (const auto own = of_user_.find(user_of(application.peer)); own != of_user_.end() && --own->second == 0)
    of_user_.erase(own);
  applications_.erase(application.instance);
}

void Applications::close_session(Application& application, VirtualSession& session) {
  if (session_ends_) session_ends_(application, session);
  Pool& pool = session.pool;
  while (!session.holds.empty()) {
    Hold hold = session.holds.back();
    session.holds.pop_back();
    release_hold(session, hold);
  }
  const std::vector<std::uint64_t> objects(session.objects.begin(), session.objects.end());
  for (const std::uint64_t handle : objects) drop_object(application, handle, true);
  TokenState& state = application.token(pool);
  --state.sessions;
  if (session.read_write) --state.read_write_sessions;
  --pool.sessions;
  const std::unique_ptr<WaitList> turn = std::move(session.turn);
  application.sessions.erase(session.handle);
  if (turn != nullptr) turn->resume_all();  // they learn that it is gone
  if (state.sessions == 0 && state.login != LoginState::none) log_out(application, pool, [] {});
}

void Applications::release_hold(VirtualSession&, Hold& hold) {
  RealSession* real = hold.session;
  if (hold.active == Operation::none && hold.in_doubt == Operation::none) return real->pool->give_back(*real);
  // 3.0 modules can end an operation; older ones only with the session.
  Worker& worker = hold.place->worker;
  if (worker.module().has_3_0 && hold.in_doubt == Operation::none) {
    Buffer body;
    Out(body).uint(CKF_ENCRYPT | CKF_DECRYPT | CKF_DIGEST | CKF_SIGN | CKF_SIGN_RECOVER | CKF_VERIFY |
                   CKF_VERIFY_RECOVER | CKF_MESSAGE_ENCRYPT | CKF_MESSAGE_DECRYPT | CKF_MESSAGE_SIGN |
                   CKF_MESSAGE_VERIFY | CKF_FIND_OBJECTS);
    const std::uint64_t handle = real->handle;
    OwnCall::start(worker, kSessionCancel, {&handle, 1}, std::move(body), [real](Reply* reply) {
      if (reply == nullptr) return;  // the worker is gone, and the session with it
      real->tainted = reply->rv != CKR_OK;
      real->pool->give_back(*real);
    });
    return;
  }
  real->tainted = true;
  real->pool->give_back(*real);
}

void Applications::log_out(Application& application, Pool& pool, std::function<void()> done) {
  const LoginState login = application.token(pool).login;
  if (login == LoginState::none) return done();
  forget_login(application, pool);
  if (pool.balanced() && login == LoginState::so) return log_out_so(pool, std::move(done));
  if (pool.balanced()) return pool.login.leave(std::move(done));
  LoginDomain& domain = login == LoginState::user ? pool.member.user() : pool.member.so();
  domain.log_out(std::move(done));
}

void Applications::forget_login(Application& application, Pool& pool) {
  TokenState& state = application.token(pool);
  state.login = LoginState::none;
  state.private_handles.clear();
  ++state.logins_ended;
  std::vector<std::uint64_t> private_objects;
  for (const auto& [handle, object] : application.session_objects)
    if (object->is_private && object->pool == &pool) private_objects.push_back(handle);
  for (const std::uint64_t handle : private_objects) drop_object(application, handle, true);
}

void Applications::login_ended_meanwhile(Application& application, VirtualSession& session) {
  std::vector<std::uint64_t> private_objects;
  for (const std::uint64_t handle : session.objects)
    if (const auto found = application.session_objects.find(handle);
        found != application.session_objects.end() && found->second->is_private)
      private_objects.push_back(handle);
  for (const std::uint64_t handle : private_objects) drop_object(application, handle, true);
}

void Applications::register_object(Application& application, VirtualSession& session, std::uint64_t handle,
                                   std::shared_ptr<SessionObject> object) {
  object->handle = handle;
  object->session = session.handle;
  session.objects.insert(handle);
  adopt(application, handle, std::move(object));
}

void Applications::adopt(Application& application, std::uint64_t handle, std::shared_ptr<SessionObject> object) {
  if (object->place != nullptr) ++application.session_objects_in[object->place];
  application.session_objects[handle] = std::move(object);
}

void Applications::drop_object(Application& application, std::uint64_t handle, bool destroy) {
  const auto found = application.session_objects.find(handle);
  if (found == application.session_objects.end()) return;
  const std::shared_ptr<SessionObject> object = std::move(found->second);
  application.session_objects.erase(found);
  if (VirtualSession* session = application.session(object->session)) session->objects.erase(handle);
  if (const auto in = application.session_objects_in.find(object->place);
      in != application.session_objects_in.end() && --in->second == 0)
    application.session_objects_in.erase(in);
  if (object->place == nullptr) return;  // gone already
  // A forked relative may have it still; if the application has destroyed it, it is gone for all of them.
  if (destroy && object.use_count() != 1) return;
  end_object(*object, destroy);
}

void Applications::end_object(SessionObject& object, bool destroy) {
  object.place->remove_session_object(object.real);
  if (destroy) destroy_in_module(object);
  object.place = nullptr;
  if (RealSession* creator = std::exchange(object.creator, nullptr)) creator->pool->object_gone(*creator);
}

// In the real session that made it: any session of the worker may destroy it, and that one exists for certain.
void Applications::destroy_in_module(const SessionObject& object) {
  if (object.creator == nullptr) return;
  const std::uint64_t handles[] = {object.creator->handle, object.real};
  OwnCall::start(object.place->worker(), kDestroyObject, handles, {}, [](Reply*) {});
}

void Applications::worker_lost(Place& place) {
  for (auto& [id, application] : applications_) {
    application->session_objects_in.erase(&place.objects);
    for (auto& entry : application->sessions) {
      VirtualSession& session = *entry.second;
      const bool balanced = session.pool.balanced();
      const auto lost = std::erase_if(session.holds, [&](const Hold& hold) {
        if (hold.place != &place) return false;
        if (balanced) session.displace(hold.active);
        else session.lost = session.lost | hold.active;
        return true;
      });
      if (lost == 0 || balanced) continue;
      session.found.clear();
      session.found_next = 0;
    }
    std::vector<std::uint64_t> gone;
    for (const auto& [handle, object] : application->session_objects)
      if (object->place == nullptr) gone.push_back(handle);
    for (const std::uint64_t handle : gone) drop_object(*application, handle, false);
  }
}

void Applications::login_lost(Member& member, CK_USER_TYPE user) {
  for (auto& [id, application] : applications_)
    for (auto& [pool, state] : application->tokens) {
      if (!pool->balanced() || !pool->has(member)) continue;
      if (user != CKU_SO) return pool_login_lost(const_cast<Pool&>(*pool), member);
      if (state.login == LoginState::so) log_out(*application, const_cast<Pool&>(*pool), [] {});
    }
  const LoginState lost = user == CKU_SO ? LoginState::so : LoginState::user;
  for (auto& [id, application] : applications_)
    for (auto& [pool, state] : application->tokens)
      if (&pool->member == &member && state.login == lost) forget_login(*application, const_cast<Pool&>(*pool));
}

void Applications::pool_login_lost(Pool& pool, Member& member) {
  for (const auto& each : pool.members)
    if (&each->member == &member && pool.login.lost(*each)) return;
  for (auto& [id, application] : applications_)
    if (application->token(pool).login != LoginState::none) forget_login(*application, pool);
}

bool Applications::reclaim(RealSessions& sessions, Bound pin) {
  VirtualSession* owner = nullptr;
  std::size_t index = 0;
  std::uint64_t oldest = UINT64_MAX;
  for (auto& [id, application] : applications_)
    for (auto& [handle, session] : application->sessions)
      for (std::size_t i = 0; i < session->holds.size(); ++i) {
        const Hold& hold = session->holds[i];
        if (session->busy || hold.session->pool != &sessions || hold.session->pin != pin || hold.since_ms >= oldest)
          continue;
        oldest = hold.since_ms;
        owner = session.get();
        index = i;
      }
  if (owner == nullptr) return false;
  Hold hold = owner->holds[index];
  owner->holds.erase(owner->holds.begin() + static_cast<std::ptrdiff_t>(index));
  if (pin == Bound::doubt) return release_hold(*owner, hold), true;
  owner->search_detached = true;
  end_search(*hold.session);
  return true;
}

// The module's search ends and the real session comes back.
void Applications::end_search(RealSession& session) {
  const std::uint64_t handle = session.handle;
  session.pool->pin(session, Bound::none, nullptr);
  OwnCall::start(session.pool->worker(), kFindObjectsFinal, {&handle, 1}, {}, [&session](Reply* reply) {
    if (reply == nullptr) return;  // the worker is gone, and the session with it
    session.tainted = reply->rv != CKR_OK;
    session.pool->give_back(session);
  });
}

bool Applications::needs(Member& member) const {
  for (const Place* place : member.places())
    for (const auto& [id, application] : applications_) {
      if (application->session_objects_in.contains(&place->objects)) return true;
      for (const auto& [handle, session] : application->sessions)
        if (session->hold_in(*place) != nullptr) return true;
    }
  return false;
}

bool Applications::in_use(const Pool& pool) const { return pool.sessions != 0; }

}  // namespace p11shim
