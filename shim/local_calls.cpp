#include "shim/local_calls.h"

#include <algorithm>
#include <chrono>
#include <string_view>
#include <vector>

#include "shim/boundary.h"
#include "shim/initialize_args.h"
#include "shim/process.h"

namespace p11shim {
namespace {

constexpr std::size_t kMostSlots = 4096;
constexpr std::chrono::milliseconds kLookAgain{500};

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

// Tokens come and go with proxyd's configuration and health, of which the shim is not told: it looks.
CK_RV wait_for_slot_event(CK_FLAGS flags, CK_SLOT_ID_PTR pSlot, CK_VOID_PTR pReserved,
                          CK_C_GetSlotList get_slot_list) noexcept {
  return at_the_boundary([&]() -> CK_RV {
    const std::shared_ptr<Application> application = process.application();
    if (application == nullptr) return codes::kNotInitialised;
    if (pSlot == nullptr || pReserved != nullptr) return CKR_ARGUMENTS_BAD;
    for (;;) {
      application->remembered().slot_lists.clear();
      std::vector<CK_SLOT_ID> present(kMostSlots);
      CK_ULONG count = present.size();
      if (get_slot_list(CK_TRUE, present.data(), &count) == CKR_OK) {
        present.resize(count);
        application->slot_events().look(std::move(present));
      }
      if (const auto slot = application->slot_events().next()) {
        *pSlot = *slot;
        return CKR_OK;
      }
      if ((flags & CKF_DONT_BLOCK) != 0) return CKR_NO_EVENT;
      if (process.wait_for_finalise(application, kLookAgain)) return codes::kNotInitialised;
    }
  });
}

}  // namespace p11shim
