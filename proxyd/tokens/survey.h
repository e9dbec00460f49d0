// Which objects one member shows in one login domain: listed once after each start of the worker, fingerprinted, merged with
// what other members show. A member of a pool of several serves no object before that.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <unordered_map>
#include <unordered_set>

#include "proxyd/objects/key_check.h"
#include "proxyd/tokens/place.h"

namespace p11shim {

class Pool;
struct Debt;
struct TokenObject;

class Survey final : private Waiter {
 public:
  // The real handles that were found; empty if the worker was lost meanwhile.
  using Done = std::function<void(const std::vector<std::uint64_t>& reals)>;

  Survey(Pool& pool, Place& place) : pool_(pool), place_(place) {}

  // Every object is known that was there when the worker had started, or when its handles were forgotten last.
  [[nodiscard]] bool current() const { return place_.worker.state() == Worker::State::ready && listed_ == stamp(); }
  [[nodiscard]] bool running() const { return running_; }
  // The member was in trouble when some keys were checked: they are not served there until they were checked again.
  [[nodiscard]] bool incomplete() const { return incomplete_; }
  // It is not over with one listing, or with the last one.
  [[nodiscard]] bool wants_listing() const { return incomplete_ || second_last_ms_ == 0; }
  // Starts the worker if need be and lists all objects, unless that is under way.
  void begin();
  // An object was not found where it should be: lists again, at most once a second.
  void look_again(std::uint64_t now_ms);
  // What is known of its objects is wrong: lists again as soon as that is allowed.
  void doubt(std::uint64_t now_ms) {
    incomplete_ = true;
    look_again(now_ms);
  }
  // Two listings have been finished that began after that, and nothing is in doubt that the first one showed. What neither
  // showed is not there: modules miss objects now and then while another process makes or destroys some (SoftHSM does).
  [[nodiscard]] bool looked_twice_since(std::uint64_t ms) const;
  // A process may have lost sight of objects for as long as it lives (SoftHSM's do): what to believe of it is asked of the next one.
  // Not possible while that would end session objects, or a login for good; nor done too often.
  [[nodiscard]] bool can_renew() const;
  bool renew(const std::string& why);  // false: it was done a moment ago
  // Of this process, or since its handles were forgotten last, everything has been known once: what is seen for the first time now
  // has come since.
  [[nodiscard]] bool has_settled() const { return current() && settled_ == stamp(); }
  // Looks again at objects that were seen while they were made, by whom nobody knows, and at keys that could not be checked.
  void tend();
  // It shows a key that looks like what is owed, and nobody could find out whether it is.
  [[nodiscard]] bool may_show(const Debt& debt) const;

  // Objects whose creations have lower numbers (creations.h) are whole. To be asked before a search begins.
  [[nodiscard]] std::uint64_t whole_below() const;
  // Makes known what a search has found that began when whole_below() was this. Those that show no proof of what they are have
  // been checked when it calls back.
  void take(const Reply& reply, std::uint64_t whole_below, Done done);
  // The same for objects that were described by themselves.
  void take_described(std::span<const std::uint8_t> annex, Done done);
  // What was created there just now. What has no handle when it calls back could not be checked: nobody knows what it is.
  void take_created(std::span<const std::uint8_t> annex, Done done);

  // Public keys of that CKA_ID, seen on any member.
  [[nodiscard]] std::vector<PublicKey> publics_for(const ByteString& id) const;

  [[nodiscard]] Place& place() { return place_; }

 private:
  // Which handles are meant: of one process, until they were forgotten there.
  struct Stamp {
    std::uint64_t generation = 0;
    std::uint64_t epoch = 0;
    friend bool operator==(const Stamp&, const Stamp&) = default;
  };
  struct Round {
    Stamp stamp;
    std::uint64_t whole_below = UINT64_MAX;
    std::vector<std::uint64_t> reals;
    std::unordered_set<std::uint64_t> listed;  // the same, or what was described
    std::vector<std::uint64_t> unknown;        // not described yet
    std::vector<UnprovenKey> unproven;         // from `next` on
    std::size_t next = 0;
    bool proving = false;  // prove_next() is at work on the stack,
    bool goes_on = false;  // and has more to do
    bool created = false;
    bool lists_all = false;
    std::vector<std::uint64_t> unreadable;
    int repeats = 0;
    Done done;
  };
  // What a listing must show, when it begins.
  struct Expected {
    std::vector<std::uint64_t> reals;
    std::vector<std::uint64_t> handles;  // of objects that the member's other worker shows
  };
  [[nodiscard]] Stamp stamp() const { return {place_.worker.generation(), place_.objects.epoch()}; }
  std::shared_ptr<Round> begin_round(Done done);
  void resume() override;
  void finished();
  void take(const Reply& reply, std::uint64_t whole_below, const std::shared_ptr<Round>& round,
            const Expected* known = nullptr);
  void take_one_by_one(std::span<const std::uint8_t> annex, const std::shared_ptr<Round>& round);
  [[nodiscard]] Expected expected() const;
  void listed_all(Stamp begun, const Expected& known, const std::vector<std::uint64_t>& reals);
  void unbind_unlisted(const Expected& known, const Round& round);
  void forget_missing(const Expected& known, const std::vector<std::uint64_t>& reals);
  void judge_suspects();
  void forget_unshown();
  [[nodiscard]] static bool shows(const Pool& pool, const Place& place, const TokenObject& object);
  [[nodiscard]] Place& other_place() const;
  [[nodiscard]] bool is_known(std::uint64_t real) const;  // bound, or held back
  [[nodiscard]] bool is_whole(std::uint64_t real, const Round& round);
  void absorb(std::span<const std::uint8_t> annex, Round& round);
  bool gives_up_on(std::uint64_t real, CheckOutcome outcome);
  void look_at_half_made();
  void check_doubtful();
  void describe_unknown(const std::shared_ptr<Round>& round);
  void prove_next(const std::shared_ptr<Round>& round);
  void prove_one(const std::shared_ptr<Round>& round);
  void note_public(const Description& description);

  Pool& pool_;
  Place& place_;
  bool running_ = false;
  bool incomplete_ = false;
  Stamp listed_;
  Stamp settled_;
  std::uint64_t begun_ms_ = 0;
  std::uint64_t last_ms_ = 0, second_last_ms_ = 0;        // when listings began that were finished
  Stamp notes_of_;                                        // which handles these are about:
  std::map<ByteString, std::vector<PublicKey>> publics_;  // by CKA_ID
  std::unordered_map<std::uint64_t, std::uint64_t>
      half_made_;                                      // perhaps: by real handle, by which creation at the latest
  bool looking_ = false;                               // at some of them
  std::unordered_map<std::uint64_t, int> unreadable_;  // how often an object that was listed could not be read
  std::unordered_map<std::uint64_t, int> trouble_;     // how often a key that was listed could not be checked, weighed
  std::unordered_set<std::uint64_t> doubtful_;         // what is served unproven because of that
  bool renewed_in_trouble_ = false;                    // the process before had such trouble too
  std::uint64_t checked_ms_ = 0;                       // when it was tried last to prove them after all
  std::vector<std::uint64_t> unlisted_;                // handles whose objects the last listing did not show
  // Handles of the pool whose objects should have been listed and were not, and when that was noticed.
  std::unordered_map<std::uint64_t, std::uint64_t> suspects_;
  std::unordered_set<std::uint64_t> only_there_;  // what a fresh process does not show though the other worker does
  std::uint64_t renewed_ms_ = 0;
  const std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace p11shim
