// Makes one object of a member again on another. Public keys, certificates and data: from their attributes. Keys: wrapped by
// the pool's wrapping key on the one, unwrapped on the other with the attributes of the first, after it was seen that both
// have the same wrapping key and mean the same by their mechanisms. A secret key that is no whole number of
// blocks is unwrapped as a session object first, and not copied if that is not as long: modules may keep what wrapping has filled it
// up with. Owns itself and always calls back.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "proxyd/tokens/place.h"

namespace p11shim {

class Pool;

// A key's template as it is, but for where the key lives and whether it may leave.
void encode_key_template(Out& out, const CK_ATTRIBUTE* attributes, CK_ULONG count, bool on_token, bool extractable);

class ObjectCopy final : public std::enable_shared_from_this<ObjectCopy> {
 public:
  enum class Outcome : std::uint8_t {
    done,
    impossible,  // this object cannot be copied
    hindered,    // nor can others, until something is put right
    trouble,     // a member failed
    unclear,     // the member it goes to did when it made the copy: it may be there
  };
  // `annex` describes the new object.
  using Done = std::function<void(Outcome outcome, const std::string& why, std::span<const std::uint8_t> annex)>;
  struct Order {
    Place* from = nullptr;
    std::uint64_t real = 0;  // there
    Place* to = nullptr;
    bool is_key = false;  // a private or secret one
    bool seals = false;   // of a session object: the copy is a token object, and not extractable
  };

  static void run(Pool& pool, Order order, Done done);
  ObjectCopy(Pool& pool, Order order, Done done)
      : pool_(pool),
        order_(order),
        done_(std::move(done)),
        from_generation_(order.from->worker.generation()),
        to_generation_(order.to->worker.generation()) {}

 private:
  // A reply of a member that is as it should be; otherwise the copy is over.
  bool good(const Reply* reply, const Place& at, const char* what);
  void finish(Outcome outcome, const std::string& why, std::span<const std::uint8_t> annex = {});
  bool find_wrapping_key(Place& at, std::uint64_t& real);
  // Handles of the one process mean other objects in the next.
  [[nodiscard]] std::uint64_t generation_of(const Place& at) const {
    return &at == order_.from ? from_generation_ : to_generation_;
  }
  void call(Place& at, std::uint32_t number, std::vector<std::uint64_t> objects, bool read_write, Buffer body,
            std::function<void(Reply*)> done);
  void read();
  void create();
  void wrap();
  void unwrap();
  void make();
  void try_length(CK_ULONG original);
  void ask_length(Place& at, std::uint64_t key, std::function<void(ObjectCopy&, CK_ULONG)> then);
  // The round trip: a fresh key is wrapped on one, unwrapped on the other and wrapped there again, which must give the same.
  void try_wrapping();
  void try_unwrapping();
  void compare_wrapping();
  void tried(bool same);
  void wrap_at(Place& at, std::uint64_t wrapping_key, std::uint64_t key,
               std::function<void(ObjectCopy&, std::span<const std::uint8_t>)> then);
  void unwrap_at(std::span<const std::uint8_t> tmpl, std::function<void(ObjectCopy&, Reply&)> then);
  void forget(Place& at, std::uint64_t& key);

  Pool& pool_;
  const Order order_;
  Done done_;
  std::uint64_t wrapping_from_ = 0, wrapping_to_ = 0;
  std::uint64_t trial_from_ = 0, trial_to_ = 0;  // session keys
  const std::uint64_t from_generation_, to_generation_;
  bool trial_ = false;
  bool making_ = false;
  std::vector<std::uint8_t> wrapped_;
  Buffer template_;
};

}  // namespace p11shim
