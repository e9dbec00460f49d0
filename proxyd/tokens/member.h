// One token in one vendor module, and where calls on it run: in the public worker of its module's backend, or in the worker
// of the domain in which the application is logged in.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "proxyd/login/login_domain.h"
#include "proxyd/tokens/place.h"

namespace p11shim {

// One module with one environment: it has one public worker. Several members share it only where the configuration takes
// every token of a module (tokens = "*").
class Backend {
 public:
  Backend(Runtime& runtime, StartGate& gate, WorkerSpec spec, std::function<void(Worker&, Worker::Prepared)> prepare,
          std::function<void()> worker_lost);

  Worker& worker() { return worker_; }
  WorkerObjects& objects() { return objects_; }
  [[nodiscard]] const WorkerSpec& spec() const { return spec_; }

  // A PIN was changed by another worker: this one may not check PINs any more until it was started anew.
  void note_pin_changed() { stale_ = true; }
  [[nodiscard]] bool stale() const { return stale_; }
  void renew_if_stale() {
    if (std::exchange(stale_, false)) worker_.renew("a PIN was changed while it was running");
  }
  // Reads the list of slots anew. `count_first`: asks for their number first, as an application with a NULL list does;
  // SoftHSM looks for new tokens only then.
  void refresh_slots(bool count_first, std::function<void(CK_RV)> done);

 private:
  const WorkerSpec spec_;
  Worker worker_;
  WorkerObjects objects_;
  bool stale_ = false;
};

// How a member's token is found among the slots of a module: by its slot, or by its label, its serial number or both
// (the tokens of NSS differ in their labels only).
struct TokenIdentity {
  std::string label;
  std::string serial;
  std::optional<CK_SLOT_ID> slot;

  [[nodiscard]] bool matches(const SlotEntry& entry) const;
};

// Text of a fixed-size, blank-padded field of the standard (§3.1), without the padding.
std::string unpadded(const CK_UTF8CHAR* text, std::size_t size);
template <std::size_t N>
std::string unpadded(const CK_UTF8CHAR (&text)[N]) {
  return unpadded(text, N);
}
// The other way round; what is too long is cut.
template <std::size_t N>
void put_padded(CK_UTF8CHAR (&field)[N], const std::string& text) {
  std::fill(std::begin(field), std::end(field), ' ');
  std::copy_n(text.begin(), std::min(text.size(), N), field);
}

class Member {
 public:
  struct Hooks {
    std::function<void(Place&)> worker_lost;
    std::function<void(CK_USER_TYPE)> login_lost;
  };
  Member(Runtime& runtime, StartGate& gate, Backend& backend, MemberConfig config, TokenIdentity identity, Hooks hooks);

  [[nodiscard]] const std::string& name() const { return config_.name; }
  [[nodiscard]] const MemberConfig& config() const { return config_; }
  Backend& backend() { return backend_; }
  Place& public_place() { return public_place_; }
  // Of the public, the user and the SO domain; all the same one if they share a worker.
  std::array<Place*, 3> places() { return {&public_place_, &user_.place(), &so_.place()}; }
  LoginDomain& user() { return user_; }
  LoginDomain& so() { return so_; }
  // A PIN of this token was changed in `where`, or may have been: no PIN is kept that may be the old one, and workers that were
  // running elsewhere check none any more.
  void pin_changed(const Place& where, bool of_user_alone = false);

  // What happens to the public worker.
  void public_worker_lost();
  void prepare_public(Worker& worker, Worker::Prepared prepared);

  // The token's slot in this worker; an impossible one if it is not there, which the module then refuses.
  CK_SLOT_ID slot_in(const Worker& worker) const;
  // The token as the public worker last saw it; null before that, or while it is absent.
  [[nodiscard]] const SlotEntry* entry() const;
  [[nodiscard]] std::string serial() const;
  // C_InitToken gave the token another label and serial number: from now on it is this one.
  void identify_by(TokenIdentity identity) { identity_ = std::move(identity); }
  [[nodiscard]] const TokenIdentity& identity() const { return identity_; }

 private:
  WorkerSpec domain_spec(const char* domain) const;
  Place* shared_place();

  Backend& backend_;
  MemberConfig config_;
  TokenIdentity identity_;
  Hooks hooks_;
  Place public_place_;
  LoginDomain user_;
  LoginDomain so_;
};

}  // namespace p11shim
