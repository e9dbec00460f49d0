// C_OpenSession, C_CloseSession, C_CloseAllSessions, C_GetSessionInfo: a virtual session costs the HSM nothing.
#include "proxyd/calls/client_call.h"

namespace p11shim {

void ClientCall::open_session() {
  step_ = &ClientCall::open_session;
  pool_ = visible_pool(request_.handles[0]);
  if (pool_ == nullptr) return finish(CKR_SLOT_ID_INVALID);
  if (pool_->absent()) return finish(CKR_TOKEN_NOT_PRESENT);
  if (pool_->initialising) return pool_->changed.add(*this);
  In in(request_.body);
  const CK_FLAGS flags = in.uint();
  if (!in.done()) return finish(CKR_ARGUMENTS_BAD);
  if ((flags & CKF_SERIAL_SESSION) == 0) return finish(CKR_SESSION_PARALLEL_NOT_SUPPORTED);
  const bool read_write = (flags & CKF_RW_SESSION) != 0;
  TokenState& state = application_->token(*pool_);
  if (!read_write && state.login == LoginState::so) return finish(CKR_SESSION_READ_WRITE_SO_EXISTS);
  if (application_->sessions.size() >= services_.limits.max_sessions_per_application) return finish(CKR_SESSION_COUNT);

  // The module itself says whether it would open such a session; once it did, no other is opened to ask.
  if (!pool_->balanced()) {
    place_ = &application_->place(*pool_);
    if (!worker_ready(place_->worker)) return;
  }
  if (!pool_->balanced() && !place_->sessions(read_write).proven()) {
    RealSessions& sessions = place_->sessions(read_write);
    const auto lease = sessions.borrow(*this);
    if (lease.outcome == RealSessions::Outcome::failed) return finish(lease.rv);
    if (lease.outcome == RealSessions::Outcome::waiting) return;
    lease_ = lease.session;
  }
  // A shim that lost its proxyd asks for the handles that its application holds.
  std::uint64_t handle = request_.handles.size() > 1 ? request_.handles[1] : application_->next_session++;
  if (handle == CK_INVALID_HANDLE || application_->session(handle) != nullptr) return finish(CKR_ARGUMENTS_BAD);
  application_->next_session = std::max(application_->next_session, handle + 1);
  application_->sessions.emplace(handle, std::make_unique<VirtualSession>(handle, *pool_, read_write));
  ++state.sessions;
  if (read_write) ++state.read_write_sessions;
  ++pool_->sessions;
  pool_->tend(services_.runtime.now_ms());
  reply_.handles.add(handle);
  finish(CKR_OK);
}

void ClientCall::close_session() {
  step_ = &ClientCall::close_session;
  if (!enter_session()) return;
  VirtualSession* session = std::exchange(session_, nullptr);
  services_.applications.close_session(*application_, *session);
  finish(CKR_OK);
}

void ClientCall::close_all_sessions() {
  step_ = &ClientCall::close_all_sessions;
  pool_ = visible_pool(request_.handles[0]);
  if (pool_ == nullptr) return finish(CKR_SLOT_ID_INVALID);
  std::vector<std::uint64_t> handles;
  for (const auto& [handle, session] : application_->sessions)
    if (&session->pool == pool_) handles.push_back(handle);
  for (const std::uint64_t handle : handles) {
    VirtualSession* session = application_->session(handle);
    if (session == nullptr) continue;
    if (session->busy) {  // another thread's call first
      if (session->turn == nullptr) session->turn = std::make_unique<WaitList>();
      return session->turn->add(*this);
    }
    services_.applications.close_session(*application_, *session);
  }
  finish(CKR_OK);
}

void ClientCall::get_session_info() {
  step_ = &ClientCall::get_session_info;
  if (!enter_session()) return;
  CK_SESSION_INFO info{};
  info.slotID = pool_->slot;
  info.flags = CKF_SERIAL_SESSION | (session_->read_write ? CKF_RW_SESSION : 0);
  switch (application_->token(*pool_).login) {
    case LoginState::none: info.state = session_->read_write ? CKS_RW_PUBLIC_SESSION : CKS_RO_PUBLIC_SESSION; break;
    case LoginState::user: info.state = session_->read_write ? CKS_RW_USER_FUNCTIONS : CKS_RO_USER_FUNCTIONS; break;
    case LoginState::so: info.state = CKS_RW_SO_FUNCTIONS; break;
  }
  Out out(scratch_);
  write_info(out, info);
  finish(CKR_OK, scratch_.bytes());
}

}  // namespace p11shim
