// Copies what was made through the pool to its other members, as far as they can be reached; the rest stays owed (debts.h).
// Owns itself; goes on when its caller has gone.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "proxyd/loop/handles.h"
#include "proxyd/objects/state_directory.h"
#include "proxyd/tokens/place.h"

namespace p11shim {

class Pool;

class CreationCopies final : public std::enable_shared_from_this<CreationCopies> {
 public:
  // `least`: how many members have the object that fewest have.
  using Done = std::function<void(std::size_t least)>;
  // `intentions`: the journal's debts that say that it was begun; `among`: the members, as bits, that get copies at once.
  static void run(Pool& pool, Place& made_on, bool logged_in, std::vector<std::uint64_t> handles,
                  std::vector<std::uint64_t> intentions, Done done, std::uint64_t among = UINT64_MAX);
  CreationCopies(Pool& pool, Place& made_on, bool logged_in, std::vector<std::uint64_t> intentions, Done done);

 private:
  struct Object {
    std::uint64_t handle = 0;
    Identity identity{};
    std::size_t copies = 1;
  };
  struct Task {
    std::size_t object = 0;
    std::uint64_t debt = 0;
  };
  void lock_next(std::size_t index);
  void begin();
  void copy_next(Place& to, const std::shared_ptr<std::vector<Task>>& tasks, std::size_t index);
  void member_done();
  void conclude();

  Pool& pool_;
  Place& made_on_;
  const bool logged_in_;
  const std::vector<std::uint64_t> intentions_;
  Done done_;
  std::uint64_t among_ = UINT64_MAX;
  std::vector<Object> objects_;
  std::size_t members_left_ = 1;
  bool concluded_ = false;
  Timer timer_;
};

}  // namespace p11shim
