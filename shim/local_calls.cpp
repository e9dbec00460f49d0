#include "shim/local_calls.h"

#include <algorithm>
#include <string_view>

#include "shim/boundary.h"
#include "shim/initialize_args.h"
#include "shim/process.h"

namespace p11shim {
namespace {

template <std::size_t N>
void fill_padded(CK_UTF8CHAR (&field)[N], std::string_view text) {
  static_assert(N == 32);
  std::fill(std::copy_n(text.begin(), std::min(N, text.size()), field), std::end(field), ' ');
}

}  // namespace

// SoftHSM's order: first whether it is initialised, then the arguments.
CK_RV initialize(CK_VOID_PTR pInitArgs) noexcept {
  return at_the_boundary([&]() -> CK_RV {
    if (process.is_initialised()) return CKR_CRYPTOKI_ALREADY_INITIALIZED;
    const CK_RV rv = check_initialize_args(pInitArgs);
    return rv != CKR_OK ? rv : process.initialise();
  });
}

CK_RV finalize(CK_VOID_PTR pReserved) noexcept {
  return at_the_boundary([&] { return process.finalise(pReserved); });
}

CK_RV get_info(CK_INFO_PTR pInfo) noexcept {
  return at_the_boundary([&]() -> CK_RV {
    if (!process.is_initialised()) return codes::kNotInitialised;
    if (pInfo == nullptr) return CKR_ARGUMENTS_BAD;
    *pInfo = {};
    pInfo->cryptokiVersion = {2, 40};
    fill_padded(pInfo->manufacturerID, "p11shim");
    fill_padded(pInfo->libraryDescription, "PKCS#11 proxy");
    pInfo->libraryVersion = {P11SHIM_VERSION_MAJOR, P11SHIM_VERSION_MINOR};
    return CKR_OK;
  });
}

// Slots come and go with proxyd's configuration and health, of which the shim is not told.
CK_RV wait_for_slot_event(CK_FLAGS flags, CK_SLOT_ID_PTR pSlot, CK_VOID_PTR pReserved) noexcept {
  return at_the_boundary([&]() -> CK_RV {
    const std::shared_ptr<Application> application = process.application();
    if (application == nullptr) return codes::kNotInitialised;
    if (pSlot == nullptr || pReserved != nullptr) return CKR_ARGUMENTS_BAD;
    if ((flags & CKF_DONT_BLOCK) != 0) return CKR_NO_EVENT;
    process.wait_for_finalise(application);
    return codes::kNotInitialised;
  });
}

}  // namespace p11shim
