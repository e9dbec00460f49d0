// What a worker's answer to a search makes known: descriptions of objects that are new, then the objects themselves. Of many
// objects that takes longer than others should wait: it is done in slices. Between two of them the worker may die, and then the
// handles mean nothing; or an object be destroyed, and then its handle may be another one's by now.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "proxyd/calls/client_call.h"

namespace p11shim {
namespace {
// About a millisecond.
constexpr std::size_t kDescribedInSlice = 100;
constexpr std::size_t kDescribedBytesInSlice = 64 << 10;
constexpr std::size_t kHandlesInSlice = 4096;
}  // namespace

struct ClientCall::Findings {
  Place& place;
  std::vector<std::uint64_t> reals;
  const std::uint64_t epoch;           // of the worker's objects
  const std::uint64_t removals;        // as well
  std::span<const std::uint8_t> left;  // of the descriptions
  const bool session_objects_only;     // the others are neither wanted nor described
  Buffer annex = {};                   // they are in, if that takes longer than the reply lives
  std::size_t next = 0;                // of the handles
  std::vector<std::uint64_t> unknown = {};
};

std::shared_ptr<ClientCall::Findings> ClientCall::findings_of(Place& place, const Reply& reply,
                                                              bool session_objects_only) {
  return std::make_shared<Findings>(Findings{place,
                                             {reply.handles.begin(), reply.handles.end()},
                                             place.objects.epoch(),
                                             place.objects.removals(),
                                             reply.annex,
                                             session_objects_only});
}

// Makes known what these handles mean, and goes on; if that fails, this call has ended.
void ClientCall::learn(const std::shared_ptr<Findings>& findings, std::function<void()> then) {
  const auto slice = [this, findings, then = std::move(then)] {
    if (are_outdated(*findings)) return false;
    if (absorb_slice(*findings) || check_slice(*findings)) return true;
    describe(findings->place, std::move(findings->unknown), then);
    return false;
  };
  if (findings->reals.size() <= kHandlesInSlice && findings->left.size() <= kDescribedBytesInSlice) {
    while (slice()) {
    }
    return;
  }
  findings->annex.append(findings->left.data(), findings->left.size());
  findings->left = findings->annex.bytes();
  services_.runtime.log.debug("{} objects were found in {}: they are taken in one by one", findings->reals.size(),
                              findings->place.member->name());
  slices_.begin(slice);
}

// The worker is gone. Session objects in it are gone, too, and the search goes on; of others nothing may be missing.
bool ClientCall::are_outdated(const Findings& findings) {
  if (findings.place.objects.epoch() == findings.epoch) return false;
  if (findings.session_objects_only) find_elsewhere();
  else search_failed(CKR_DEVICE_ERROR);
  return true;
}

// False: that was the last slice.
bool ClientCall::absorb_slice(Findings& findings) {
  if (findings.left.empty()) return false;
  // Which handles are others' by now nobody knows: the rest is asked for again.
  if (findings.place.objects.removals() != findings.removals) findings.left = {};
  In in(findings.left);
  Description description;
  for (std::size_t i = 0; i < kDescribedInSlice && in.remaining() != 0; ++i) {
    if (findings.left.size() - in.remaining() > kDescribedBytesInSlice || !read_description(in, description)) break;
    if (description.readable && description.is_token) (void)pool_->bind(findings.place, description, {});
  }
  findings.left = in.ok() ? findings.left.last(in.remaining()) : std::span<const std::uint8_t>();
  if (!findings.left.empty()) return true;
  if (!findings.annex.empty())
    services_.runtime.log.debug("what was found in {} is described", findings.place.member->name());
  return false;
}

// What was described to us once already, in a reply that is still on its way or was dropped, what has been forgotten since, and
// what was too much for one reply is asked for again, until everything has been described: nothing may be missing.
bool ClientCall::check_slice(Findings& findings) {
  if (findings.session_objects_only) return false;  // they are known
  const WorkerObjects& objects = findings.place.objects;
  const std::size_t end = std::min(findings.next + kHandlesInSlice, findings.reals.size());
  for (; findings.next < end; ++findings.next) {
    const std::uint64_t real = findings.reals[findings.next];
    if (objects.handle_of(real) == 0 && objects.session_object(real) == nullptr) findings.unknown.push_back(real);
  }
  return findings.next < findings.reals.size();
}

// Adds them to what the application's search has found, and looks elsewhere for more.
void ClientCall::add_findings(const std::shared_ptr<Findings>& findings) {
  findings->next = 0;
  const auto slice = [this, findings] {
    if (are_outdated(*findings)) return false;
    const std::span<const std::uint64_t> reals = findings->reals;
    const auto some = reals.subspan(findings->next, std::min(kHandlesInSlice, reals.size() - findings->next));
    add_found(findings->place, some, findings->session_objects_only);
    findings->next += some.size();
    if (findings->next < reals.size()) return true;
    find_elsewhere();
    return false;
  };
  if (findings->reals.size() > kHandlesInSlice) return slices_.begin(slice);
  slice();
}

}  // namespace p11shim
