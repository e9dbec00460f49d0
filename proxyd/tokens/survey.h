// Which objects one member shows in one login domain: listed once after each start of the worker, fingerprinted, merged with
// what other members show. A member of a pool of several serves no object before that.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "proxyd/objects/key_check.h"
#include "proxyd/tokens/place.h"

namespace p11shim {

class Pool;

class Survey final : private Waiter {
 public:
  // The real handles that were found; empty if the worker was lost meanwhile.
  using Done = std::function<void(const std::vector<std::uint64_t>& reals)>;

  Survey(Pool& pool, Place& place) : pool_(pool), place_(place) {}

  // Every object is known that was there when the worker had started.
  [[nodiscard]] bool current() const {
    return place_.worker.state() == Worker::State::ready && listed_ == place_.worker.generation();
  }
  [[nodiscard]] bool running() const { return running_; }
  // The member was in trouble when some keys were checked: they are not served there until they were checked again.
  [[nodiscard]] bool incomplete() const { return incomplete_; }
  // Starts the worker if need be and lists all objects, unless that is under way.
  void begin();
  // An object was not found where it should be: lists again, at most once a second.
  void look_again(std::uint64_t now_ms);
  // What is known of its objects is wrong: lists again as soon as that is allowed.
  void doubt(std::uint64_t now_ms) {
    incomplete_ = true;
    look_again(now_ms);
  }

  // Makes known what a search has found. Those that show no proof of what they are have been checked when it calls back.
  void take(const Reply& reply, Done done);
  // The same for objects that were described by themselves.
  void take_described(std::span<const std::uint8_t> annex, Done done);
  // What was created there just now. What has no handle when it calls back could not be checked: nobody knows what it is.
  void take_created(std::span<const std::uint8_t> annex, Done done);

  [[nodiscard]] Place& place() { return place_; }

 private:
  struct Round {
    std::uint64_t generation = 0;
    std::vector<std::uint64_t> reals;
    std::vector<std::uint64_t> unknown;  // not described yet
    std::vector<UnprovenKey> unproven;   // from `next` on
    std::size_t next = 0;
    bool created = false;
    int repeats = 0;
    Done done;
  };
  void resume() override;
  void finished();
  void forget_missing(const std::vector<std::uint64_t>& known, const std::vector<std::uint64_t>& reals);
  void absorb(std::span<const std::uint8_t> annex, Round& round);
  void describe_unknown(const std::shared_ptr<Round>& round);
  void prove_next(const std::shared_ptr<Round>& round);
  void note_public(const Description& description);

  Pool& pool_;
  Place& place_;
  bool running_ = false;
  bool incomplete_ = false;
  std::uint64_t listed_ = 0;  // the worker's generation
  std::uint64_t begun_ms_ = 0;
  std::uint64_t publics_of_ = 0;                          // the generation whose public keys these are
  std::map<ByteString, std::vector<PublicKey>> publics_;  // by CKA_ID
  const std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace p11shim
