#include "shim/initialize_args.h"

#include <gtest/gtest.h>

namespace p11shim {
namespace {

CK_RV create(CK_VOID_PTR_PTR) { return CKR_FUNCTION_FAILED; }
CK_RV use(CK_VOID_PTR) { return CKR_FUNCTION_FAILED; }

TEST(InitializeArgs, NoneAreFine) { EXPECT_EQ(check_initialize_args(nullptr), CKR_OK); }

TEST(InitializeArgs, CallbacksComeTogetherOrNotAtAllWhateverTheFlags) {
  for (CK_FLAGS flags = 0; flags < 8; ++flags)
    for (int given = 0; given < 16; ++given) {
      const CK_STANDARD_INITIALIZE_ARGS args{(given & 1) != 0 ? create : nullptr,
                                             (given & 2) != 0 ? use : nullptr,
                                             (given & 4) != 0 ? use : nullptr,
                                             (given & 8) != 0 ? use : nullptr,
                                             flags,
                                             nullptr};
      EXPECT_EQ(check_initialize_args(&args), given == 0 || given == 15 ? CKR_OK : CKR_ARGUMENTS_BAD)
          << given << " " << flags;
    }
}

TEST(InitializeArgs, ReservedMeansNull) {
  int something = 0;
  const CK_STANDARD_INITIALIZE_ARGS args{nullptr, nullptr, nullptr, nullptr, CKF_OS_LOCKING_OK, &something};
  EXPECT_EQ(check_initialize_args(&args), CKR_ARGUMENTS_BAD);
}

}  // namespace
}  // namespace p11shim
