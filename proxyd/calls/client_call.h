// One call of one application, from its request to its reply. It is a chain of steps; a step that has to wait is repeated
// when it is resumed, and looks everything up anew, since sessions, logins and workers may have gone meanwhile.
//
//   begin → (own turn in its session) → a step of the call's own, or forward:
//           choose the place → worker ready → objects translated → real session borrowed → lane → reply translated → finish
//
// A connection has one call at a time, so the call lives in the connection and the request stays in its buffer: bodies are
// forwarded from there, unread, and a forwarded small call allocates nothing.
#pragma once

#include <functional>
#include <memory>
#include <unordered_set>

#include "calls/table.h"
#include "proxyd/balance/faults.h"
#include "proxyd/calls/attempt.h"
#include "proxyd/calls/services.h"
#include "proxyd/loop/slices.h"
#include "proxyd/tokens/errand.h"
#include "proxyd/workers/client_area.h"
#include "proxyd/workers/lane_job.h"

namespace p11shim {

class LooseAttempt;

class ClientCall final : public LaneJob, public Waiter, public Deadline {
 public:
  // Where the reply goes. `reply`'s views are valid during the call only.
  using Answer = std::function<void(const Reply& reply)>;

  ClientCall(Services& services, Answer answer);
  ~ClientCall() override;

  // False: the request is malformed. The frame must stay where it is until the answer.
  bool begin(Application& application, std::span<const std::uint8_t> frame);
  [[nodiscard]] bool active() const { return active_; }
  // Where large data of the application's calls is; null: nowhere, in the messages.
  void use_area(std::shared_ptr<const ClientArea> area) { area_ = std::move(area); }
  [[nodiscard]] bool has_area() const { return area_ != nullptr; }
  // Of the call that was answered last: the module goes on with it, and may still write there.
  [[nodiscard]] bool area_is_lost() const { return area_is_lost_; }
  // Gives back what a large call took; not while one is active.
  void trim() {
    for (Buffer* buffer : {&head_, &scratch_, &values_, &in_line_}) buffer->clear(), buffer->trim(512);
  }
  // Of the call that was answered last: its arguments could not be read.
  [[nodiscard]] bool malformed() const { return malformed_; }

 private:
  using Step = void (ClientCall::*)();
  static Step own_step(std::uint32_t call);

  // client_call.cpp: the life of a call
  void resume() override { (this->*step_)(); }
  void expired() override;
  void go(Step step) { step_ = step, (this->*step_)(); }
  void finish(CK_RV rv);
  void finish(CK_RV rv, std::span<const std::uint8_t> body);
  void move_generation();
  void account(CK_RV rv);
  void leave_session();
  void withdraw_from_worker();
  [[nodiscard]] bool changes_own_object() const;
  std::uint64_t cap_for_member(std::uint64_t limit_ms);
  template <class Fn>
  auto guarded(Fn fn);  // fn is called only if this call has not ended meanwhile
  LoginDomain::Wanted still_active();

  // forward.cpp: calls that go to a worker
  void forward_session();
  void forward_sessionless();
  void forward_slot();
  Place* choose_place();
  Place* place_of_session_objects();
  bool names_private_object();
  bool worker_ready(Worker& worker);
  bool borrow(Place& place);
  void watch_scarcity(RealSessions& sessions);
  bool scarcity_ends();
  void end_scarcity();  // its own deadline counts again
  void send(Place& place);
  void submit(Place& place);
  bool lead_to_area(Worker& worker);
  bool copy_from_area();
  void on_reply(Reply& reply) override;
  void on_failure(JobFailure failure) override;
  [[nodiscard]] const void* application() const override { return application_; }
  void slot_reply(Reply& reply);
  void track_operations(const Reply& reply);
  // The call goes on with an operation that an earlier call began.
  [[nodiscard]] bool goes_on() const {
    return (info_->policy.effect == Effect::continues || info_->policy.effect == Effect::ends) && request_.init == 0;
  }
  void doubt_operations();
  void settle_lease();
  void after_success(Reply& reply);
  [[nodiscard]] bool changes_pin() const;
  void note_pin(CK_RV rv);  // as this call has changed it, or may have

  // balanced.cpp: the same in a pool of several members
  void forward_balanced();
  [[nodiscard]] bool logged_in() const;
  bool waits_for_members();
  void run_on(Place& place);
  bool takes_turn();
  void check_place();
  template <class Fn>
  void for_each_needed(Fn fn) const;
  [[nodiscard]] bool has_all(Place& place) const;
  Place* choose_member();
  void find_candidates(std::uint64_t now);
  [[nodiscard]] bool may_be_repeated() const;
  [[nodiscard]] bool names_session_objects() const;
  Place* bound_place();
  [[nodiscard]] const Member* counts_nonces_on() const;
  void wait_for_member(std::uint64_t now);
  [[nodiscard]] CK_RV missing_object() const;
  void begin_attempt();
  Membership* end_attempt();
  void attempt_succeeded();
  void attempt_failed(const std::string& why);
  void attempt_abandoned();
  void attempt_expired();
  bool answered_badly(const Reply& reply);
  bool worker_failed(JobFailure failure);
  bool no_session(CK_RV rv);
  bool ends_find();
  bool resolve_again();
  [[nodiscard]] Recourse recourse_after(Reached reached) const;
  bool may_try_elsewhere(Reached reached, bool restarts = false);
  void leave_place();

  // pool_logins.cpp: what a login means to the members
  void log_in_to_operation();
  void forget_failed_login();
  void ask_login(const Reply& reply);
  void login_told(bool is_logged_in);

  // hedging.cpp: a second attempt of a call that takes long
  [[nodiscard]] UsualTimes::Kind kind() const;
  [[nodiscard]] bool may_hedge() const;
  void arm_hedge();
  void hedge();
  void hedge_won(LooseAttempt& hedge, Reply& reply);
  void hedge_failed();
  void let_go_of_attempt();

  // replay.cpp
  void record_operation(const Reply& reply);
  void replay();
  void send_recorded(const RecordedCall& call);
  void replayed(const Reply& reply);
  void operation_ends();
  void forget_failed_operation(CK_RV rv);

  // balanced_objects.cpp
  void find_on_all(const Reply& reply);
  void take_found(Survey& survey, Place& place, const Reply& reply, std::uint64_t whole_below,
                  bool session_objects_only);
  void found_one();
  void finish_finding();

  // pool_writes.cpp: what is made, changed and destroyed in a pool of several members
  bool writes_to_copies();
  void write_copies();
  bool begin_creation();
  [[nodiscard]] bool makes_session_key() const;
  void create_sealed();
  void end_creation(bool known);
  void created_in_pool(Reply& reply);
  void copy_created(const std::vector<std::uint64_t>& handles);
  void set_pins();

  // pool_calls.cpp
  void answer_for_pool();
  void pool_slot_info();
  void pool_token_info();
  void pool_mechanisms();
  void wait_for_first_member();
  void log_in_to_pool(LoginState wanted, Buffer pin, Buffer user_name);

  // objects.cpp: handles in both directions
  bool translate(Place& place);
  bool resolve(Place& place, std::uint64_t handle, std::uint64_t& real);
  [[nodiscard]] bool sees_private() const;
  void take_inventory(Place& place);
  void absorb(Place& place, std::span<const std::uint8_t> annex);
  bool refuse_private(const Reply& reply);  // true: it answers
  void issue_created(Reply& reply);
  std::uint64_t issue_session_object(const Description& description);
  void note_changed(Reply& reply);
  void note_destroyed();
  void name_values();
  void note_key(const TokenObject* object, const SessionObject* session_object);

  // copies.cpp: session objects of another login domain than the one in which the call runs
  bool copy_here(Place& place, std::uint64_t handle, const SessionObject& original, std::uint64_t& real);
  void copied(std::uint64_t handle, Place& source, std::shared_ptr<SessionObject> copy);
  bool moves_to_login(CK_RV rv);
  void drop_copies();

  // call_log.cpp
  void log(CK_RV rv, std::span<const std::uint8_t> reply_body) const;

  // auditing.cpp
  OperationRecord record_of(CK_RV rv, std::span<const std::uint8_t> reply_body);
  void audit(CK_RV rv, std::span<const std::uint8_t> reply_body);
  void audit_led(OperationRecord own);

  // saved_state.cpp
  void set_operation_state();
  void remember_state(const Reply& reply);

  // find_calls.cpp
  void collect_found(Reply& reply);
  void add_found(Place& place, std::span<const std::uint64_t> reals, bool session_objects_only);
  void find_elsewhere();
  using Described = std::function<void()>;
  void describe(Place& place, std::vector<std::uint64_t> unknown, Described then);
  void search_failed(CK_RV rv);
  void abandon_search();
  void find_objects_init();
  void search_in_one_step();
  void search_done();
  [[nodiscard]] bool is_whole_search() const;
  [[nodiscard]] bool is_search() const { return info_->policy.objects == Objects::lists || is_whole_search(); }
  [[nodiscard]] std::span<const std::uint8_t> search_template() const {
    return is_whole_search() ? request_.init_body : request_.body;
  }
  void find_objects();
  void find_objects_final();

  // findings.cpp
  struct Findings;
  static std::shared_ptr<Findings> findings_of(Place& place, const Reply& reply, bool session_objects_only = false);
  void learn(const std::shared_ptr<Findings>& findings, std::function<void()> then);
  bool are_outdated(const Findings& findings);
  bool absorb_slice(Findings& findings);
  static bool check_slice(Findings& findings);
  void add_findings(const std::shared_ptr<Findings>& findings);

  // session_calls.cpp, slot_calls.cpp, login_calls.cpp, admin_calls.cpp: what proxyd answers itself
  bool enter_session();
  Pool* visible_pool(std::uint64_t slot);
  void open_session();
  void close_session();
  void close_all_sessions();
  void get_session_info();
  void get_slot_list();
  void answer_slot_list();
  void log_in();
  void log_out();
  void logged_in(LoginState state, LoginDomain& domain);
  void init_token();
  void init_token_forward();
  void init_pool_tokens();
  void token_initialized();
  void init_pin();
  void set_pin();
  [[nodiscard]] bool may(const AccessList& list) const;
  [[nodiscard]] bool may_administer() const;

  Services& services_;
  const Answer answer_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();  // guarded() knows by it that this object still exists
  std::uint64_t serial_ = 0;                                // of the call that is active

  bool active_ = false;
  bool malformed_ = false;
  Step step_ = nullptr;
  Application* application_ = nullptr;
  Request request_;
  const CallInfo* info_ = nullptr;
  std::uint64_t started_ns_ = 0;
  std::uint64_t lane_ns_ = 0;  // when a lane took it; 0 = none did
  std::uint32_t hsm_us_ = 0;
  Pool* pool_ = nullptr;
  VirtualSession* session_ = nullptr;  // whose turn this call has
  Place* place_ = nullptr;
  RealSession* lease_ = nullptr;    // borrowed for this call only
  RealSessions* scarce_ = nullptr;  // what it waits for may never come
  std::uint64_t deadline_at_ms_ = 0;
  std::uint64_t logins_ended_ = 0;               // when it entered its session
  std::weak_ptr<SessionObject> changed_object_;  // that the call names and may change or destroy
  bool only_asks_ = false;  // where operations are under way, whether one more may begin: without its key
  bool asked_ = false;
  bool search_is_over_ = false;    // of one that came as one step: in the module too
  bool collects_ = false;          // what a search has found
  bool state_refused_ = false;     // a saved state that is not this application's: the module sees an empty one
  std::vector<Place*> elsewhere_;  // places where a find goes on
  std::unordered_set<std::uint64_t> found_handles_;  // so far, if there are any
  Slices slices_;
  struct Copy {
    std::uint64_t handle;                   // of the original
    std::shared_ptr<SessionObject> object;  // null: it cannot be copied
  };
  std::vector<Copy> copies_;   // live as long as the call
  Place* moved_to_ = nullptr;  // where it runs, if not where the first object that it names would have it
  Attempts attempts_;
  AttemptDeadline attempt_deadline_{[this] { attempt_expired(); }};
  AttemptDeadline hedge_deadline_{[this] { hedge(); }};
  LooseAttempt* hedge_ = nullptr;         // a second attempt that is under way
  MemberId member_statistics_{};          // of the member of the last attempt
  Membership* creates_on_ = nullptr;      // a creation is under way there
  std::uint64_t creation_ = 0;            // its number
  std::vector<std::uint64_t> creations_;  // the journal's debts that say so
  Request forwarded_;
  Reply reply_;
  Buffer scratch_;
  Buffer values_;  // of attributes that were wanted along
  std::shared_ptr<const ClientArea> area_;
  bool uses_area_ = false;  // this call may
  bool area_is_lost_ = false;
  Buffer in_line_;  // the request's body, with what was in the area

  bool has_key_ = false;
  NamedKey key_;  // for the audit record
};

// Says whether this call is still the one that is active here.
inline LoginDomain::Wanted ClientCall::still_active() {
  return [this, alive = std::weak_ptr<char>(alive_), serial = serial_] {
    return !alive.expired() && active_ && serial == serial_;
  };
}

template <class Fn>
auto ClientCall::guarded(Fn fn) {
  return
      [this, fn = std::move(fn), alive = std::weak_ptr<char>(alive_), serial = serial_](auto&&... arguments) mutable {
        if (!alive.expired() && active_ && serial == serial_) fn(std::forward<decltype(arguments)>(arguments)...);
      };
}

}  // namespace p11shim
