// One member's user or SO domain: the worker that is logged in, how many applications are, and the PIN they used.
//
// The HSM itself checks every PIN: the first login in the domain's worker; a later one by comparison with the PIN that
// succeeded, or, when they differ or that one is too old, by a short-lived checking worker, so that the HSM counts it.
// The worker is logged out, and the PIN wiped, when the last application leaves. Requests are served one at a time.
//
// With isolation = "shared" the module allows one process: the domain lives in the member's public worker, proxyd itself
// keeps private objects from applications that are not logged in, and a PIN that differs from the kept one, which does not
// age there, is refused without asking the HSM.
#pragma once

#include <deque>
#include <functional>
#include <memory>

#include "proxyd/login/kept_pin.h"
#include "proxyd/tokens/place.h"

namespace p11shim {

// Such an answer to C_SetPIN or C_InitPIN leaves open which PIN the token has now; so does none.
bool may_have_changed_pin(CK_RV rv);

class LoginDomain final : private Waiter {
 public:
  using Done = std::function<void(CK_RV)>;
  struct Hooks {
    std::function<void()> worker_lost;  // session objects and leases in it are gone
    std::function<void()> login_lost;   // it cannot be logged in again: nobody is logged in any more
  };

  // `slot` gives the token's slot in a worker of the member.
  // `shared`: where the domain lives, if not in a worker of its own.
  LoginDomain(Runtime& runtime, StartGate& gate, WorkerSpec spec, CK_USER_TYPE user,
              std::function<CK_SLOT_ID(Worker&)> slot, Hooks hooks, Place* shared);

  // `pin` is the encoded PIN argument of C_Login (a msgpack bin, or a number for NULL) and is wiped afterwards;
  // `user_name` that of C_LoginUser, empty otherwise. An order that is not `wanted` any more when its turn comes, because
  // its caller was answered or is gone, is dropped: its PIN is not shown to the HSM.
  using Wanted = std::function<bool()>;
  void log_in(Buffer pin, Buffer user_name, Wanted wanted, Done done);
  // C_SetPIN of somebody who is not logged in, by a process that has seen no other PIN. `pins`: its encoded arguments.
  void set_pin(Buffer pins, bool read_write, Wanted wanted, Done done);
  // proxyd's own PIN, for login = "daemon".
  void log_in_with_own_pin(Done done);
  // A forked child starts as logged in as its parent is.
  void share_login() { ++applications_; }
  // One application leaves.
  void log_out(std::function<void()> done);
  // A PIN of this token was changed: what is kept is wrong, and a worker that was running may be, too.
  void pin_changed(bool in_this_worker);
  // In a shared worker, which cannot ask the HSM: the PIN that it has taken for those who are logged in.
  void keep_changed(const Buffer& pin);
  // In a shared worker: the session that holds a login, though nobody has one now.
  void close_service_session(std::function<void()> done);
  void stop(const std::string& reason);
  void lose_hung_workers(std::chrono::milliseconds longest_call, std::chrono::milliseconds longest_slow_call);
  // Nobody is logged in and nothing was asked of the worker for as long as configured: it leaves.
  void leave_if_idle(std::uint64_t now_ms);

  KeptPin& own_pin() { return own_pin_; }
  struct OwnPinHooks {
    std::function<bool()> has_been_refused;  // looked at when the PIN is about to be shown
    std::function<void(CK_RV)> refused;      // by the token itself; not called with what it said before
  };
  void set_own_pin_hooks(OwnPinHooks hooks) { own_pin_hooks_ = std::move(hooks); }
  // Of all domains that show the same PIN to the same token one does at a time: what it says is known to the next.
  struct Turn {
    bool taken = false;
    CK_RV refused = CKR_OK;  // what the token said to it
    WaitList waiting;
  };
  void share_turn(Turn& turn) { turn_ = &turn; }
  // What the token said to a PIN that it had accepted before, or to proxyd's own.
  [[nodiscard]] CK_RV own_pin_refused() const { return has_turns() ? turn_->refused : own_pin_refused_; }
  // Appends the PIN that is kept, encoded as for log_in(), for another member of the same pool. False: none is.
  bool hand_kept_pin(Buffer& pin) const {
    if (kept_.present()) kept_.hand_to(pin);
    return kept_.present();
  }
  // The same with proxyd's own.
  bool hand_own_pin(Buffer& pin) const {
    if (own_pin_.present()) own_pin_.hand_to(pin);
    return own_pin_.present();
  }
  // The operator says that it is right now, the security officer has set a PIN, or the token is a new one.
  void offer_own_pin_again() { note_refusal(CKR_OK); }
  // Such an answer to C_Login says that this PIN will never be accepted, as opposed to a token that is in trouble.
  static bool refuses_pin(CK_RV rv);
  [[nodiscard]] Place& place() { return shared_ != nullptr ? *shared_ : place_; }
  [[nodiscard]] bool is_shared() const { return shared_ != nullptr; }
  // The shared worker was lost, or is being started again; the latter calls back when the login is as it was.
  void shared_worker_lost() { service_session_ = CK_INVALID_HANDLE; }
  void prepare(Worker& worker, Worker::Prepared prepared);
  [[nodiscard]] Worker& worker() { return shared_ != nullptr ? shared_->worker : worker_; }
  [[nodiscard]] Worker& checking_worker() { return checker_; }
  [[nodiscard]] std::uint32_t applications() const { return applications_; }
  [[nodiscard]] bool can_restart() const {
    return kept_.present() || (own_pin_.present() && own_pin_refused() == CKR_OK);
  }

 private:
  struct Order {
    bool log_out = false;
    bool set_pin = false;     // `pin` holds both
    bool read_write = false;  // the session that it is called in
    bool use_own_pin = false;
    Buffer pin;
    Buffer user_name;
    Wanted wanted;
    Done done;
  };
  void resume() override { run(); }
  void run();
  bool serve();
  void finish(CK_RV rv);
  void log_in_first();
  // `again`: called instead of `done` when another domain had its turn meanwhile.
  void show_own_pin(CK_SESSION_HANDLE session, std::function<void()> again, std::function<void(CK_RV)> done);
  void show_own_pin_again(CK_SESSION_HANDLE session, const std::function<void(CK_RV)>& done);
  bool has_turns() const { return turn_ != nullptr && own_pin_.present(); }
  void note_refusal(CK_RV rv) { (has_turns() ? turn_->refused : own_pin_refused_) = rv; }
  void log_in_again(Order& order);
  void check();
  void set_pin_in_checker();
  void prepare_check(Worker& checker, Worker::Prepared prepared);
  void log_out_last();
  bool comparable() const;
  bool same_user(const Order& order) const;
  void keep(const Order& order);
  void send_login(Worker& worker, CK_SESSION_HANDLE session, const KeptPin& pin, std::function<void(CK_RV)> done);
  void send_login(Worker& worker, CK_SESSION_HANDLE session, const Order& order, std::function<void(CK_RV)> done);

  Runtime& runtime_;
  const WorkerSpec spec_;
  const CK_USER_TYPE user_;
  const std::function<CK_SLOT_ID(Worker&)> slot_;
  const Hooks hooks_;
  Place* const shared_;
  Worker worker_;  // never started if the domain is shared
  WorkerObjects objects_;
  Place place_;
  Worker checker_;  // its process lives as long as one check
  struct CheckWaiter final : Waiter {
    explicit CheckWaiter(LoginDomain& of) : domain(of) {}
    void resume() override { domain.check(); }
    LoginDomain& domain;
  } check_waiter_;
  CK_SESSION_HANDLE check_session_ = CK_INVALID_HANDLE;
  KeptPin kept_;
  KeptPin own_pin_;
  OwnPinHooks own_pin_hooks_;
  Turn* turn_ = nullptr;
  struct TurnWaiter final : Waiter {
    void resume() override { std::exchange(again, {})(); }
    std::function<void()> again;
  } turn_waiter_;
  CK_SESSION_HANDLE service_session_ = CK_INVALID_HANDLE;  // keeps the token logged in while no other session is open
  Buffer user_name_;                                       // of those who are logged in, encoded; empty: none was given
  CK_RV own_pin_refused_ = CKR_OK;                         // what the HSM said to the own PIN: it is not offered again
  std::uint32_t mismatches_ = 0;                           // of PINs in a shared worker, which the HSM does not count
  std::uint32_t applications_ = 0;
  bool stale_ = false;    // the worker was running when a PIN changed: it may not check one any more
  bool running_ = false;  // the first order is being served
  bool in_run_ = false;   // orders are served one after the other: no recursion
  bool run_again_ = false;
  std::uint64_t pin_changes_ = 0;
  std::deque<Order> orders_;
};

}  // namespace p11shim
