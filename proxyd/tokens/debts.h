// What the members of one pool owe, and how it is paid: the journal's debts, tried in order whenever a member can be
// reached. Keeps what a member shows of an object that it owes something about from being served there, and finds members
// that show again what was destroyed: those were restored from an older backup and serve nothing until the operator has
// decided (`pool sync` destroys it again, `member ready` takes it back).
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <unordered_map>

#include "proxyd/objects/journal.h"
#include "proxyd/objects/key_check.h"
#include "proxyd/tokens/place.h"

namespace p11shim {

class Pool;
struct Membership;
struct TokenObject;

class Debts {
 public:
  Debts(Pool& pool, Journal& journal) : pool_(pool), journal_(journal) {}

  [[nodiscard]] Journal& journal() { return journal_; }
  [[nodiscard]] const Journal& journal() const { return journal_; }
  [[nodiscard]] bool any() const;
  // All of this pool that can be paid now; several times a second.
  void tend(std::uint64_t now_ms);

  // Where a member's debts can be paid: everything that is there is known, and nothing is in doubt. Null: not now.
  Place* reachable(Membership& membership, bool is_private);
  // The same for one debt: what was wanted without a login is not done with anybody's before it is decided.
  Place* reachable(Membership& membership, const Debt& debt);

  // One write at a time about one object: `locked` is called when it is this one's turn.
  void lock(const Identity& identity, std::function<void()> locked);
  void unlock(const Identity& identity);
  [[nodiscard]] bool is_locked(const Identity& identity) const { return locks_.contains(identity); }

  // An object is to become known on a member. True: it is not served there for now.
  bool keeps_back(Place& place, const Description& seen, const Identity& identity, bool created);
  // From now on a member's copies of an object are not served, since it owes something about them.
  void withhold(Membership& membership, const Identity& identity);
  // It owes nothing about them any more.
  void give_back(Membership& membership, const Identity& identity);
  [[nodiscard]] bool owes(const Membership& membership, const Identity& identity) const;
  // What a member shows and does not serve: it owes something about it, or is to be looked at again before it serves it.
  [[nodiscard]] bool holds(const Place& place, const Identity& identity) const;
  void add_held(Place& place, std::vector<std::uint64_t>& reals);
  void forget_held(Place& place, std::uint64_t real);
  // A listing does not show it.
  void miss_held(Place& place, std::uint64_t real);
  // Among those there that nothing tells apart may be what this destruction means, though no handle says so: what they are known
  // as, and how many of them may stay.
  struct Hidden {
    Identity identity{};
    std::uint64_t left = 0;
  };
  [[nodiscard]] std::optional<Hidden> hidden_in(Place& place, const Debt& debt);

  // What the member has is not known any more: what was seen so far says nothing, nor does the process that showed it.
  void doubt(Debt& debt);
  // A debt is paid; the write is decided with it.
  void paid(std::uint64_t number);
  // The first of a write was refused by a member: nothing was done, so nothing is owed.
  void give_up(std::uint64_t write, const Identity& identity, std::optional<std::uint64_t> limit_before);
  // Nobody knows what came of a creation: it is looked up.
  void look_for_creation(std::uint64_t number);
  // Creations on several members at once. What they were to make is written down for each of these members (as bits) before it
  // is begun; empty: it could not be.
  std::optional<std::uint64_t> begin_creation(const std::vector<Debt>& made, std::uint64_t among);
  // What proves the object of this class that it makes, known before any copy of it can be anywhere. False: it could not be
  // written, so it has failed.
  bool note_made(std::uint64_t write, CK_OBJECT_CLASS object_class, const Identity& identity);
  // It has made these objects, and they stay; what else it may have left on members that are `unclear` (as bits) does not.
  // False: that could not be written, so it has failed.
  bool finish_creation(std::uint64_t write, const std::vector<std::uint64_t>& handles, std::uint64_t unclear);
  // It has failed. Nobody knows what it has left on these members (as bits); on the others nothing.
  void fail_creation(std::uint64_t write, std::uint64_t unclear);
  // Writes it into the journal. False: it could not be, which the log tells.
  bool write_down(JournalChange change);
  // An application is to hear of objects: no creation that has failed has left them. `renamed`: they may get any name now.
  // False: that could not be written.
  bool acknowledge(const std::vector<std::uint64_t>& handles, bool renamed = false);
  // This pool copies objects of this class to its other members.
  [[nodiscard]] bool copies(CK_OBJECT_CLASS object_class) const;
  // What each of the other members owes when `object` was made on `made_on`.
  void add_copies(JournalChange& change, const TokenObject& object, const Membership& made_on) const;
  void add_copy(JournalChange& change, const TokenObject& object, const Membership& to) const;
  // Copies an object to a member that owes it: done (the debt is paid), impossible (it is dropped), or another time.
  enum class CopyOutcome : std::uint8_t { done, impossible, later };
  using Copied = std::function<void(CopyOutcome)>;
  // It was tried since proxyd started, and turned out impossible.
  [[nodiscard]] bool cannot_be_copied(const Identity& identity, const Membership& to) const;
  void copy(std::uint64_t number, Place& to, Copied done);
  // A copy that was just made there is known from now on as what it is a copy of: by what proves it, or because it was made.
  // Unknown: it is there and could not be checked now, or could not be read and is gone again. What proves to be something
  // else, or cannot be told from another one there, is destroyed.
  enum class Bound : std::uint8_t { known, unknown, other };
  void bind_made(Place& to, std::span<const std::uint8_t> annex, const Identity& identity,
                 std::function<void(Bound)> done);

  // The write is done for good. From then on there may be no more look-alikes of what it destroys than stay; what it is about
  // itself has been limited before.
  void decide(JournalChange& change, std::uint64_t write);

  // That keys wrapped on one member are unwrapped on the other was seen since both workers were started.
  [[nodiscard]] bool trusted(const Place& from, const Place& to) const;
  void trust(const Place& from, const Place& to);

  // The operator's decisions about a member that shows what was destroyed. How many objects that are.
  std::size_t destroy_returned(Membership& membership);
  std::size_t accept_returned(Membership& membership);
  [[nodiscard]] std::size_t returned(const Membership& membership) const;
  // Debts that met an obstacle are tried again at once; `asked`: also those that only the operator can decide.
  void try_again(bool asked = false);
  // What may have been left by creations that failed, and is not destroyed since nothing proves it.
  void add_problems(std::vector<std::string>& all) const;
  // A member has left the pool.
  void forget_member(const std::string& name);

 private:
  struct Held {
    Identity identity{};
    std::uint64_t real = 0;
    std::string label;
    CK_OBJECT_CLASS object_class = 0;
    std::vector<std::uint8_t> id{};
    bool is_private = false;
    bool returned = false;     // it was destroyed once
    bool proven = false;       // there, by what this member shows or does
    std::uint64_t handle = 0;  // under which this process served it
    int seen_again = 0;        // and was there when it was looked at again
  };
  struct HeldIn {
    std::uint64_t generation = 0;
    std::vector<Held> objects;
  };
  std::vector<Held>& held(Place& place);
  [[nodiscard]] const std::vector<Held>* held_if_any(const Place& place) const;
  void distrust(Membership& membership);
  void check_returned(Membership& membership);
  void pay_next(std::uint64_t now_ms);
  [[nodiscard]] bool is_first(const Debt& debt);
  void hold(Place& place, Held seen);
  // Of several there that nothing proves and that look the same, nobody can say which one a debt means.
  [[nodiscard]] std::size_t meant_there(const Debt& debt);
  void leave_to_operator(const Debt& debt, std::size_t shown);
  void leave_hidden(const Debt& debt, Membership& owing, const Hidden& hidden);
  [[nodiscard]] bool is_ambiguous(const Debt& debt, Place& place, std::span<const std::uint64_t> reals);
  // The one that a debt means most likely: 0: none is held.
  [[nodiscard]] std::uint64_t meant_by(const Debt& debt, Place& place);
  // All that a member shows of this identity, held or served.
  std::vector<std::uint64_t> reals_of(Place& place, const Identity& identity);
  void forget_real(Place& place, const Identity& identity, std::uint64_t real);
  // What a member does not show of an object is not there; false: it is listed anew to know that, or its worker is started anew.
  bool is_sure(const Debt& debt, Membership& membership, Place& place);
  // Every member was asked, and none has it.
  bool is_gone(const Debt& debt);
  // A creation that has failed has left this there, it seems.
  [[nodiscard]] bool is_left_over(const Membership& membership, const Held& seen) const;
  // What is to be copied may be the work of a creation that is not finished.
  [[nodiscard]] bool is_unfinished(const Debt& copy) const;
  void add_undoing(JournalChange& change, const Debt& debt, const Identity& made, std::size_t stay) const;
  void accept_doubtful();
  void accept_changed();
  void add_acknowledged(JournalChange& change, const std::vector<std::uint64_t>& handles, bool renamed) const;
  void remove_clear(JournalChange& change, std::uint64_t write, std::uint64_t unclear);
  // How many creations of which nobody knows what came of them were to make this there.
  [[nodiscard]] std::size_t creations_of(const Membership& membership, const Held& seen) const;
  // What such a creation has made again after it had been destroyed is served. False: there is nothing of that kind.
  bool take_back(const Debt& creation, Membership& membership, Place& place);
  [[nodiscard]] std::uint64_t served(const Place& place, const Identity& identity) const;
  void note_destroyed(const Identity& identity, std::uint64_t handle);
  Membership* member_of(const Debt& debt) const;
  // A member that serves the object, other than this one.
  Place* source_for(const Membership& debtor, const Identity& identity, std::uint64_t& real);

  // One attempt to pay a debt: it has the object's lock and the member's turn until tried() or settle(), whatever becomes of
  // the debt meanwhile.
  struct Payment {
    std::uint64_t number = 0;
    Identity identity{};
    std::uint64_t bit = 0;
  };
  void pay(const Payment& payment, Debt& debt, Membership& membership, Place& place);
  void pay_destroy(const Payment& payment, Place& place);
  void pay_refresh(const Payment& payment, Debt& debt, Membership& membership, Place& place);
  void set_attributes(const Payment& payment, Place& place, std::uint64_t real, Buffer wanted);
  void pay_copy(const Payment& payment, Debt& debt, Membership& membership, Place& place);
  void pay_create(const Payment& payment, Debt& debt, Membership& membership, Place& place);
  void pay_unfinished(const Payment& payment, Debt& debt, Membership& membership, Place& place);
  void tried(const Payment& payment);
  void settle(const Payment& payment);
  void met_obstacle(Debt& debt, const std::string& what);
  void end_write_if_refused(std::uint64_t write);
  void bind_copy(std::uint64_t number, Place& to, std::span<const std::uint8_t> annex, Copied done);
  Bound judge_made(Place& to, const UnprovenKey& made, const Identity& identity);
  void look_at_made(Place& to, std::uint64_t real, const Identity& identity, std::function<void(Bound)> done);
  void destroy_made(Place& to, std::uint64_t real, std::function<void()> done);

  Pool& pool_;
  Journal& journal_;
  std::map<Identity, std::deque<std::function<void()>>> locks_;
  std::unordered_map<const Place*, HeldIn> held_;
  std::map<std::pair<const Place*, const Place*>, std::pair<std::uint64_t, std::uint64_t>> trusted_;
  std::set<std::pair<Identity, std::string>> uncopied_;  // to this member
  std::uint64_t paying_ = 0;                             // members, as bits: one debt at a time each
  std::uint64_t noticed_ = 0;                            // the last debt that was looked at
  std::uint64_t cleared_ms_ = 0;
  std::uint64_t checking_ = 0;  // members, as bits, whose returned objects are being looked at
  bool in_tend_ = false;
  bool again_ = false;  // a debt was paid meanwhile: there may be more to do
  const std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace p11shim
