// What must survive a restart of proxyd: the key of the object handles, and the records that keep a handle the same when
// what it was computed from has changed. All proxyd of a fleet have the same `handle_key`; the operator copies it.
//
//   lock         held by proxyd and by its workers as long as they live: what a proxyd that was killed had begun is over before the
//                next one looks
//   handle_key   32 random bytes, mode 0600, made at the first start
//   objects.db   SQLite: identity → handle, for objects that were changed or have identical twins; keyed hashes of PINs
//                that a member of a pool refused; which member makes a key's nonces; what the operator wants of
//                members; what the member that a pool looks like showed first; which mechanisms members have told
//   journal.db   SQLite: what members of pools still owe (journal.h)
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

struct sqlite3;

namespace p11shim {

class Journal;

using HandleKey = std::array<std::uint8_t, 32>;
using Identity = std::array<std::uint8_t, 32>;  // SHA-256 of what identifies an object

enum class PinOf : std::uint8_t { user, so };

class StateDirectory {
 public:
  // Makes the directory (0700) and the key where missing. Throws std::runtime_error with words for the operator: not
  // writable, open to others, a key of a wrong size, a database that is not ours.
  using Complain = std::function<void(const std::string& problem)>;
  explicit StateDirectory(
      const std::string& path, Complain complain = [](const std::string&) {});
  ~StateDirectory();
  StateDirectory(const StateDirectory&) = delete;
  StateDirectory& operator=(const StateDirectory&) = delete;

  [[nodiscard]] const HandleKey& handle_key() const { return handle_key_; }
  [[nodiscard]] Journal& journal() { return *journal_; }
  [[nodiscard]] int lock() const { return lock_; }  // for workers

  // One record: an object of this identity, told apart from twins by `features`, has this handle. Durable on return.
  struct Alias {
    Identity identity;
    Identity features;
    std::uint64_t handle;
  };
  // A handle has one record: the one before is replaced. What cannot be written is told to `complain`: handles stay as they
  // are until the next start.
  void remember(const Alias& alias);
  void forget(std::uint64_t handle);
  // PINs that a member refused, as keyed hashes: they are never shown to it again. Durable on return.
  [[nodiscard]] bool is_refused(const Identity& hash);
  [[nodiscard]] bool has_refused(const std::string& member, PinOf of);
  void remember_refused(const Identity& hash, const std::string& member, PinOf of);
  void forget_refused(const Identity& hash);
  void forget_refused(const std::string& member, PinOf of);
  // The member on which alone a key's nonces are made, by what the key is known as. Durable on return.
  void remember_nonce_maker(const Identity& key, const std::string& member);
  void for_each_nonce_maker(const std::function<void(const Identity& key, const std::string& member)>& visit);
  void for_each(const std::function<void(const Alias&)>& visit);
  // What the operator wants of a member of a pool. Durable on return.
  struct MemberWish {
    std::string pool, member;
    std::string state;  // drain or maint; ready: nothing special
    std::string reason;
    std::uint64_t since = 0;              // seconds since 1970
    std::uint32_t weight = 0;             // 0: as configured
    std::uint32_t configured_weight = 0;  // which that one took the place of
  };
  void remember(const MemberWish& wish);
  void for_each(const std::function<void(const MemberWish&)>& visit);
  // What a pool shows of its token and slot that looks like this member. Durable on return.
  struct Face {
    std::string pool, member;
    std::string label, serial, manufacturer, model;  // of the token
    std::string slot_description, slot_manufacturer;
  };
  void remember(const Face& face);
  [[nodiscard]] std::optional<Face> face(const std::string& pool, const std::string& member);
  // The mechanisms that a member of a pool told last (capabilities.h); empty: it never did. Durable on return.
  void remember_mechanisms(const std::string& pool, const std::string& member,
                           std::span<const std::uint8_t> mechanisms);
  [[nodiscard]] std::vector<std::uint8_t> mechanisms(const std::string& pool, const std::string& member);

 private:
  void take_lock(const std::string& path);
  void release();
  void open_database(const std::string& file);
  void execute(const char* sql);
  void insert(const Alias& alias);
  void remove(std::uint64_t handle);
  void open_refused();
  // Runs `change`; what cannot be written is told.
  template <class Change>
  void write(Change change);

  const Complain complain_;
  HandleKey handle_key_{};
  std::unique_ptr<Journal> journal_;
  sqlite3* database_ = nullptr;
  int lock_ = -1;
};

}  // namespace p11shim
