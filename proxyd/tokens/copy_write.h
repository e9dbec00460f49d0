// One C_DestroyObject or C_SetAttributeValue on all copies of an object in a pool of several members.
//
//   intention written (a debt per member) → one member does it → the others do → what is paid is deleted, the answer given
//
// The member that is first decides: what it refuses nobody does. If all answer that they have failed it is looked up whether the
// object is still there: then nothing was done either. From its success on the write is done for the application,
// and who cannot be reached does it later (debts.h). It goes on when its caller has gone. Owns itself.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "proxyd/loop/handles.h"
#include "proxyd/tokens/debts.h"
#include "proxyd/tokens/place.h"

namespace p11shim {

class Pool;
struct Membership;
struct TokenObject;

class CopyWrite final : public std::enable_shared_from_this<CopyWrite> {
 public:
  struct Order {
    std::uint32_t call = 0;
    std::uint64_t handle = 0;
    Buffer body;  // the application's
    bool logged_in = false;
    Place* first = nullptr;  // who does it first, if it has it
  };
  using Done = std::function<void(CK_RV)>;

  static void start(Pool& pool, Order order, Done done);
  CopyWrite(Pool& pool, Order order, Done done);

 private:
  enum class State : std::uint8_t { waiting, under_way, done, missing, refused, failed, out_of_reach };
  struct Target {
    Membership* member = nullptr;
    Place* place = nullptr;
    std::uint64_t real = 0;
    std::uint64_t generation = 0;  // of the process whose handle that is
    std::uint64_t debt = 0;
    State state = State::waiting;
    CK_RV rv = CKR_OK;                    // of a failure that it has answered
    bool lost = false;                    // it was there, and is not shown
    std::optional<Debts::Hidden> hidden;  // one of these there may be it
    [[nodiscard]] const Identity& identity_or(const Identity& usual) const { return hidden ? hidden->identity : usual; }
  };
  void begin();
  bool plan(const TokenObject& object);
  // Of its copies of what is destroyed, those that may stay there: look-alikes.
  [[nodiscard]] std::uint64_t left_on(const Target& target) const;
  [[nodiscard]] std::size_t unlinked_on(const Target& target) const;
  bool write_intention(const TokenObject& object);
  [[nodiscard]] Debt debt_about(const TokenObject& object) const;
  void next();
  void send(std::size_t index);
  void answered(std::size_t index, Reply* reply);
  void blame(const Target& target);
  void look();
  void looked(std::size_t index, Reply* reply);
  void too_slow();
  void conclude();
  void settle_object();
  [[nodiscard]] bool any(State state) const;

  Pool& pool_;
  Order order_;
  Done done_;
  const bool destroys_;
  Identity identity_{};
  std::string label_;
  std::vector<Target> targets_;
  std::optional<std::uint64_t> write_;
  std::optional<std::uint64_t> limit_before_;
  std::vector<Debt> dropped_;  // owed before, and in vain once it is destroyed
  bool decided_ = false;
  bool concluded_ = false;
  bool looks_ = false;
  std::size_t left_to_look_ = 0;
  CK_RV rv_ = CKR_DEVICE_ERROR;
  Buffer description_;  // of the object after the change, from the first member
  Place* described_by_ = nullptr;
  Timer timer_;
};

}  // namespace p11shim
