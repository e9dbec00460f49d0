#include "tools/shimctl/automate/wrapped_size.h"

#include "tools/shimctl/automate/backup.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/keys/key_wrapping.h"

namespace p11shim {

std::optional<CK_ULONG> wrapped_size(const Session& session, CK_OBJECT_HANDLE key) {
  constexpr std::size_t kCheck = 8;  // what RFC 3394 adds
  try {
    const BackupKek kek(session, random_secret());
    WrapMechanism how;
    choose_wrapping(how, session, kek.handle(), "aes-kw", "sha256");
    const std::string wrapped = wrap_object(session, how, kek.handle(), key);
    if (wrapped.size() <= kCheck || wrapped.size() % 8 != 0) return std::nullopt;
    return 8 * (wrapped.size() - kCheck);
  } catch (const CallError&) {
    return std::nullopt;
  } catch (const Failure&) {
    return std::nullopt;
  }
}

}  // namespace p11shim
