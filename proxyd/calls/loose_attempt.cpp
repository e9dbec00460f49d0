#include "proxyd/calls/loose_attempt.h"

#include "pkcs11/names.h"
#include "proxyd/balance/faults.h"
#include "proxyd/login/secret_copy.h"

namespace p11shim {
namespace {
CK_RV code_of(const Reply& reply) { return reply.init_rv != CKR_OK ? reply.init_rv : reply.rv; }
}  // namespace

void LooseAttempt::start(const Request& request) {
  body_bytes_ = secret_copy(request.body);
  Request own = request;
  own.body = body_bytes_.bytes();
  head_.mark_secret();  // a small body is sent from it
  write_request_head(head_, own);
  body_ = own.body;
  of_.place->worker.submit(*this);
}

void LooseAttempt::on_reply(Reply& reply) {
  const bool good = blame_of(code_of(reply)) == Blame::nobody && !misses_object(code_of(reply));
  if (good && caller_.wanted && caller_.wanted()) {
    caller_.won(*this, reply);
    delete this;
    return;
  }
  settle(reply);
  RealSession& session = *of_.lease;
  session.tainted |= code_of(reply) != CKR_OK;  // what was begun there may still be active
  session.pool->give_back(session);
  end(!good);
}

void LooseAttempt::on_failure(JobFailure failure) {
  if (!pool_alive_.expired()) {
    if (failure == JobFailure::worker_lost)
      of_.on->health.breaker.failed(of_.pool->runtime().now_ms(), "its worker died", of_.trial);
    else of_.on->health.breaker.said_nothing(of_.trial);
    of_.on->release(true, of_.pool->changed);
  }
  end(true);  // the session is gone with its worker
}

// As if somebody had waited for it.
void LooseAttempt::settle(const Reply& reply) {
  if (pool_alive_.expired()) return;
  Health& health = of_.on->health;
  const std::uint64_t now = of_.pool->runtime().now_ms();
  const std::uint64_t took_ns = uv_hrtime() - of_.began_ns;
  const CK_RV rv = code_of(reply);
  if (blame_of(rv) == Blame::nobody) {
    health.took(now, static_cast<double>(took_ns) / 1e6, of_.beside);
    health.breaker.succeeded(now, took_ns / 1'000'000, of_.trial);
    of_.on->times.took(of_.kind, took_ns / 1000);
  } else if (blame_of(rv) == Blame::member) {
    health.breaker.failed(now, "it answered " + display(NameKind::ckr, rv), of_.trial);
  } else {
    health.breaker.said_nothing(of_.trial);
  }
  of_.on->release(true, of_.pool->changed);
}

void LooseAttempt::end(bool failed) {
  const bool tell = failed && caller_.wanted && caller_.wanted();
  const auto told = tell ? caller_.failed : nullptr;
  delete this;
  if (told) told();
}

}  // namespace p11shim
