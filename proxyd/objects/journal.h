// What members of pools still owe: writes that some members have and others do not yet. journal.db in the state directory.
//
// Every write to several copies is written here first, as one debt per member, and each debt is deleted when it was paid
// there; so after a crash at any point what is still to be done is here. Debts say what a member must come to, not what is
// to be called (at most so many objects of this identity, at least so many, the same attributes as the others): to pay one
// twice does no harm. A member's debts about one object are paid in their order.
//
// No debt holds a secret: contents are read from a member that has them when they are needed.
//
// Beside them: how many objects of an identity that was destroyed may still exist (*limits*, kept for ever, so that what
// was destroyed cannot come back with an old backup), and which objects are copies that proxyd made itself, where
// nothing proves it or another member proves it by something else (*origins*).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pkcs11/cryptoki.h"
#include "proxyd/objects/debt_index.h"
#include "proxyd/objects/state_directory.h"

namespace p11shim {

enum class DebtKind : std::uint8_t {
  create = 1,   // a creation was begun on this member: what came of it is to be copied
  copy = 2,     // it must have at least `count` of these objects
  refresh = 3,  // the attributes listed in `details` must be as on the other members
  destroy = 4,  // it may have at most `count` of these objects
  // A creation on several members at once was begun: what has this class, label and id, and is not listed in `details`
  // (unfinished_debts.cpp), is to be destroyed
  unfinished = 5,
};

struct Debt {
  std::uint64_t number = 0;  // in order; given by the journal
  std::uint64_t write = 0;   // the number of the first debt of the same write
  DebtKind kind = DebtKind::destroy;
  bool decided = false;  // a member has done it: it is not given up any more
  std::string pool;
  std::string member;
  Identity identity{};
  std::uint64_t handle = 0;
  std::uint64_t count = 0;
  CK_OBJECT_CLASS object_class = 0;
  bool is_private = true;
  std::vector<std::uint8_t> id;  // these two for messages, and to find what a creation has made
  std::string label;
  std::vector<std::uint8_t> details;  // refresh: encoded attribute types; destroy: see keep_limit()

  // Of creations: an object that looks like this is what they were to make.
  [[nodiscard]] bool names(CK_OBJECT_CLASS its_class, std::span<const std::uint8_t> its_id,
                           std::string_view its_label) const;
  [[nodiscard]] bool creates() const { return kind == DebtKind::create || kind == DebtKind::unfinished; }
  [[nodiscard]] std::optional<std::uint64_t> limit_before() const;
  // Of destructions: who wanted it was not logged in. Before a member has done it nobody's login may be used for it.
  [[nodiscard]] bool anonymous() const { return (flags() & kAnonymous) != 0; }
  // It is about look-alikes of what was destroyed, one of which that may be: only the operator can say.
  [[nodiscard]] bool unsure() const { return (flags() & kUnsure) != 0; }
  static constexpr std::uint8_t kAnonymous = 1, kUnsure = 2;
  void keep_limit(std::optional<std::uint64_t> limit, std::uint8_t flags);

  // Not stored. Under way: somebody is waiting for the member's answer.
  bool under_way = false;
  std::uint64_t noticed_ms = 0;  // since when it is to be paid, as far as this process knows; 0: not looked at yet
  // When nobody could tell any more what the member has: only a worker that was started later says so. 0: never.
  std::uint64_t doubted_ms = 0;
  // Why it cannot be paid as things are; empty: it can, or was not tried.
  std::string obstacle;
  bool hopeless = false;  // the obstacle goes away by nothing but the operator's word

 private:
  [[nodiscard]] std::uint8_t flags() const;
};

// What happens to the journal at once: all of it or nothing, durable when apply() returns.
struct JournalChange {
  std::vector<Debt> add;  // of one write
  std::vector<std::uint64_t> remove;
  std::vector<Debt> amend;              // `count` and `details` of debts that are there
  std::optional<std::uint64_t> decide;  // this write
  std::vector<std::pair<Identity, std::optional<std::uint64_t>>> limits;  // nothing: no limit any more
  std::vector<std::pair<Identity, Identity>> origins;
};

class Journal {
 public:
  // Throws std::runtime_error with words for the operator.
  explicit Journal(const std::string& file);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // The write's number, for what was added; empty: it could not be written, and nothing has changed.
  std::optional<std::uint64_t> apply(JournalChange change);
  [[nodiscard]] const std::string& problem() const { return problem_; }  // of the last apply() that failed

  // In their order.
  [[nodiscard]] std::map<std::uint64_t, Debt>& debts() { return debts_; }
  [[nodiscard]] Debt* find(std::uint64_t number);
  // Those about one object; creations that were to make something of this name; all creations on several members at once; of one
  // write. None of these looks at any other, and each is in their order.
  [[nodiscard]] std::vector<Debt*> about(const Identity& identity) { return all(index_.about(identity)); }
  [[nodiscard]] std::vector<Debt*> creations(CK_OBJECT_CLASS object_class, const std::vector<std::uint8_t>& id,
                                             const std::string& label) {
    return all(index_.creations(object_class, id, label));
  }
  [[nodiscard]] std::vector<Debt*> unfinished() { return all(index_.unfinished()); }
  [[nodiscard]] std::vector<Debt*> of_write(std::uint64_t write);
  // A member's first after this number; null: there is none.
  [[nodiscard]] Debt* next_of(const std::string& pool, const std::string& member, std::uint64_t after);
  // Its debts that change or end what it has: until they are paid it does not serve these objects.
  [[nodiscard]] bool withholds(const std::string& pool, const std::string& member, const Identity& identity) const;
  [[nodiscard]] std::optional<std::uint64_t> limit(const Identity& identity) const;
  [[nodiscard]] bool has_limits() const { return !limits_.empty(); }
  // What an object without proof is, by how it was first seen.
  [[nodiscard]] const Identity* origin(const Identity& first_seen) const;

 private:
  struct IdentityHash {
    std::size_t operator()(const Identity& identity) const;
  };
  void load();
  void write(JournalChange& change);
  void insert(Debt& debt);
  void put(Debt debt);
  std::vector<Debt*> all(const DebtIndex::Numbers& numbers);

  ::sqlite3* database_ = nullptr;
  std::string problem_;
  std::map<std::uint64_t, Debt> debts_;
  DebtIndex index_;
  std::uint64_t last_number_ = 0;
  std::unordered_map<Identity, std::uint64_t, IdentityHash> limits_;
  std::unordered_map<Identity, Identity, IdentityHash> origins_;
};

}  // namespace p11shim
