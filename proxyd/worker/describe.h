// Reads what identifies an object, so that proxyd can give it a handle of its own. Remembers which objects were
// described already: a description is sent once per object and worker. Used by all lanes.
#pragma once

#include <mutex>
#include <span>
#include <unordered_set>
#include <vector>

#include "calls/lane_calls.h"
#include "proxyd/worker/module.h"

namespace p11shim {

class Describer {
 public:
  explicit Describer(const Module& module) : module_(module) {}

  enum class Which { all, unknown_only };
  // Appends the descriptions of these objects to `annex`, in their order, until it is large: the rest is asked for again.
  void describe(CK_SESSION_HANDLE session, std::span<const std::uint64_t> objects, Which which, Buffer& annex);
  // Writes a template with these attributes, or with all that a copy is made from: the contents of what is public, and
  // no value of a private or secret key. Those that the object does not show are left out.
  CK_RV read_template(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, std::vector<CK_ATTRIBUTE_TYPE> types,
                      Out& out);
  void forget(CK_OBJECT_HANDLE object);
  void forget_all();

 private:
  bool is_known(CK_OBJECT_HANDLE object);
  void remember(CK_OBJECT_HANDLE object);
  void describe_one(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, Out& out);

  const Module& module_;
  std::mutex mutex_;
  std::unordered_set<CK_OBJECT_HANDLE> known_;  // guarded by mutex_
};

}  // namespace p11shim
