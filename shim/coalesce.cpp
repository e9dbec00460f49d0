#include "shim/coalesce.h"

namespace p11shim {
namespace {

// Behind the session's.
bool names_session_object(const Handles& handles) {
  return std::any_of(handles.begin() + 1, handles.end(), is_session_object);
}

}  // namespace

std::optional<CK_ULONG> Coalescing::known_length(CK_SESSION_HANDLE session, Operation operation, const Query& query) {
  return application_.sessions().with(
      session,
      [&](SessionOperations& operations, KnownInits& known, const OpenSession& open) -> std::optional<CK_ULONG> {
        generation_ = generation(open.slot);
        const WaitingInit& waiting = operations.waiting;
        if (query.message == 0) return std::nullopt;
        std::uint64_t init = 0;
        if (waiting.call != 0) init = waiting.operation == operation ? waiting.signature : 0;
        else if (query.is_final) init = running(operations, operation);
        if (init == 0) return std::nullopt;
        return known.length(query.hash(init), generation_);
      });
}

void Coalescing::learn(CK_SESSION_HANDLE session, Operation operation, const Query& query, CK_ULONG length) {
  const WaitingInit& lead = exchange_.lead();
  application_.sessions().with(session, [&](SessionOperations& operations, KnownInits& known, const OpenSession&) {
    std::uint64_t init = 0;
    if (lead.call != 0) init = lead.signature;
    else if (query.is_final) init = running(operations, operation);
    else if (operations.is_fresh) init = operations.signature;
    if (query.message != 0 && init != 0) known.add_length(query.hash(init), init, generation_, length);
  });
}

// The Init of an operation that the module surely goes on with; 0: none.
std::uint64_t Coalescing::running(const SessionOperations& operations, Operation operation) {
  const bool is_sure = operations.began == operation && (operations.active & operation) != Operation::none &&
                       (operations.in_doubt | operations.lost) == Operation::none;
  return is_sure ? operations.signature : 0;
}

// Parts that were gathered, and what waits, go alone. Its failure is told to the call that was to use it.
void Coalescing::send(CK_SESSION_HANDLE session, bool also_search) {
  send_gathered(session);
  WaitingInit init;
  const bool waited =
      application_.sessions().with(session, [&](SessionOperations& operations, KnownInits& known, const OpenSession&) {
        if (!also_search && operations.waiting.operation == Operation::find) return false;
        if (operations.is_sending || !take_waiting(operations, known, Operation::any, init)) return false;
        operations.is_sending = true;
        return true;
      });
  if (!waited) return;
  CK_RV rv = CKR_HOST_MEMORY;
  try {
    rv = exchange_.perform_alone(session, init);
  } catch (...) {  // told to the call that was to use it
    exchange_.socket().close();
    exchange_.end(true);
  }
  application_.sessions().with(session, [&](SessionOperations& operations, KnownInits& known, const OpenSession&) {
    if (rv == CKR_OK) {
      operation_began(operations, init.operation, init.mechanism, init.signature);
      if (init.is_over) operations.messages = 2;  // as good as: it had to begin twice
      return;
    }
    known.forget(init.signature);
    operations.lost = init.operation;
    operations.lost_rv = rv;
    operations.lost_is_over = init.is_over;
    operations.in_doubt = operations.in_doubt | init.operation;
  });
  if (rv != CKR_OK) application_.sessions().message_ended(session, init.operation);
  application_.sessions().sent(session);
}

void Coalescing::send_all(bool only_session_objects) {
  // Each turn takes one; other threads may add some meanwhile, but not for ever.
  for (std::size_t turns = 0; turns < 65536; ++turns) {
    const CK_SESSION_HANDLE session = application_.sessions().waiting(only_session_objects);
    if (session == CK_INVALID_HANDLE) return;
    application_.sessions().wait_until_sent(session);
    send(session);
  }
}

bool Coalescing::reopen(CK_SLOT_ID slot, CK_FLAGS flags, CK_SESSION_HANDLE_PTR session) {
  const CK_SESSION_HANDLE handle = application_.sessions().reopen(slot, flags, slots_generation(0));
  if (handle != CK_INVALID_HANDLE) *session = handle;
  return handle != CK_INVALID_HANDLE;
}

void Coalescing::close_kept() {
  while (const CK_SESSION_HANDLE wire = application_.sessions().drop_kept()) exchange_.close_kept(wire);
}

void Coalescing::close_kept_with(CK_SESSION_HANDLE closing) {
  while (const CK_SESSION_HANDLE wire = application_.sessions().drop_kept_with(closing)) exchange_.close_kept(wire);
}

void Coalescing::note_session_objects(CK_SESSION_HANDLE session) {
  const Handles& handles = exchange_.reply().handles;
  if (std::none_of(handles.begin(), handles.end(), is_session_object)) return;
  application_.sessions().with(
      session, [](SessionOperations& operations, KnownInits&, const OpenSession&) { operations.has_objects = true; });
}

void Coalescing::forget() {
  application_.sessions().forget_inits();
  application_.remembered().clear();
}

void Coalescing::forget_session_objects() {
  application_.sessions().forget_session_objects();
  application_.remembered().values.forget_session_objects();
  application_.remembered().tokens.clear();  // free memory
}

// A session object is about to change, which only what names one can tell.
void Coalescing::settle_change(CK_SESSION_HANDLE session) {
  forget_session_objects();
  send_all(true);
  send(session);  // a search
}

// Takes along what waits for this call. Something: its Init was sent meanwhile, and failed with this.
std::optional<CK_RV> Coalescing::take(CK_SESSION_HANDLE session, Operation operation) {
  const bool is_taken =
      application_.sessions().with(session, [&](SessionOperations& operations, KnownInits& known, const OpenSession&) {
        const bool is_its_own = operations.waiting.operation == operation && operations.lost == Operation::none;
        return is_its_own && take_waiting(operations, known, operation, exchange_.lead());
      });
  if (is_taken) return std::nullopt;
  send_if_other(session, operation);
  if (const auto lost = take_lost(session, operation)) return lost;
  application_.sessions().with(session, [&](SessionOperations& operations, KnownInits& known, const OpenSession&) {
    take_waiting(operations, known, operation, exchange_.lead());
  });
  return std::nullopt;
}

std::optional<CK_RV> Coalescing::take_lost(CK_SESSION_HANDLE session, Operation operation) {
  return application_.sessions().with(
      session, [&](SessionOperations& operations, KnownInits&, const OpenSession&) -> std::optional<CK_RV> {
        if ((operations.lost & operation) == Operation::none) return std::nullopt;
        operations.lost = Operation::none;
        return operations.lost_rv;
      });
}

// What waits for another operation does not wait for longer than this call.
void Coalescing::send_if_other(CK_SESSION_HANDLE session, Operation operation) {
  const bool is_other =
      application_.sessions().with(session, [&](SessionOperations& operations, KnownInits&, const OpenSession&) {
        return operations.waiting.call != 0 && operations.waiting.operation != operation;
      });
  if (is_other) send(session);
}

bool Coalescing::defer(std::uint32_t call, Operation operation, const CK_MECHANISM& mechanism) {
  const Request& request = exchange_.request();
  if (request.handles.empty() || exchange_.body().is_secret() || exchange_.body().size() > kMostToWait) return false;
  return application_.sessions().with(
      request.handles[0], [&](SessionOperations& operations, KnownInits& known, const OpenSession& session) {
        Signature signature;
        signature.add(call).add(session.slot);
        for (std::size_t i = 1; i < request.handles.size(); ++i) signature.add(request.handles[i]);
        if ((operation & kMessageOperations) == Operation::none)
          sign_mechanism(signature, mechanism, exchange_.body().bytes());
        else signature.add(exchange_.body().bytes().data(), exchange_.body().size());
        signature_ = signature.value();
        epoch_ = known.epoch(names_session_object(request.handles));
        generation_ = generation(session.slot);
        if (!known.contains(signature_, generation_)) return false;
        WaitingInit& init = exchange_.lead();
        init.clear();
        init.call = call;
        init.operation = operation;
        init.mechanism = mechanism.mechanism;
        init.objects.assign(request.handles.begin() + 1, request.handles.end());
        init.body.swap(exchange_.body());
        init.signature = signature_;
        init.generation = generation_;
        if (p11shim::defer(operations, known, init)) return true;
        init.body.swap(exchange_.body());
        init.clear();
        return false;
      });
}

void Coalescing::began(CK_SESSION_HANDLE session, Operation operation, CK_RV rv, bool cancels) {
  application_.sessions().with(session, [&](SessionOperations& operations, KnownInits& known, const OpenSession&) {
    if (rv == CKR_OPERATION_ACTIVE) operations.in_doubt = operations.in_doubt | operation;
    if (rv != CKR_OK) return;
    if (operation == Operation::find)
      operations.has_found = operations.in_pages = false;  // another search has taken its place
    if (cancels) {
      operations.active = operations.active & ~operation;
      operations.is_fresh = false;
      operations.gathers = 0;
      return;
    }
    operation_began(operations, operation, exchange_.request().has_mechanism ? exchange_.request().mechanism : 0,
                    signature_);
    // An Init that returned something, an IV of the module's, must ask the module each time.
    In outputs(exchange_.reply().body);
    const bool names = names_session_object(exchange_.request().handles);
    if (signature_ == 0 || known.epoch(names) != epoch_ || !outputs.nil_if()) return;
    known.add(signature_, generation_, names);
  });
}

void Coalescing::went_on(CK_SESSION_HANDLE session, const Policy& policy, CK_RV rv, bool is_query) {
  const WaitingInit& lead = exchange_.lead();
  application_.sessions().with(session, [&](SessionOperations& operations, KnownInits& known, const OpenSession&) {
    if (lead.call != 0) {
      if (exchange_.init_failed()) return known.forget(lead.signature);
      operation_began(operations, lead.operation, lead.mechanism, lead.signature);
    }
    operation_went_on(operations, policy.operation, policy.effect, rv, is_query);
    if ((policy.operation & kMessageOperations) != Operation::none && operations.began == policy.operation)
      count_messages(operations, known, policy, rv, is_query);
  });
  if (lead.call != 0 && exchange_.init_failed()) application_.sessions().message_ended(session, lead.operation);
}

void Coalescing::doubt(CK_SESSION_HANDLE session) {
  application_.sessions().with(session, [&](SessionOperations& operations, KnownInits& known, const OpenSession&) {
    // No memory to build the message: the Init that it was to bring along goes on waiting.
    if (exchange_.lead().call != 0 && exchange_.request().init == 0 &&
        p11shim::defer(operations, known, exchange_.lead()))
      return;
    operations.in_doubt = Operation::any;
    operations.is_fresh = false;
    operations.gathers = 0;
    operations.lost = Operation::none;
  });
}

void Coalescing::cancel(CK_SESSION_HANDLE session, Operation cancelled) {
  application_.sessions().with(session, [&](SessionOperations& operations, KnownInits&, const OpenSession&) {
    operations.active = operations.active & ~cancelled;
    operations.in_doubt = operations.in_doubt & ~cancelled;
    operations.lost = operations.lost & ~cancelled;
    operations.is_fresh = false;
    operations.gathers = 0;
  });
}

}  // namespace p11shim
