// A line in which applications take turns, however many calls of each wait: deficit round robin (Shreedhar, Varghese), by time.
// A round gives each of them as much time as the longest call of the round before took, `kLongestTurn` at most; whoever takes
// more has that much less in the rounds that follow. So nobody waits for more than two turns of each other one, and a call of
// minutes is paid for by its own application. What calls cost is learned while somebody waits; until it is known, a call is a turn.
//
// Those without an application (proxyd's own calls) have a turn in each round in which all of them go that wait.
//
// Adding, taking and removing take constant time and, after the first rounds, no memory; only where calls take longer than a
// turn, each of them costs a look at everybody in the line. Whoever is in it may leave or be destroyed at any time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace p11shim {

class FairLine {
 public:
  class Item {
   public:
    Item() = default;
    Item(const Item&) = delete;
    Item& operator=(const Item&) = delete;
    [[nodiscard]] bool in_line() const { return line_ != nullptr; }
    void leave_line() {
      if (line_ != nullptr) line_->remove(*this);
    }

   protected:
    ~Item() { leave_line(); }

   private:
    friend class FairLine;
    FairLine* line_ = nullptr;
    const void* application_ = nullptr;
    Item* next_ = nullptr;
    Item* previous_ = nullptr;
  };

  FairLine() = default;
  FairLine(const FairLine&) = delete;
  FairLine& operator=(const FairLine&) = delete;
  ~FairLine();

  // `application` is a name only: it may be gone when its items are.
  void add(Item& item, const void* application);
  // Whose turn it is; there must be one. It is in the line no more.
  Item& take();
  // What a call of this application has taken.
  void took(const void* application, std::uint64_t us);

  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  static constexpr std::int64_t kLongestTurn = 1000;     // microseconds
  static constexpr std::int64_t kHighestCost = 100'000;  // of a call that hangs: its application is not locked out
  static constexpr std::size_t kFewShares = 1024;

  struct Share {
    const void* application = nullptr;
    Item* first = nullptr;
    Item* last = nullptr;
    std::size_t waiting = 0;
    std::int64_t left_us = 0;  // of its turn; negative: it has taken more than that
    std::int64_t cost_us = 0;  // of one call, on average; 0: nobody knows
    std::uint64_t round = 0;   // in which it had its turn last
    bool in_round = false;
    Share* next = nullptr;
  };
  using Shares = std::unordered_map<const void*, Share>;
  struct Round {
    Share* first = nullptr;
    Share* last = nullptr;
    void add(Share& share);
    void drop_first();
  };

  void remove(Item& item);
  Share& share_of(const void* application);
  void begin_turn(Share& share);
  void begin_round();
  void skip_rounds();
  Item& take_from(Share& share);
  void unlink(Share& share, Item& item);
  void forget(bool all);

  Shares shares_;  // of those that wait, and of those that waited since anybody does
  std::vector<Shares::node_type> spare_;
  std::size_t most_shares_ = kFewShares;
  Round now_;   // those whose turn comes in this round
  Round next_;  // and in the next one
  std::uint64_t round_ = 1;
  std::int64_t turn_us_ = 1;
  std::int64_t longest_us_ = 1;  // call in this round
  bool served_ = true;           // somebody, in this round
  std::size_t size_ = 0;
};

}  // namespace p11shim
