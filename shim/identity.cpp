#include "shim/identity.h"

#include <cerrno>
#include <stdexcept>

#include <sys/random.h>
#include <unistd.h>

#include "calls/table.h"

namespace p11shim {
namespace {

Id128 random_id() {
  Id128 id;
  for (std::size_t filled = 0; filled < id.size();) {
    const ssize_t got = getrandom(id.data() + filled, id.size() - filled, 0);
    if (got < 0 && errno != EINTR) throw std::runtime_error("getrandom");
    if (got > 0) filled += static_cast<std::size_t>(got);
  }
  return id;
}

}  // namespace

Identity::Identity() : instance_(random_id()) {}

Identity::Identity(const Identity& parent) : Identity() {
  // A parent that has not been connected since it was forked itself: what it could prove, its child can.
  parent_ = parent.parent_;
  parent_secret_ = parent.parent_secret_;
  const Id128* secret = parent.secret_.load(std::memory_order_acquire);
  if (secret == nullptr) return;
  parent_ = parent.instance_;
  parent_secret_ = *secret;
}

Identity::~Identity() {
  for (Id128& secret : given_) wipe(secret.data(), secret.size());
  wipe(parent_secret_.data(), parent_secret_.size());
}

void Identity::introduce(Hello& hello) const {
  hello.fingerprint = kTableFingerprint;
  hello.word_size = sizeof(CK_ULONG);
  hello.instance = instance_;
  hello.pid = static_cast<std::uint32_t>(getpid());
  hello.program = program_invocation_short_name;
  const Id128* secret = secret_.load(std::memory_order_acquire);
  if (secret != nullptr) {
    hello.secret = *secret;
    return;
  }
  hello.parent = parent_;
  hello.secret = parent_secret_;
}

void Identity::welcomed(const Id128& secret) {
  const Id128* known = secret_.load(std::memory_order_acquire);
  if (known != nullptr && *known == secret) return;
  given_.push_front(secret);
  secret_.store(&given_.front(), std::memory_order_release);
}

}  // namespace p11shim
