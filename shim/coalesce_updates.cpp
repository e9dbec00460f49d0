// Small parts of a digest, signature or verification are gathered and sent as one: C_…Update(a), C_…Update(b) is
// C_…Update(ab). Only behind a first part that the module has taken, and only for mechanisms that hash what they are given,
// where no later part can be refused. Whatever else the application does in this session sends what was gathered first.
#include "calls/table.h"
#include "shim/coalesce.h"

namespace p11shim {
namespace {

constexpr std::size_t kMostGathered = std::size_t{64} << 10;  // bytes of one session
constexpr CK_ULONG kLargestPart = 4096;                       // a larger one is worth a message of its own

}  // namespace

bool Coalescing::gather(CK_SESSION_HANDLE session, std::uint32_t call, const CK_BYTE* part, CK_ULONG size) {
  if (part == nullptr || size == 0 || size > kLargestPart) return false;
  return application_.sessions().with(
      session, [&](SessionOperations& operations, KnownInits& known, const OpenSession&) {
        if (operations.gathers != call || operations.waiting.call != 0 || operations.lost != Operation::none)
          return false;
        if (operations.gathered.size() + size > kMostGathered) return false;
        operations.gathered.mark_secret();
        operations.gathered.append(part, size);
        known.list(operations);
        return true;
      });
}

// The module has taken a part: those that follow may be gathered.
void Coalescing::may_gather(CK_SESSION_HANDLE session, std::uint32_t call, Operation operation) {
  application_.sessions().with(session, [&](SessionOperations& operations, KnownInits&, const OpenSession&) {
    const bool is_last_begun = operations.began == operation && (operations.active & operation) != Operation::none;
    if (is_last_begun && operations.in_doubt == Operation::none && hashes_all(operations.mechanism))
      operations.gathers = call;
  });
}

void Coalescing::send_gathered(CK_SESSION_HANDLE session) {
  Buffer parts;
  std::uint32_t call = 0;
  application_.sessions().with(session, [&](SessionOperations& operations, KnownInits& known, const OpenSession&) {
    if (operations.gathered.empty() || operations.is_sending) return;
    if (operations.gathers == 0) return drop_gathered(operations, known);
    parts.swap(operations.gathered);
    known.list(operations);
    call = operations.gathers;
    operations.is_sending = true;
  });
  if (call == 0) return;
  CK_RV rv = CKR_HOST_MEMORY;
  try {
    rv = exchange_.perform_part(session, call, parts.bytes());
  } catch (...) {  // told to the operation's next call
    exchange_.socket().close();
    exchange_.end(true);
  }
  application_.sessions().with(session, [&](SessionOperations& operations, KnownInits&, const OpenSession&) {
    if (rv == CKR_OK) return;
    const Operation operation = operations.began;
    operations.gathers = 0;
    operations.active = operations.active & ~operation;
    operations.in_doubt = operations.in_doubt | operation;
    operations.lost = operation;
    operations.lost_rv = rv;
  });
  application_.sessions().sent(session);
}

}  // namespace p11shim
