#include "proxyd/login/login_domain.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "calls/table.h"

namespace p11shim {
namespace {

constexpr auto kLogin = number_of<&CK_FUNCTION_LIST_3_0::C_Login>();
constexpr auto kLoginUser = number_of<&CK_FUNCTION_LIST_3_0::C_LoginUser>();
constexpr auto kLogout = number_of<&CK_FUNCTION_LIST_3_0::C_Logout>();
constexpr auto kSetPin = number_of<&CK_FUNCTION_LIST_3_0::C_SetPIN>();
constexpr auto kCloseSession = number_of<&CK_FUNCTION_LIST_3_0::C_CloseSession>();
constexpr auto kOpenSession = number_of<&CK_FUNCTION_LIST_3_0::C_OpenSession>();

constexpr std::uint32_t kSharedMismatches = 3;  // then nobody may guess until the last application has left

// The bytes of an encoded PIN argument; empty for NULL.
std::span<const std::uint8_t> pin_bytes(const Buffer& encoded) {
  In in(encoded.bytes());
  return in.next_is_uint() ? std::span<const std::uint8_t>{} : in.bin(limits::kMaxPin);
}
bool is_null(const Buffer& encoded) { return In(encoded.bytes()).next_is_uint(); }

Buffer login_body(CK_USER_TYPE user) {
  Buffer body;
  Out out(body);
  out.mark_secret();
  out.uint(user);
  return body;
}

WorkerSpec checking_spec(WorkerSpec spec) {
  spec.name += "/checking";
  spec.options.lanes = 1;
  return spec;
}

void open_session(Worker& worker, CK_SLOT_ID slot, bool read_write,
                  std::function<void(CK_RV, CK_SESSION_HANDLE)> done) {
  Buffer body;
  Out(body).uint(CKF_SERIAL_SESSION | (read_write ? CKF_RW_SESSION : 0));
  const std::uint64_t handle = slot;
  OwnCall::start(worker, kOpenSession, {&handle, 1}, std::move(body), [done = std::move(done)](Reply* reply) {
    if (reply == nullptr) return done(CKR_DEVICE_ERROR, CK_INVALID_HANDLE);
    done(reply->rv, reply->rv == CKR_OK && !reply->handles.empty() ? reply->handles[0] : CK_INVALID_HANDLE);
  });
}

}  // namespace

bool LoginDomain::refuses_pin(CK_RV rv) {
  return rv == CKR_PIN_INCORRECT || rv == CKR_PIN_INVALID || rv == CKR_PIN_LEN_RANGE || rv == CKR_PIN_EXPIRED ||
         rv == CKR_PIN_LOCKED || rv == CKR_USER_PIN_NOT_INITIALIZED;
}

LoginDomain::LoginDomain(Runtime& runtime, StartGate& gate, WorkerSpec spec, CK_USER_TYPE user,
                         std::function<CK_SLOT_ID(Worker&)> slot, Hooks hooks, Place* shared)
    : runtime_(runtime),
      spec_(spec),
      user_(user),
      slot_(std::move(slot)),
      hooks_(std::move(hooks)),
      shared_(shared),
      worker_(runtime, gate, std::move(spec),
              Worker::Hooks{[this](Worker& worker, Worker::Prepared prepared) { prepare(worker, std::move(prepared)); },
                            [this](Worker&) {
                              service_session_ = CK_INVALID_HANDLE;
                              objects_.clear();
                              place_.worker_lost();
                              hooks_.worker_lost();
                            }}),
      objects_(worker_),
      place_(worker_, objects_, spec_.options, [this] { return slot_(worker_); }),
      checker_(runtime, gate, checking_spec(spec_),
               Worker::Hooks{
                   [this](Worker& checker, Worker::Prepared prepared) { prepare_check(checker, std::move(prepared)); },
                   nullptr}),
      check_waiter_(*this) {
  place_.only_read_write = user == CKU_SO;
  place_.has_service_session = true;
}

void LoginDomain::log_in(Buffer pin, Buffer user_name, Wanted wanted, Done done) {
  Order& order = orders_.emplace_back();
  order.wanted = std::move(wanted);
  order.pin = std::move(pin);
  order.user_name = std::move(user_name);
  order.done = std::move(done);
  run();
}

void LoginDomain::set_pin(Buffer pins, bool read_write, Wanted wanted, Done done) {
  Order& order = orders_.emplace_back();
  order.wanted = std::move(wanted);
  order.set_pin = true;
  order.read_write = read_write;
  order.pin = std::move(pins);
  order.done = std::move(done);
  run();
}

void LoginDomain::log_in_with_own_pin(Done done) {
  Order& order = orders_.emplace_back();
  order.use_own_pin = true;
  order.done = std::move(done);
  run();
}

void LoginDomain::log_out(std::function<void()> done) {
  Order& order = orders_.emplace_back();
  order.log_out = true;
  order.done = [done = std::move(done)](CK_RV) { done(); };
  run();
}

// A worker whose start fails at once tells its waiters before require() returns: they look again.
void LoginDomain::run() {
  run_again_ = true;
  if (std::exchange(in_run_, true)) return;
  while (std::exchange(run_again_, false))
    while (serve()) {
    }
  in_run_ = false;
}

// Serves the first order. True: the next one may follow at once.
bool LoginDomain::serve() {
  while (!running_ && !orders_.empty() && orders_.front().wanted && !orders_.front().wanted()) orders_.pop_front();
  if (orders_.empty() || running_) return false;
  Order& order = orders_.front();
  if (order.log_out) {
    if (applications_ > 0) --applications_;
    running_ = true;
    applications_ != 0 ? finish(CKR_OK) : log_out_last();
  } else if (order.set_pin) {
    running_ = true;
    check();
  } else if (applications_ != 0) {
    running_ = true;
    log_in_again(order);
  } else {
    if (std::exchange(stale_, false)) worker().stop("a PIN was changed while it was running");
    const bool given_up = worker().state() == Worker::State::backoff;
    if (!given_up && !worker().require(*this)) return false;  // run() again when it is ready
    running_ = true;
    given_up ? finish(worker().failure().rv) : log_in_first();
  }
  return !running_;
}

void LoginDomain::finish(CK_RV rv) {
  Order order = std::move(orders_.front());
  orders_.pop_front();
  running_ = false;
  if (!order.log_out && !order.set_pin && rv == CKR_OK) ++applications_;
  order.done(rv);
  run();
}

void LoginDomain::log_in_first() {
  if (service_session_ == CK_INVALID_HANDLE)  // in a shared worker, whose start did not open it
    return open_session(worker(), slot_(worker()), user_ == CKU_SO, [this](CK_RV rv, CK_SESSION_HANDLE session) {
      if (rv != CKR_OK) return finish(rv);
      service_session_ = session;
      log_in_first();
    });
  const Order& order = orders_.front();
  if (order.use_own_pin && own_pin_refused() != CKR_OK) return finish(own_pin_refused());
  const auto answered = [this, generation = worker().generation()](CK_RV rv) {
    const Order& first = orders_.front();
    if (rv == CKR_OK && generation != worker().generation()) return finish(CKR_DEVICE_ERROR);  // logged in no longer
    if (rv == CKR_OK) {
      user_name_.clear();
      user_name_.append(first.user_name.data(), first.user_name.size());
      mismatches_ = 0;
      keep(first);
    }
    finish(rv);
  };
  const auto again = [this, generation = worker().generation()] {
    if (generation != worker().generation())
      return finish(CKR_DEVICE_ERROR);  // whoever stopped it may not want it back
    running_ = false;
    run();
  };
  if (order.use_own_pin) return show_own_pin(service_session_, again, answered);
  send_login(worker(), service_session_, order, answered);
}

void LoginDomain::show_own_pin(CK_SESSION_HANDLE session, std::function<void()> again,
                               std::function<void(CK_RV)> done) {
  if (turn_ != nullptr && turn_->taken) {
    turn_waiter_.again = std::move(again);
    return turn_->waiting.add(turn_waiter_);
  }
  if (own_pin_refused() != CKR_OK) return done(own_pin_refused());
  if (own_pin_hooks_.has_been_refused && own_pin_hooks_.has_been_refused()) return done(CKR_PIN_INCORRECT);
  if (turn_ != nullptr) turn_->taken = true;
  send_login(worker(), session, own_pin_, [this, done = std::move(done)](CK_RV rv) {
    if (refuses_pin(rv) && rv != CKR_USER_PIN_NOT_INITIALIZED) {  // without a PIN it has tried none
      note_refusal(rv);
      runtime_.log.error("worker {}: the token refused proxyd's own PIN; it is not offered again by itself",
                         spec_.name);
      if (own_pin_hooks_.refused) own_pin_hooks_.refused(rv);
    }
    if (turn_ != nullptr) turn_->taken = false;
    done(rv);
    if (turn_ != nullptr) turn_->waiting.resume_all();
  });
}

// In a worker that is being started.
void LoginDomain::show_own_pin_again(CK_SESSION_HANDLE session, const std::function<void(CK_RV)>& done) {
  const auto again = [this, session, done, generation = worker().generation()] {
    if (generation != worker().generation()) return;
    if (applications_ == 0) return done(CKR_OK);  // all have left meanwhile
    show_own_pin_again(session, done);
  };
  show_own_pin(session, again, done);
}

bool LoginDomain::comparable() const {
  const auto longest = static_cast<std::uint64_t>(spec_.options.pin_recheck.count());
  if (!kept_.present() || shared_ != nullptr) return kept_.present();
  return longest != 0 && runtime_.now_ms() - kept_.kept_since_ms() < longest;
}

bool LoginDomain::same_user(const Order& order) const {
  return std::ranges::equal(order.user_name.bytes(), user_name_.bytes());
}

void LoginDomain::log_in_again(Order& order) {
  if (order.use_own_pin) return finish(CKR_OK);
  // One worker is logged in as one user; nobody rides on another's login.
  if (!same_user(order)) return finish(CKR_USER_TOO_MANY_TYPES);
  const bool guessing = shared_ != nullptr && mismatches_ >= kSharedMismatches;
  if (!guessing && comparable() && !is_null(order.pin) && kept_.matches(pin_bytes(order.pin))) return finish(CKR_OK);
  if (shared_ != nullptr) return finish(++mismatches_ < kSharedMismatches ? CKR_PIN_INCORRECT : CKR_PIN_LOCKED);
  check();
}

// Asks the HSM in a fresh process: the domain's own worker is logged in already and would not look at the PIN.
void LoginDomain::check() {
  if (checker_.state() == Worker::State::backoff) return finish(checker_.failure().rv);
  if (!checker_.require(check_waiter_)) return;
  if (orders_.front().set_pin) return set_pin_in_checker();
  send_login(checker_, check_session_, orders_.front(), [this, changes = pin_changes_](CK_RV rv) {
    checker_.stop("the check is done");
    // Meanwhile the PIN was changed, or the worker that was logged in was lost for good: what was checked proves nothing now. A
    // PIN that was refused is not shown to the HSM again, which counts.
    if (!refuses_pin(rv) && (changes != pin_changes_ || applications_ == 0)) {
      running_ = false;
      return run();
    }
    // What is kept serves those who are logged in already: it is replaced only by a PIN that is as good.
    const Order& first = orders_.front();
    if (rv == CKR_OK && !is_null(first.pin)) keep(first);
    finish(rv);
  });
}

void LoginDomain::set_pin_in_checker() {
  const std::uint64_t session = check_session_;
  OwnCall::start(checker_, kSetPin, {&session, 1}, std::move(orders_.front().pin), [this](Reply* reply) {
    const CK_RV rv = reply != nullptr ? reply->rv : CKR_DEVICE_ERROR;
    checker_.stop("the PIN is set");
    finish(rv);
  });
}

void LoginDomain::prepare_check(Worker& checker, Worker::Prepared prepared) {
  const bool read_write = user_ == CKU_SO || (!orders_.empty() && orders_.front().read_write);
  open_session(checker, slot_(checker), read_write,
               [this, prepared = std::move(prepared)](CK_RV rv, CK_SESSION_HANDLE session) {
                 if (rv != CKR_OK) return prepared(WorkerFailure{rv, "C_OpenSession failed", true});
                 check_session_ = session;
                 prepared(std::nullopt);
               });
}

void LoginDomain::log_out_last() {
  kept_.wipe_and_release();
  if (worker().state() != Worker::State::ready || service_session_ == CK_INVALID_HANDLE) return finish(CKR_OK);
  const std::uint64_t session = service_session_;
  OwnCall::start(worker(), kLogout, {&session, 1}, {}, [this, generation = worker().generation()](Reply* reply) {
    // Nobody may find a worker logged in that should not be.
    bool done = reply != nullptr && (reply->rv == CKR_OK || reply->rv == CKR_USER_NOT_LOGGED_IN);
    // C_InitToken closes this and then all sessions of the token, and with the last one goes the login.
    if (reply != nullptr && reply->rv == CKR_SESSION_HANDLE_INVALID) done = service_session_ == CK_INVALID_HANDLE;
    if (!done && generation == worker().generation()) worker().stop("its logout failed");
    finish(CKR_OK);
  });
}

void LoginDomain::keep(const Order& order) {
  if (order.use_own_pin || is_null(order.pin)) return kept_.wipe_and_release();
  if (!kept_.keep(pin_bytes(order.pin), runtime_.now_ms()))
    runtime_.log.warn("worker {}: no memory can be locked for its PIN; it cannot be logged in again if it dies",
                      spec_.name);
}

bool may_have_changed_pin(CK_RV rv) {
  return rv == CKR_OK || rv == CKR_DEVICE_ERROR || rv == CKR_FUNCTION_FAILED || rv == CKR_GENERAL_ERROR;
}

void LoginDomain::pin_changed(bool in_this_worker) {
  ++pin_changes_;
  kept_.wipe_and_release();
  if (!in_this_worker && shared_ == nullptr) stale_ = true;  // an operation from before a logout may go on there
}

void LoginDomain::keep_changed(const Buffer& pin) {
  if (shared_ == nullptr || applications_ == 0 || is_null(pin)) return;
  mismatches_ = 0;
  if (!kept_.keep(pin_bytes(pin), runtime_.now_ms()))
    runtime_.log.warn("worker {}: no memory can be locked for its PIN; nobody else can log in", spec_.name);
}

void LoginDomain::close_service_session(std::function<void()> done) {
  const std::uint64_t session = std::exchange(service_session_, CK_INVALID_HANDLE);
  if (shared_ == nullptr || session == CK_INVALID_HANDLE || worker().state() != Worker::State::ready) return done();
  OwnCall::start(worker(), kCloseSession, {&session, 1}, {}, [done = std::move(done)](Reply*) { done(); });
}

void LoginDomain::stop(const std::string& reason) {
  ++pin_changes_;
  kept_.wipe_and_release();
  worker_.stop(reason);
  checker_.stop(reason);
}

void LoginDomain::lose_hung_workers(std::chrono::milliseconds longest_call,
                                    std::chrono::milliseconds longest_slow_call) {
  worker_.lose_if_hung(longest_call, longest_slow_call);
  checker_.lose_if_hung(longest_call, longest_slow_call);
}

void LoginDomain::leave_if_idle(std::uint64_t now_ms) {
  const auto longest = static_cast<std::uint64_t>(spec_.options.idle_worker_timeout.count());
  if (longest == 0 || applications_ != 0 || !orders_.empty() || objects_.has_session_objects()) return;
  if (worker_.state() != Worker::State::ready || !worker_.idle() || now_ms - worker_.last_used_ms() < longest) return;
  worker_.stop("nobody has used it for a while");
}

// Opens the session that holds the login, and logs in again if applications are.
void LoginDomain::prepare(Worker& worker, Worker::Prepared prepared) {
  open_session(worker, slot_(worker), user_ == CKU_SO,
               [this, prepared = std::move(prepared)](CK_RV rv, CK_SESSION_HANDLE session) {
                 if (rv != CKR_OK)
                   return prepared(WorkerFailure{rv, "C_OpenSession failed", rv != CKR_TOKEN_NOT_RECOGNIZED});
                 service_session_ = session;
                 if (applications_ == 0) return prepared(std::nullopt);
                 if (!can_restart()) {
                   runtime_.log.error("worker {} cannot be logged in again: its PIN is not kept", spec_.name);
                   applications_ = 0;
                   hooks_.login_lost();
                   return prepared(std::nullopt);
                 }
                 const auto answered = [this, prepared](CK_RV login_rv) {
                   if (login_rv == CKR_OK || login_rv == CKR_USER_ALREADY_LOGGED_IN) return prepared(std::nullopt);
                   if (!refuses_pin(login_rv)) return prepared(WorkerFailure{login_rv, "C_Login failed", true});
                   kept_.wipe_and_release();  // never offered twice: the HSM counts
                   if (!own_pin_.present()) own_pin_refused_ = login_rv;
                   service_session_ = CK_INVALID_HANDLE;
                   applications_ = 0;
                   hooks_.login_lost();
                   prepared(WorkerFailure{login_rv, "the token refused the PIN that it had accepted before", false});
                 };
                 if (own_pin_.present()) return show_own_pin_again(session, answered);
                 send_login(this->worker(), session, kept_, answered);
               });
}

void LoginDomain::send_login(Worker& worker, CK_SESSION_HANDLE session, const KeptPin& pin,
                             std::function<void(CK_RV)> done) {
  Buffer body = login_body(user_);
  pin.hand_to(body);
  body.append(user_name_.data(), user_name_.size());
  const std::uint64_t handle = session;
  OwnCall::start(worker, user_name_.empty() ? kLogin : kLoginUser, {&handle, 1}, std::move(body),
                 [done = std::move(done)](Reply* reply) { done(reply != nullptr ? reply->rv : CKR_DEVICE_ERROR); });
}

void LoginDomain::send_login(Worker& worker, CK_SESSION_HANDLE session, const Order& order,
                             std::function<void(CK_RV)> done) {
  Buffer body = login_body(user_);
  body.append(order.pin.data(), order.pin.size());
  body.append(order.user_name.data(), order.user_name.size());
  const std::uint64_t handle = session;
  OwnCall::start(worker, order.user_name.empty() ? kLogin : kLoginUser, {&handle, 1}, std::move(body),
                 [done = std::move(done)](Reply* reply) { done(reply != nullptr ? reply->rv : CKR_DEVICE_ERROR); });
}

}  // namespace p11shim
